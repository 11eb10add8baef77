"""The cells of one model."""

from __future__ import annotations

import threading

from otel_ml import semconv
from otel_ml._telemetry.histograms import Exemplar
from otel_ml._telemetry.predictions.cells import CellSet
from otel_ml._telemetry.predictions.model_cells import STAGES_KEPT, ModelIdentity

IDENTITY = ModelIdentity("m", "1", "primary")


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


def test_a_prediction_that_began_in_the_parent_and_ends_in_the_child_counts_as_started():
    """After a fork inside a prediction the child still sees its own next prediction in flight."""
    cells = CellSet(IDENTITY)
    next(cells.begun)
    cells.reset_after_fork()
    cells.elapsed_ns.append(5)
    ended = cells.fold().cells
    next(cells.begun)
    begun = [cells.fold().cells for _ in range(2)]

    assert (ended.started, ended.finished) == (1, 1)
    assert [(each.started, each.finished) for each in begun] == [(2, 1), (2, 1)]


def test_folding_without_taking_keeps_the_exemplars():
    """A scrape leaves the interval's exemplars to the OTLP reader."""
    handle = CellSet(IDENTITY)
    handle.mine().durations.offer(0, Exemplar(1.0, 1, 1, 1))

    assert handle.fold(take_exemplars=False).exemplars == {}
    assert handle.fold().exemplars == {"durations": {0: Exemplar(1.0, 1, 1, 1)}}
