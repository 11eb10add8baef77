"""Bins, checks and drift of 30 features beside whylogs and Evidently; prints figures as JSON.

25 columns of normal numbers and five of eight categories. One contender per process; the peers run in an
environment of their own, so this file imports only numpy and pandas until it knows which contender it is.

- a row: `FeatureMonitor.observe_row` with a profile, which bins and checks; `DatasetProfile.track` of whylogs, which is
  far cheaper than `why.log(row=...)` and gets rows of the same kind, after the same warm-up.
- drift: a data frame against the reference. Ours fits the profile once beforehand, as a service does (`fit_s`), and
  reads the frame in batches; Evidently gets both frames and its drift preset. Memory is the growth of peak resident
  memory over the size of the frames.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NUMBERS, CATEGORIES, LETTERS = 25, 5, list("abcdefgh")
REFERENCE_ROWS, ROWS, BATCH = 20_000, 1_000, 50_000


def frame(rows: int, *, seed: int, shift: float = 0.0) -> Any:
    """A frame of 30 columns; the shift moves the mean of the numbers."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {f"number_{index}": random.normal(shift, 1.0, rows) for index in range(NUMBERS)}
    for index in range(CATEGORIES):
        columns[f"category_{index}"] = random.choice(LETTERS, rows)
    return pd.DataFrame(columns)


def rows_of(data: Any) -> list[dict[str, Any]]:
    """The rows as dicts of plain values."""
    return [{str(name): value for name, value in row.items()} for row in data.to_dict("records")]


def each(function: Callable[[dict[str, Any]], object], calls: int) -> dict[str, float]:
    """Returns microseconds per row in the fastest of five passes: other load on the machine only adds time."""
    rows = rows_of(frame(ROWS, seed=3))
    for row in rows[:200]:
        function(row)
    passes = []
    for _ in range(5):
        began = time.perf_counter()
        for number in range(calls):
            function(rows[number % ROWS])
        passes.append(time.perf_counter() - began)
    return {"row_us": min(passes) / calls * 1e6}


def ours_row(_: int) -> dict[str, float]:
    """One row at a time into the bins and against the rules of a profile."""
    from otel_ml.quality import FeatureMonitor, ReferenceProfile

    monitor = FeatureMonitor({}, profile=ReferenceProfile.fit(frame(REFERENCE_ROWS, seed=1)))
    return each(lambda row: monitor.observe_row(row, "1", 0.9), 5_000)


def whylogs_row(_: int) -> dict[str, float]:
    """One row at a time into a profile of whylogs."""
    from whylogs.core import DatasetProfile

    profile = DatasetProfile()
    return each(profile.track, 500)


def ours_drift(rows: int) -> dict[str, float]:
    """A frame in batches against a profile."""
    from otel_ml.quality import DriftScan, ReferenceProfile

    reference, current = frame(rows, seed=1), frame(rows, seed=2, shift=0.1)
    began = time.perf_counter()
    profile = ReferenceProfile.fit(reference)
    fit = time.perf_counter() - began
    DriftScan(profile).add(dict(current[:1000].items()), 1000)

    def scan() -> object:
        scan = DriftScan(profile)
        for start in range(0, rows, BATCH):
            batch = current[start : start + BATCH]
            scan.add(dict(batch.items()), len(batch))
        return scan.features()

    return {**_measured(scan), "fit_s": fit}


def evidently_drift(rows: int) -> dict[str, float]:
    """Two frames into the drift preset of Evidently."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    reference, current = frame(rows, seed=1), frame(rows, seed=2, shift=0.1)
    report = Report([DataDriftPreset()])
    report.run(current[:1000], reference[:1000])
    return _measured(lambda: report.run(current, reference))


def _measured(work: Callable[[], object]) -> dict[str, float]:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak: fitting and building the frames are not counted
    before = _peak()
    began = time.perf_counter()
    work()
    return {"drift_s": time.perf_counter() - began, "peak_mib": _peak() - before}


def _peak() -> float:
    """Returns the peak resident memory since the last reset, in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


CONTENDERS = {setup.__name__: setup for setup in (ours_row, whylogs_row, ours_drift, evidently_drift)}


def main() -> None:
    """Measures one contender."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument("--rows", type=int, default=100_000, help="of the frames whose drift is measured")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    print(json.dumps(CONTENDERS[given.name](given.rows)))


if __name__ == "__main__":
    main()
