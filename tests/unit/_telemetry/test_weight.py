"""Records that hold much count by their bytes, too, while they wait for the worker."""

from __future__ import annotations

import threading

import pytest
from engine_samples import Sample, within

import otel_ml
from otel_ml._telemetry import configure
from otel_ml._telemetry._queues import WAITING_BYTES
from otel_ml._telemetry.delivery.ledger import Ledger

HALF = WAITING_BYTES // 2


@pytest.fixture
def engine(make_engine):
    """Its worker works only when it is asked to."""
    return make_engine(schedule_delay=60.0)


def test_heavy_records_beyond_the_bound_are_dropped_and_counted(engine):
    """Two halves fit, a third byte does not; light records still do, and what was rendered makes room again."""
    kept = [engine.offer_sized(Sample(1), HALF), engine.offer_sized(Sample(2), HALF)]
    refused, light = engine.offer_sized(Sample(3), 1), engine.offer(Sample(4))
    before = engine.ledger()["traces"]
    engine.flush(within())
    again = engine.offer_sized(Sample(5), WAITING_BYTES)
    engine.flush(within())

    assert (kept, refused, light, again) == ([True, True], False, True, True)
    assert before == Ledger(4, 0, 0, {"queue_full": 1}, 3)
    assert engine.ledger()["traces"] == engine.ledger()["logs"] == Ledger(5, 4, 0, {"queue_full": 1})


def test_one_record_beyond_the_bound_costs_itself_only(engine):
    """It is dropped also when nothing waits."""
    assert [engine.offer_sized(Sample(1), WAITING_BYTES + 1), engine.offer(Sample(2))] == [False, True]


def test_a_record_that_cannot_be_rendered_makes_room_too(engine):
    """Room is given back whatever becomes of the record."""
    for number in range(10):
        assert engine.offer_sized(Sample(number, fails=True), WAITING_BYTES)
        engine.flush(within())

    assert engine.ledger()["traces"].dropped == {"invalid": 10}


def test_threads_at_once_never_pass_the_bound(engine):
    """Eight threads offer; the worker is not asked."""
    taken = []

    def offer():
        taken.extend(engine.offer_sized(Sample(), WAITING_BYTES // 100) for _ in range(50))

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(taken) == 100


def test_a_batch_weighs_what_it_holds_and_an_everyday_prediction_nothing(engine):
    """The bound holds for real batches: a frame of 10,000 times 100 weighs tens of MB."""
    offered = []
    engine.offer = lambda record: offered.append(0) or True
    engine.offer_sized = lambda record, weight: offered.append(weight) or True
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
    assert 10 * 1000 * 30 < numbers < 10 * 1000 * 60
    assert 1000 * 1000 < text < 1200 * 1000
    assert fast == 0
