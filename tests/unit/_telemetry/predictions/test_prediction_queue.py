"""The queue of predictions bounds the bytes of large records, too."""

from __future__ import annotations

import threading

import pytest
from engine_samples import Sample, within

import otel_ml
from otel_ml._export.ledger import Ledger
from otel_ml._telemetry import configure
from otel_ml._telemetry.predictions._queue import WAITING_BYTES

HALF = WAITING_BYTES // 2


@pytest.fixture
def engine(make_engine):
    """An engine whose worker runs only on a flush."""
    return make_engine(schedule_delay=60.0)


def test_large_records_beyond_the_bound_are_dropped_and_counted(engine):
    """Two halves fit, one byte more does not; small records still do, and rendering frees the bytes."""
    kept = [engine.offer_sized(Sample(1), HALF), engine.offer_sized(Sample(2), HALF)]
    refused, small = engine.offer_sized(Sample(3), 1), engine.offer(Sample(4))
    before = engine.ledger()["traces"]
    engine.flush(within())
    again = engine.offer_sized(Sample(5), WAITING_BYTES)
    engine.flush(within())

    assert (kept, refused, small, again) == ([True, True], False, True, True)
    assert before == Ledger(4, 0, 0, {"queue_full": 1}, 3)
    assert engine.ledger()["traces"] == engine.ledger()["logs"] == Ledger(5, 4, 0, {"queue_full": 1})


def test_one_record_beyond_the_bound_does_not_affect_others(engine):
    """It is dropped even when the queue is empty."""
    assert [engine.offer_sized(Sample(1), WAITING_BYTES + 1), engine.offer(Sample(2))] == [False, True]


def test_a_record_that_cannot_be_rendered_frees_its_bytes(engine):
    """The bytes are freed even if rendering fails."""
    for number in range(10):
        assert engine.offer_sized(Sample(number, fails=True), WAITING_BYTES)
        engine.flush(within())

    assert engine.ledger()["traces"].dropped == {"invalid": 10}


def test_threads_at_once_never_pass_the_bound(engine):
    """Eight threads offer at once while the worker does nothing."""
    taken = []

    def offer():
        taken.extend(engine.offer_sized(Sample(), WAITING_BYTES // 100) for _ in range(50))

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(taken) == 100


def test_jobs_at_once_wait_for_room_for_their_bytes(engine):
    """None is dropped, although each may take the room that another has seen; the worker need not be called."""
    taken = []

    def offer():
        for _ in range(5):
            engine.wait_for_room(HALF)
            taken.append(engine.offer_sized(Sample(), HALF, wait=True))

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert taken == [True] * 40


def test_a_job_does_not_wait_for_room_that_never_comes(engine):
    """A record beyond the bound is dropped at once, and so is one after the shutdown."""
    assert not engine.offer_sized(Sample(1), WAITING_BYTES + 1, wait=True)
    engine.offer_sized(Sample(2), WAITING_BYTES)
    engine.shutdown(within())
    assert not engine.offer_sized(Sample(3), WAITING_BYTES, wait=True)


def test_a_batch_counts_with_its_bytes_and_a_fast_path_prediction_with_none(engine):
    """The size of a batch is close to what its first 100 rows hold, which are those of the event."""
    offered = []
    engine.offer = lambda record: offered.append(0) or True
    engine.offer_sized = lambda record, size, wait: offered.append(size) or True
    configure.adopt(configure.Telemetry("own", engine.config, engine), engine)
    try:
        model = otel_ml.Model("m", version="1", events="all", capture_features="all")
        columns = {f"c{index}": [float(number) for number in range(1000)] for index in range(10)}
        texts = {"t": ["x" * 1000] * 1000}
        for features in (columns, texts):
            with model.prediction(features) as prediction:
                prediction.set_output(prediction=[1] * 1000, batch=True)
        with model.prediction({"x": 1.0}) as prediction:
            prediction.set_output(prediction=1, score=0.5)
    finally:
        configure.adopt(None, None)

    numbers, text, fast = offered
    assert 10 * 100 * 30 < numbers < 10 * 100 * 60
    assert 100 * 1000 < text < 120 * 1000
    assert fast == 0
