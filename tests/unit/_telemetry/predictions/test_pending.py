"""Measurements of the fast path that wait to be sorted into buckets."""

from __future__ import annotations

import threading

import pytest

from otel_ml._telemetry.predictions.cells import BUCKETED_AT_ONCE, CellSet
from otel_ml._telemetry.predictions.model_cells import ModelIdentity


def test_no_pending_prediction_is_lost_while_cells_are_folded():
    """Eight threads append while a ninth folds: no sum decreases, and the last one has all."""
    cells = CellSet(ModelIdentity("m", "1", "primary"))

    def append():
        for _ in range(5_000):
            next(cells.begun)
            cells.elapsed_ns.append(20_000_000)
            cells.scores.append(0.5)
            cells.classes.append("1")

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    sums = []
    while any(thread.is_alive() for thread in threads):
        cells.bucket_pending()
        sums.append(sum(cells.fold().cells.durations.counts))
    folded = cells.fold().cells

    assert sums == sorted(sums)
    assert (folded.started, folded.finished, folded.classes) == (40_000, 40_000, {"1": 40_000})
    assert (sum(folded.durations.counts), sum(folded.scores.counts)) == (40_000, 40_000)
    assert (folded.durations.minimum, folded.durations.maximum, folded.scores.total) == (0.02, 0.02, 20_000.0)


def test_bucketing_takes_a_chunk_at_a_time():
    """One call sorts at most a chunk, so that it never holds the GIL for long."""
    cells = CellSet(ModelIdentity("m", "1", "primary"))
    for pending in (cells.elapsed_ns, cells.scores, cells.classes):
        pending.extend([1] * (BUCKETED_AT_ONCE + 1))

    cells.bucket_pending()

    assert [len(pending) for pending in (cells.elapsed_ns, cells.scores, cells.classes)] == [1, 1, 1]


def test_pending_predictions_stay_with_the_parent_of_a_fork():
    """The child starts at zero and does not count calls in progress in the parent."""
    cells = CellSet(ModelIdentity("m", "1", "primary"))
    for _ in range(3):
        next(cells.begun)
    cells.elapsed_ns.append(1)
    cells.fold()
    cells.reset_after_fork()
    next(cells.begun)
    folded = cells.fold().cells

    assert (folded.started, folded.finished) == (1, 0)


def test_a_time_limit_while_bucketing_leaves_no_lock_held():
    """An exception that a signal handler raises while the caller sorts into buckets ends only that call."""
    cells = CellSet(ModelIdentity("m", "1", "primary"))

    class RaisedError(Exception):
        pass

    def fail():
        raise RaisedError

    bucket, cells._bucket = cells._bucket, fail
    with pytest.raises(RaisedError):
        cells.bucket_pending()
    cells._bucket = bucket
    cells.elapsed_ns.append(1)
    cells.bucket_pending()

    assert cells.fold().cells.finished == 1
