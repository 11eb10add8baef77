"""An outage of the receiver delays records; it costs none that fit into the queue, and a flush does not wait for it.

Sources: PostHog/posthog#65369 and open-telemetry/opentelemetry-python#4623 (a process waits at its end for a receiver
that is not there), open-telemetry/opentelemetry-python#3309 and #4043 (retries that block a shutdown), #4712 (a receiver
that is not there is not retried at all), open-telemetry/opentelemetry-collector-contrib#38048 and
open-telemetry/opentelemetry-collector#12451 (data are dropped although the queue has room).
"""

from __future__ import annotations

import time
import warnings

import otlp_receiver
import pytest
from fastapi import FastAPI
from otlp_receiver import Reply
from reserved_ports import free_port

import otel_ml
from otel_ml._export.ledger import Ledger
from otel_ml._telemetry import configure
from otel_ml._telemetry.engine import OwnEngine
from otel_ml.config import Config

receiver = otlp_receiver.receiver
fresh_guard = otlp_receiver.fresh_guard

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette's about httpx
    from fastapi.testclient import TestClient

SIGNALS = ("traces", "metrics", "logs")
LATER = Reply(503, stores=False)


@pytest.fixture
def start(receiver, tmp_path):
    """Puts engines in force that send to the receiver, until the test ends."""
    former, former_engine = configure.current(), configure.in_force()
    engines: list[OwnEngine] = []

    def begin(*, periodic: bool = False, **settings) -> configure.Telemetry:
        given = {"service_name": "field", "endpoint": receiver.url, "instance_dir": str(tmp_path), "timeout": 5.0}
        config = Config(**{**given, **settings})
        engine = OwnEngine(config, periodic=periodic)
        engines.append(engine)
        telemetry = configure.Telemetry("own", config, engine)
        configure.adopt(telemetry, engine)
        return telemetry

    yield begin
    receiver.close()
    for engine in engines:
        engine.shutdown(time.monotonic() + 2)
    configure.adopt(former, former_engine)


def predict(count: int) -> None:
    model = otel_ml.Model("m", version="1", events="all")
    for _ in range(count):
        with model.prediction({"a": 1}) as prediction:
            prediction.set_output(prediction=1, score=0.9)


def settled(telemetry: configure.Telemetry, expected: dict[str, Ledger], seconds: float = 60.0) -> dict[str, Ledger]:
    """Returns the ledgers when they are as expected, or after some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = {signal: telemetry.ledger()[signal] for signal in expected}
        if found == expected or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def test_the_end_of_a_lifespan_does_not_wait_for_a_receiver_that_is_not_there(start):
    """A refused connection is known at once: the end of a lifespan makes one attempt and keeps the records."""
    telemetry = start(endpoint=f"http://127.0.0.1:{free_port()}")
    app = FastAPI()
    otel_ml.instrument_fastapi(app)

    @app.get("/")
    def root() -> None:
        predict(1)

    took = []
    for _ in range(3):
        began = time.monotonic()
        with TestClient(app) as client:
            client.get("/")
        took.append(time.monotonic() - began)

    assert min(took) < 4  # a flush that waited would take its five seconds each time
    assert telemetry.ledger()["logs"] == Ledger(3, in_flight=3)
    assert telemetry.ledger()["traces"] == Ledger(6, in_flight=6)


def test_a_flush_makes_one_attempt(start, receiver):
    """`force_flush` of a function service says that the receiver answered "later", and the process goes on."""
    receiver.default = dict.fromkeys(SIGNALS, LATER)
    telemetry = start()
    predict(2)
    began = time.monotonic()

    assert telemetry.force_flush(60.0) is False
    assert time.monotonic() - began < 30
    assert receiver.requests == dict.fromkeys(SIGNALS, 1)
    assert telemetry.ledger()["traces"] == Ledger(2, in_flight=2)


def test_a_flush_sends_what_an_outage_held_back(start, receiver):
    """A later flush does not wait for the pause between two attempts, and takes everything with it."""
    receiver.default = dict.fromkeys(SIGNALS, LATER)
    telemetry = start()
    predict(2)
    telemetry.force_flush(10.0)
    predict(1)
    receiver.default = {}

    assert telemetry.force_flush(10.0)
    assert {signal: one.delivered for signal, one in telemetry.ledger().items()} == receiver.counted()
    assert telemetry.ledger()["logs"] == Ledger(3, 3)


@pytest.mark.parametrize("answer", [LATER, Reply(429, stores=False), Reply(cut="before", stores=False)])
def test_an_outage_loses_nothing_that_fits(start, receiver, answer):
    """However the receiver fails, and for longer than a request may take, all of it arrives when it is back."""
    receiver.default = dict.fromkeys(SIGNALS, answer)
    telemetry = start(timeout=1.0, schedule_delay=0.05)
    for _ in range(15):
        predict(10)
        time.sleep(0.1)
    receiver.default = {}
    everything = {"traces": Ledger(150, 150), "logs": Ledger(150, 150)}

    assert settled(telemetry, everything) == everything
    assert receiver.duplicates() == 0


def test_an_outage_of_the_whole_host_loses_nothing_that_fits(start, receiver):
    """A connection that is refused is tried again, too."""
    receiver.close()
    telemetry = start(timeout=1.0, schedule_delay=0.05)
    for _ in range(15):
        predict(10)
        time.sleep(0.1)
    receiver.open()
    everything = {"traces": Ledger(150, 150), "logs": Ledger(150, 150)}

    assert settled(telemetry, everything) == everything


def test_beyond_the_bound_the_oldest_are_dropped(start, receiver):
    """A full queue keeps the newest records and counts the others as queue_full."""
    receiver.default = dict.fromkeys(SIGNALS, LATER)
    telemetry = start(send_queue_size=100)
    model = otel_ml.Model("m", version="1", events="all")
    for number in range(250):
        model.record({"a": 1}, prediction=1, duration=0.001, id=f"p{number}")
        if number % 50 == 49:
            telemetry.force_flush(10.0)
    receiver.default = {}
    telemetry.force_flush(10.0)

    ledger = telemetry.ledger()["logs"]
    arrived = [
        attribute.value.string_value
        for record in receiver.logs()
        for attribute in record.attributes
        if attribute.key == "ml.prediction.id"
    ]
    assert ledger == Ledger(250, 100, 0, {"queue_full": 150})
    assert arrived == [f"p{number}" for number in range(150, 250)]


def test_the_bound_in_bytes_holds_too(start, receiver):
    """Records of any size use no more memory than the bound says."""
    receiver.default = dict.fromkeys(SIGNALS, LATER)
    telemetry = start(send_queue_bytes=50_000, capture_features="all")
    model = otel_ml.Model("m", version="1", events="all")
    for _ in range(20):
        model.record({"text": "x" * 1000}, prediction=1, duration=0.001)
        telemetry.force_flush(10.0)

    assert telemetry.ledger()["logs"].in_flight * 1000 < 50_000
    assert telemetry.ledger()["logs"].dropped == {}
    for _ in range(60):
        model.record({"text": "x" * 1000}, prediction=1, duration=0.001)
        telemetry.force_flush(10.0)
    ledger = telemetry.ledger()["logs"]
    assert ledger.in_flight * 1000 < 50_000
    assert ledger.dropped == {"queue_full": 80 - ledger.in_flight}


def test_a_record_that_is_refused_for_good_is_dropped_alone(start, receiver):
    """A request that the receiver calls bad is searched by halves: one bad record costs its neighbours nothing."""
    telemetry = start()
    original = receiver._answer

    def answer(connection, reply):
        signal, body = receiver.accepted[-1]
        if signal == "logs" and b"poison" in body:
            receiver.accepted.pop()
            return original(connection, Reply(400, stores=False))
        return original(connection, reply)

    receiver._answer = answer
    logger = telemetry._engine.logger_provider.get_logger("mixed")
    for number in range(300):
        logger.emit(body="poison" if number in {7, 250} else f"line {number}")

    assert telemetry.force_flush(20.0) is False
    assert telemetry.ledger()["logs"] == Ledger(300, 298, 2)
    assert receiver.requests["logs"] < 60


def test_a_receiver_that_refuses_everything_is_not_searched_for_long(start, receiver):
    """A wrong address that answers 400 costs a few requests once, and then one for each batch."""
    receiver.default["logs"] = Reply(400, stores=False)
    telemetry = start()
    logger = telemetry._engine.logger_provider.get_logger("all")
    requests = []
    for _ in range(2):
        for number in range(100):
            logger.emit(body=f"line {number}")
        telemetry.force_flush(20.0)
        requests.append(receiver.requests["logs"])

    assert telemetry.ledger()["logs"] == Ledger(200, 0, 200)
    assert requests[0] < 20
    assert requests[1] - requests[0] == 1


def test_a_missed_export_of_metrics_is_made_good_by_the_next(start, receiver):
    """Its points stay in flight; soon afterwards newer values of the same series take their place."""
    receiver.script["metrics"] = [LATER]
    telemetry = start(periodic=True, metric_export_interval=60.0)
    predict(3)

    assert telemetry.force_flush(10.0) is False
    waiting = telemetry.ledger()["metrics"]
    assert waiting == Ledger(waiting.produced, in_flight=waiting.produced)
    receiver.wait_for(lambda one: one.bodies("metrics"))
    assert telemetry.force_flush(10.0)
    assert receiver.metrics()["ml.predictions"][0].as_int == 3
    assert telemetry.ledger()["metrics"].lost() == 0


def test_differences_of_metrics_are_queued(start, receiver):
    """With delta temporality no later export repeats the points, so each of them waits for the receiver."""
    receiver.script["metrics"] = [LATER] * 2
    telemetry = start(metric_temporality="delta")
    for _ in range(3):
        predict(2)
        telemetry.force_flush(10.0)
    telemetry.force_flush(10.0)

    sums = [
        point.as_int
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "ml.predictions"
        for point in metric.sum.data_points
    ]
    assert sum(sums) == 6
    assert telemetry.ledger()["metrics"].lost() == 0


def test_the_age_of_the_oldest_record_is_a_metric(start, receiver):
    """One sees how long the receiver has been away before anything is dropped."""
    receiver.default = {"traces": LATER, "logs": LATER}
    telemetry = start()
    predict(1)
    telemetry.force_flush(10.0)
    time.sleep(0.2)
    telemetry.force_flush(10.0)

    ages = {
        point.attributes[0].value.string_value: point.as_double
        for point in receiver.metrics()["otelml.export.queue.age"]
    }
    assert ages.keys() == {"traces", "logs"}
    assert min(ages.values()) > 0.15


def test_a_shutdown_gives_up_at_once_where_the_connection_is_refused(start):
    """Only the end of the process gives up, and it does not wait out its deadline for nobody."""
    telemetry = start(endpoint=f"http://127.0.0.1:{free_port()}")
    predict(5000)
    telemetry.force_flush(10.0)
    began = time.monotonic()

    assert telemetry.shutdown(60.0) is False
    assert time.monotonic() - began < 30
    assert telemetry.ledger()["traces"] == Ledger(5000, 0, 0, {"shutdown": 5000})
