"""Cells and ids."""

from __future__ import annotations

import threading

import pytest

from otel_ml import semconv
from otel_ml._telemetry.ids import RANDOM
from otel_ml._telemetry.predictions.cells import (
    EXEMPLARS_A_SERIES,
    STAGES_KEPT,
    CellSet,
    Exemplar,
    HistogramCell,
    Identity,
)
from otel_ml._telemetry.sdk._id_generator import SeedProofIdGenerator
from otel_ml.testing import CountingIds

IDENTITY = Identity("m", "1", "primary")


@pytest.mark.parametrize(("value", "bucket"), [(0.0, 0), (1.0, 0), (1.1, 1), (2.0, 1), (2.1, 2), (1e9, 2)])
def test_a_bucket_includes_its_upper_bound(value, bucket):
    """Bounds are inclusive above, as OTel has it."""
    cell = HistogramCell((1.0, 2.0))

    assert cell.record(value) == bucket
    assert (cell.counts[bucket], cell.total, cell.minimum, cell.maximum) == (1, value, value, value)


def test_exemplars_are_few_and_one_a_bucket():
    """The first of a bucket is kept, at most four a series."""
    cell = HistogramCell((1.0, 2.0, 3.0, 4.0, 5.0))
    kept = [cell.offer(bucket, Exemplar(1.0, 1, 1, 1)) for bucket in (0, 0, 1, 2, 3, 4)]

    assert kept == [True, False, True, True, True, False]
    assert len(cell.take_exemplars()) == EXEMPLARS_A_SERIES
    assert cell.take_exemplars() == {}


def test_stages_are_bounded():
    """Beyond the limit a stage is counted as other."""
    cells = CellSet(IDENTITY).mine()
    for number in range(STAGES_KEPT + 5):
        cells.stage(f"s{number}").record(1.0)

    assert len(cells.stages) == STAGES_KEPT + 1
    assert sum(cells.stages[semconv.OTHER].counts) == 5


def test_ended_threads_leave_their_counts_and_no_cells():
    """Five hundred short-lived threads add up and do not accumulate."""
    handle = CellSet(IDENTITY)

    def work():
        handle.mine().started += 1

    for _ in range(500):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert [handle.fold().cells.started for _ in range(2)] == [500, 500]
    assert len(handle.by_thread) == 0


def test_what_the_parent_has_begun_does_not_leave_the_child_a_call_short():
    """A fork inside a prediction: it ends in the child, and the next one in flight is seen all the same."""
    cells = CellSet(IDENTITY)
    next(cells.begun)
    cells.reset_after_fork()
    cells.elapsed_ns.append(5)
    ended = cells.fold().cells
    next(cells.begun)
    begun = [cells.fold().cells for _ in range(2)]

    assert (ended.started, ended.finished) == (1, 1)
    assert [(each.started, each.finished) for each in begun] == [(2, 1), (2, 1)]


def test_a_scrape_leaves_exemplars_to_others():
    """Folding without taking keeps the interval's exemplars."""
    handle = CellSet(IDENTITY)
    handle.mine().durations.offer(0, Exemplar(1.0, 1, 1, 1))

    assert handle.fold(take_exemplars=False).exemplars == {}
    assert handle.fold().exemplars == {"durations": {0: Exemplar(1.0, 1, 1, 1)}}


def test_random_ids_have_their_widths():
    """128, 64 and 32 hexadecimal digits, never 0."""
    assert 0 < RANDOM.trace_id() < 2**128
    assert 0 < RANDOM.span_id() < 2**64
    assert 0 <= RANDOM.prediction_number() < 1 << 128


def test_the_sdks_generator_takes_our_ids():
    """The SDK's spans have ids of the same source."""
    generator = SeedProofIdGenerator(CountingIds())

    assert (generator.generate_trace_id(), generator.generate_span_id(), generator.is_trace_id_random()) == (1, 1, True)
