"""A column has the same counts through every door: as a column, as a list, row by row, and as the copy of a request.

Sources: numpy/numpy#16030 and #14883 (unsigned numbers that become floats), pola-rs/polars#14240 and
huggingface/datasets#8365 (whole numbers that lose digits beside nulls), apache/spark#1855 and apache/druid#3381 (texts in
parquet files that are read as bytes).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from otel_ml import Model, ReferenceProfile
from otel_ml.quality import FeatureMonitor
from otel_ml.quality._drift import DriftCounts
from otel_ml.quality.counting._columns import read_live
from otel_ml.testing import InMemoryTelemetry

ROWS = 600
PLACES = np.arange(ROWS) % 3


def repeat(*values: Any) -> list[Any]:
    return [values[index % len(values)] for index in range(ROWS)]


COLUMNS: dict[str, Any] = {
    "unsigned": np.uint64(2**64 - 1) - PLACES.astype(np.uint64),
    "unsigned list": repeat(2**64 - 1, 2**64 - 2, 5),
    "unsigned with nulls": pa.array(repeat(2**64 - 1, 2**64 - 2, None), pa.uint64()),
    "least and greatest": repeat(-(2**63), 2**63 - 1, 0),
    "beyond 64 bits": repeat(10**40, 10**41, 3),
    "polars with nulls": pl.Series(repeat(2**53 + 1, 2**53, None)),
    "polars unsigned": pl.Series(repeat(2**64 - 1, 1, None), dtype=pl.UInt64),
    "polars of 128 bits": pl.Series(repeat(2**70, 1, None), dtype=pl.Int128),
    "masked": np.ma.masked_array(2**53 + PLACES, mask=PLACES == 2),
    "huge floats": np.where(PLACES == 0, 1e300, -1e300),
    "huge categories": pd.Categorical(np.where(PLACES == 0, 1e300, 1.0)),
    "fractions": repeat(Fraction(1, 3), Fraction(1, 7)),
    "bytes": repeat(b"a", b"b ", "a", None),
    "array of bytes": np.array([b"north", b"south", b""])[PLACES],
    "arrow bytes": pa.array(repeat(b"a", b"b", None)),
    "polars bytes": pl.Series(repeat(b"a", b"b", None)),
    "bytes that are no text": repeat(b"\xff\xfe", b"\xff", b"x" * 500),
}


def as_list(values: Any) -> list[Any]:
    if isinstance(values, pa.Array):
        return list(values.to_pylist())
    return list(values.tolist() if hasattr(values, "tolist") else values)


def found(monitor: FeatureMonitor) -> tuple[list[int], int, list[int]]:
    return monitor.cells.bins, monitor.cells.missing[0], monitor.cells.violations


@pytest.mark.filterwarnings("ignore:values without a bin")
@pytest.mark.parametrize("sensitive", [(), ("x",)])
@pytest.mark.parametrize("name", COLUMNS)
def test_every_door_counts_the_same(name, sensitive):
    """The counts are those of the training data, and every row ends in one place."""
    values = COLUMNS[name]
    listed = as_list(values)
    profile = ReferenceProfile.fit({"x": values}, sensitive=sensitive)
    (feature,) = profile.features
    assert feature.size + feature.missing + feature.invalid == ROWS
    monitors = [FeatureMonitor({}, profile=profile) for _ in range(6)]
    column, items, rows, copied_column, copied_items, copied_rows = monitors
    column.observe_batch({"x": values}, None, None, ROWS)
    items.observe_batch({"x": listed}, None, None, ROWS)
    copied_column.observe_features({"x": values}, ROWS)
    copied_items.observe_features({"x": listed}, ROWS)
    for value in listed:
        rows.observe_row({"x": value}, None, None)
        copied_rows.observe_row({"x": read_live(value)}, None, None)
    for monitor in monitors:
        assert found(monitor) == (list(feature.counts), feature.missing, found(column)[2])
    scan = DriftCounts(profile)
    scan.count({"x": values}, ROWS)
    (drift,) = scan.features()
    assert (drift.findings, drift.count + drift.missing + drift.invalid) == ((), ROWS)


@pytest.mark.parametrize("value", [2**64 - 1, b"north"])
def test_a_request_is_counted_as_training_has_it(value):
    """`Model.record` finds unsigned numbers and bytes in the reference, and the event shows them."""
    profile = ReferenceProfile.fit({"x": repeat(value, 1, 2)})
    with InMemoryTelemetry() as kit:
        Model("m", profile=profile, capture_features="all", events="all").record({"x": value}, prediction=1)
        (event,) = kit.events("ml.prediction")
        points = kit.metrics()["ml.feature.values"]
    text = value.decode() if isinstance(value, bytes) else str(value)
    assert {point["attributes"]["ml.feature.bin"]: point["value"] for point in points if point["value"]} == {text: 1}
    assert text in event["body"]


def test_a_sensitive_column_of_large_numbers_has_its_bins():
    """Account numbers close to each other fill all bins, not only the last one."""
    numbers = np.repeat(2**53 + np.arange(1000) * 4, 2)
    (feature,) = ReferenceProfile.fit({"x": numbers}, sensitive=("x",)).features
    assert min(feature.counts) > 0
