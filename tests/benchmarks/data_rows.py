"""Bins, checks and drift of 30 features beside whylogs and Evidently; prints figures as JSON.

25 columns of normal numbers and five of eight categories. One contender per process; the peers run in an
environment of their own, so this file imports only numpy and pandas until it knows which contender it is.

- a row: `FeatureMonitor.observe_row` with a profile, which bins and checks; `DatasetProfile.track` of whylogs, which is
  far cheaper than `why.log(row=...)` and gets rows of the same kind, after the same warm-up.
- a batch: `Model.record(frame, batch=True)` with a profile, predictions and scores, from the call until everything has arrived at the
  receiver; `DatasetProfile.track` of whylogs with the same frame, and nothing else. Process CPU a row in the best pass
  over 100,000 rows, of ten or two; the memory that a million rows add.
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


BATCHED_ROWS = 100_000
BATCHED = {"numbers": (30, 0), "texts": (5, 5)}
"""Columns of numbers and of texts of the frames that are recorded in batches."""


def batched_frame(kind: str) -> Any:
    """A frame of normal numbers and of texts with eight values."""
    random = np.random.default_rng(4)
    numbers, texts = BATCHED[kind]
    columns: dict[str, Any] = {f"number_{index}": random.normal(0.0, 1.0, BATCHED_ROWS) for index in range(numbers)}
    columns |= {f"text_{index}": random.choice(LETTERS, BATCHED_ROWS) for index in range(texts)}
    return pd.DataFrame(columns)


def in_batches(
    function: Callable[[Any], object], finish: Callable[[], object], kind: str, size: int, *, passes: int
) -> dict[str, float]:
    """Returns microseconds of process CPU a row in the best pass, and the memory that the passes added."""
    data = batched_frame(kind)
    seconds, peak = [], 0.0
    for number in range(passes + 1):
        began = time.process_time()
        for start in range(0, BATCHED_ROWS, size):
            function(data.iloc[start : start + size])
        finish()
        seconds.append(time.process_time() - began)
        if not number:  # the first pass warms up
            Path("/proc/self/clear_refs").write_text("5")
            peak = _peak()
    return {"cpu_us": min(seconds[1:]) / BATCHED_ROWS * 1e6, "grown_mib": _peak() - peak}


def _ours_batches(kind: str, size: int) -> dict[str, float]:
    import otel_ml

    data = batched_frame(kind)
    profile = otel_ml.ReferenceProfile.fit(data[:REFERENCE_ROWS])
    telemetry = otel_ml.configure(service_name="bench")
    model = otel_ml.Model("bench", "1", task="binary", classes=[0, 1], profile=profile)
    predictions, scores = np.arange(size) % 2, np.random.default_rng(5).random(size)

    def record(batch: Any) -> None:
        model.record(batch, prediction=predictions, score=scores, batch=True)

    found = in_batches(record, lambda: telemetry.force_flush(30.0), kind, size, passes=10)
    telemetry.shutdown()
    ledger = telemetry.ledger()
    return {**found, "lost": sum(sum(ledger[signal].dropped.values()) for signal in ("traces", "logs"))}


def ours_stored(size: int) -> dict[str, float]:
    """Batches of 30 columns of numbers, whose predictions are stored for their labels."""
    from stored import open_store

    import otel_ml

    store = open_store()
    telemetry = otel_ml.configure(service_name="bench")
    model = otel_ml.Model("bench", "1", task="binary", classes=[0, 1], ground_truth=store)
    predictions = np.arange(size) % 2
    found = in_batches(
        lambda batch: model.record(batch, prediction=predictions, batch=True),
        lambda: (store.flush(60.0), telemetry.force_flush(30.0)),
        "numbers",
        size,
        passes=10,
    )
    telemetry.shutdown()
    return {**found, "lost": 11 * BATCHED_ROWS - store.account().stored}


def _whylogs_batches(kind: str, size: int) -> dict[str, float]:
    from whylogs.core import DatasetProfile

    return in_batches(DatasetProfile().track, lambda: None, kind, size, passes=2)


def ours_numbers(size: int) -> dict[str, float]:
    """Batches of 30 columns of numbers."""
    return _ours_batches("numbers", size)


def whylogs_numbers(size: int) -> dict[str, float]:
    """The same frames into a profile of whylogs."""
    return _whylogs_batches("numbers", size)


def ours_texts(size: int) -> dict[str, float]:
    """Batches of five columns of numbers and five of texts."""
    return _ours_batches("texts", size)


def whylogs_texts(size: int) -> dict[str, float]:
    """The same frames into a profile of whylogs."""
    return _whylogs_batches("texts", size)


def ours_drift(rows: int) -> dict[str, float]:
    """A frame in batches against a profile."""
    from otel_ml.quality import ReferenceProfile
    from otel_ml.quality._drift import DriftCounts

    reference, current = frame(rows, seed=1), frame(rows, seed=2, shift=0.1)
    began = time.perf_counter()
    profile = ReferenceProfile.fit(reference)
    fit = time.perf_counter() - began
    DriftCounts(profile).count(dict(current[:1000].items()), 1000)

    def scan() -> object:
        scan = DriftCounts(profile)
        for start in range(0, rows, BATCH):
            batch = current[start : start + BATCH]
            scan.count(dict(batch.items()), len(batch))
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


BATCHES = (ours_numbers, whylogs_numbers, ours_texts, whylogs_texts)
CONTENDERS = {
    setup.__name__: setup for setup in (ours_row, whylogs_row, *BATCHES, ours_stored, ours_drift, evidently_drift)
}


def main() -> None:
    """Measures one contender."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("name", choices=list(CONTENDERS))
    parser.add_argument(
        "--rows", type=int, default=100_000, help="of each batch, or of the frames whose drift is measured"
    )
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    print(json.dumps(CONTENDERS[given.name](given.rows)))


if __name__ == "__main__":
    main()
