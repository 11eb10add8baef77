"""Fits a reference, and compares a data set with it, where the partitions lie: with Dask, Spark or Ray.

One function for each job goes over the frames of a partition and yields one frame with the bytes of its scan. The
driver merges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Any

import pandas as pd

from otel_ml import DriftScan, ProfileScan, ReferenceProfile

OPTIONS: dict[str, Any] = {"score": "score", "label": "label"}
"""What `ReferenceProfile.fit` takes; the same for all partitions."""


def scan_training(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yields the scan of the frames of a partition; the function for `mapInPandas`."""
    scan = reduce(ProfileScan.add, frames, ProfileScan(**OPTIONS))
    yield pd.DataFrame({"scan": [scan.to_bytes()]})


def merge_training(scans: Iterable[bytes]) -> ReferenceProfile:
    """Returns the reference of all partitions."""
    return reduce(ProfileScan.merge, map(ProfileScan.from_bytes, scans)).profile()


def scan_drift(frames: Iterable[pd.DataFrame], profile: ReferenceProfile) -> Iterator[pd.DataFrame]:
    """Yields the counts of the frames of a partition in the bins of the reference."""
    scan = DriftScan(profile)
    for frame in frames:
        scan.add(frame, score="score", label="label")
    yield pd.DataFrame({"scan": [scan.to_bytes()]})


def merge_drift(scans: Iterable[bytes], profile: ReferenceProfile) -> DriftScan:
    """Returns the counts of all partitions."""
    return reduce(DriftScan.merge, (DriftScan.from_bytes(scan, profile) for scan in scans))


def fit_dask(frame: Any) -> ReferenceProfile:
    """Fits a `dask.dataframe`."""
    parts = frame.map_partitions(lambda part: next(scan_training([part])), meta={"scan": object})
    return merge_training(parts.compute()["scan"])


def fit_spark(frame: Any) -> ReferenceProfile:
    """Fits a DataFrame of Spark."""
    return merge_training(bytes(row.scan) for row in frame.mapInPandas(scan_training, "scan binary").collect())


def fit_ray(data: Any) -> ReferenceProfile:
    """Fits a data set of Ray."""
    parts = data.map_batches(lambda part: next(scan_training([part])), batch_format="pandas", batch_size=None)
    return merge_training(row["scan"] for row in parts.take_all())
