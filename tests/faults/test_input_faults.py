"""Cases 15, 16, 17 and 25: bad callbacks, numbers, texts, structures and plug-ins."""

from __future__ import annotations

import decimal
import fractions
import json
import logging
import math
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

import otel_ml
from otel_ml import _guard
from otel_ml._export.ledger import Ledger
from otel_ml._telemetry.metrics._callbacks import Callbacks
from otel_ml._telemetry.sdk._guarded_plugins import GuardedSampler


def points(receiver, name):
    return [(point.as_int or point.as_double) for point in receiver.metrics().get(name, ())]


def dead_readers(service):
    return sum(reader._thread is None or not reader._thread.is_alive() for reader in service.engine._metrics.readers)


def test_case_15_callbacks_that_raise_or_return_nonsense(make_service, receiver, figure):
    """Each costs only its own metric; the reader survives, and all other metrics arrive, the next time too."""
    service = make_service()
    meter = service.engine.meter("user")

    def raising(_):
        raise ZeroDivisionError

    def half(_):
        yield Observation(1, {"part": "first"})
        raise ZeroDivisionError

    def stepping():
        yield
        while True:
            yield [Observation(5)]

    nonsense = [None, 7, "text", [None], [1, 2], [Observation("x")], [Observation(None)], [Observation(math.nan)]]
    nonsense += [[Observation(2**63)], [Observation(decimal.Decimal(3))], [Observation(np.float32(1.5), {1: object()})]]
    for index, answer in enumerate(nonsense):
        meter.create_observable_gauge(f"user.nonsense.{index}", [lambda _, answer=answer: answer])
    meter.create_observable_counter("user.raising", [raising])
    meter.create_observable_gauge("user.half", [half])
    meter.create_observable_gauge("user.fine", [lambda _: [Observation(3)]])
    meter.create_observable_gauge("user.generator", [stepping()])

    assert [service.flush(), service.flush()] == [True, True]
    seen = receiver.metrics()
    assert points(receiver, "user.fine") == [3]
    assert points(receiver, "user.generator") == [5]
    assert [name for name in seen if name.startswith("user.nonsense")] == ["user.nonsense.9", "user.nonsense.10"]
    assert not {"user.raising", "user.half"} & set(seen)
    assert service.balanced()
    figure(15, inputs=len(nonsense) + 2, reader_deaths=dead_readers(service))


def test_case_15_a_callback_that_hangs_costs_its_own_metric(make_service, receiver, figure):
    """The others arrive in the same collection; the callback is called again once it has returned."""
    service = make_service()
    service.engine.meter_provider._callbacks = callbacks = Callbacks(time_limit=0.2)
    meter, released, asked = service.engine.meter("user"), threading.Event(), []

    def hanging(_):
        asked.append(1)
        released.wait(30)
        return [Observation(1)]

    meter.create_observable_gauge("user.hanging", [hanging])
    meter.create_observable_gauge("user.fine", [lambda _: [Observation(3)]])
    flushed = [service.flush(5), service.flush(5)]
    stuck = (set(receiver.metrics()) & {"user.hanging", "user.fine"}, len(asked))
    released.set()
    deadline = time.monotonic() + 60
    while callbacks._hanging and time.monotonic() < deadline:
        time.sleep(0.01)
    service.flush(5)

    assert (flushed, stuck) == ([True, True], ({"user.fine"}, 1))
    assert points(receiver, "user.hanging") == [1]
    figure(15, hanging=1, reader_deaths=dead_readers(service))


class Lying:
    def __float__(self):
        return 1.0

    def __lt__(self, other):
        raise RuntimeError("hostile")


NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    -1,
    -0.5,
    0,
    True,
    False,
    2**62,
    2**63,
    2**64,
    -(2**63),
    -(2**63) - 1,
    10**400,
]
NUMBERS += [
    decimal.Decimal("1.5"),
    decimal.Decimal("NaN"),
    fractions.Fraction(1, 3),
    "1",
    "x",
    b"1",
    None,
    [],
    [1.0],
    {},
]
NUMBERS += [1j, object(), Lying(), lambda: 1, int, range(3), ...]
NUMBERS += [np.dtype(code).type(1) for code in "?bBhHiIlLqQefdgFD"] + [np.array(1.0), np.array([1.0]), np.array([1, 2])]
NUMBERS += [np.datetime64("2020-01-01"), np.timedelta64(1, "s"), np.str_("1"), np.float32("nan"), np.float64("inf")]
LABELS = [None, {}, {"a": "b"}, {"a": "\ud800"}, {1: 2}, {"a": object()}, {"a": Lying()}, {"a": "x" * 10**6}, "text", 5]
LABELS += [
    {"a": [1, "x", None]},
    {"a": np.float32(1)},
    {None: None},
    {"a\n": "b\x00\x1b[31m"},
    {"a": {"b": "c"}},
    [("a", 1)],
]


def test_case_16_bad_measurements(make_service, receiver, figure):
    """No instrument raises on any of them, every later export is complete, and only finite numbers arrive."""
    service = make_service(timeout=10.0)
    meter = service.engine.meter("user")
    counter, updown = meter.create_counter("user.counter"), meter.create_up_down_counter("user.updown")
    histogram, gauge = meter.create_histogram("user.histogram"), meter.create_gauge("user.gauge")
    fine = meter.create_counter("user.fine")
    tried = raised = 0
    with service.engine.tracer("user").start_as_current_span("sampled"):
        for number in NUMBERS:
            for labels in LABELS:
                for call in (counter.add, updown.add, histogram.record, gauge.set):
                    tried += 1
                    try:
                        call(number, labels)
                    except Exception:
                        raised += 1
        fine.add(1)

    service.flush()
    assert raised == 0
    assert points(receiver, "user.fine") == [1]
    for name in ("user.counter", "user.updown", "user.gauge"):
        assert all(math.isfinite(value) for value in points(receiver, name))
    assert len(receiver.metrics()["user.histogram"]) > 0
    text = receiver.everything().decode("latin-1")
    assert "\x1b[31m" not in text
    assert service.balanced()
    figure(16, inputs=tried, exceptions=raised, collateral=1 - sum(points(receiver, "user.fine")))


def deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def cycle():
    value = {}
    value["self"] = value
    return value


class Hostile:
    def __str__(self):
        raise RuntimeError("hostile")

    __repr__ = __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __float__ = __getattr__ = __str__


STRUCTURES = [
    *["\ud800", "a\ud800b\udfff", "\x00", "\x1b[31mred\r\n", "x" * 50_000_000, "", "\u202e", b"\xff\xfe", "\U0010ffff"],
    *[deep(100_000), cycle(), Hostile(), [Hostile()], {"a": Hostile()}, {"\ud800": "\ud800"}, (x for x in range(3))],
    *[{"x" * 10_000: 1}, dict.fromkeys(map(str, range(100_000)), 1), list(range(100_000)), {1, 2}, float("nan")],
]


def test_case_17_bad_texts_and_structures_in_predictions(make_service, receiver, figure):
    """As features, output, id, stage or exception they never raise; each record is bounded and delivered, others are intact."""
    service = make_service(timeout=20.0)
    tried = 0
    for value in STRUCTURES:
        service.predict()
        for features in (value, {"x": value}, [value]):
            stage = value if isinstance(value, str) else "stage"
            with service.model.prediction(features) as prediction, prediction.stage(stage):
                prediction.set_output(prediction=value, score=value)
        with pytest.raises(ValueError), service.model.prediction({"x": 1}, id=value):
            raise ValueError(value)
        service.model.record({"x": value}, prediction=value, score=0.5, duration=0.1)
        service.model.record_error(ValueError(value), {"x": value})
        tried += 6

    assert service.flush(30)
    expected = len(STRUCTURES) * 7
    assert service.ledger("logs") == Ledger(expected, expected)
    assert service.ledger().lost() == 0
    assert service.balanced()
    for record in receiver.logs():
        json.loads(record.body.string_value)
        assert len(record.body.string_value) < 200_000
    assert _guard.counts() == {}
    figure(17, inputs=tried, collateral=expected - len(receiver.logs()))


def test_case_17_poison_records_of_others_arrive_repaired(make_service, receiver, figure):
    """SDK spans and log records that no encoder accepts are repaired and delivered, and so are the others in their batch."""
    service = make_service(timeout=20.0)
    tracer, logger = service.engine.tracer("user"), service.engine.logger_provider.get_logger("user")
    bodies = ["\ud800", deep(5_000), cycle(), Hostile(), object(), {1: 2}, b"\xff", [None], float("nan"), 2**70]
    for index, body in enumerate(bodies):
        tracer.start_span(f"fine {index}").end()
        tracer.start_span(f"poison \ud800 {index}", attributes={"a": "\ud800", "b": 1}).end()
        logger.emit(body=f"fine {index}")
        logger.emit(body=body)

    service.flush()
    names = [span.name for span in receiver.spans()]
    fine = [record for record in receiver.logs() if record.body.string_value.startswith("fine")]
    assert [name for name in names if name.startswith("fine")] == [f"fine {index}" for index in range(len(bodies))]
    assert [name for name in names if name.startswith("poison")] == [
        f"poison \ufffd {index}" for index in range(len(bodies))
    ]
    assert len(fine) == len(bodies)
    assert service.ledger() == service.ledger("logs") == Ledger(2 * len(bodies), 2 * len(bodies))
    assert service.balanced()
    figure(17, poison=2 * len(bodies), collateral=len(bodies) - len(fine))


class Broken(SpanProcessor, LogRecordProcessor):
    def on_start(self, span, parent_context=None):
        raise RuntimeError("hostile")

    def on_end(self, span):
        raise RuntimeError("hostile")

    def on_emit(self, log_record):
        raise RuntimeError("hostile")

    def shutdown(self):
        raise RuntimeError("hostile")

    def force_flush(self, timeout_millis=30000):
        raise RuntimeError("hostile")


def test_case_25_processors_that_raise(make_service, receiver, caplog, figure):
    """No exception reaches the service, everything is delivered, and the log names the plug-in once."""
    service = make_service()
    with caplog.at_level(logging.WARNING, "otel_ml"):
        service.engine.tracer_provider.add_span_processor(Broken())
        service.engine.logger_provider.add_log_record_processor(Broken())
        for _ in range(5):
            with service.engine.tracer("user").start_as_current_span("request"):
                service.engine.logger_provider.get_logger("user").emit(body="hello")
                service.predict()
        service.flush()

    names = [record.getMessage() for record in caplog.records if "Broken of this service" in record.getMessage()]
    assert len(names) == 1
    assert len(receiver.spans()) == 10
    assert service.balanced()


class BrokenSampler:
    def should_sample(self, *_, **__):
        raise RuntimeError("hostile")

    def get_description(self):
        return "Broken"


def test_case_25_a_sampler_that_raises(make_service, receiver):
    """If the service's sampler raises, nothing is sampled, and no exception reaches the service."""
    service = make_service()
    provider = service.engine.tracer_provider
    provider.sampler = GuardedSampler(BrokenSampler())
    with provider.get_tracer("user").start_as_current_span("request") as span:
        assert span.is_recording() is False

    assert service.flush()
    assert receiver.spans() == []


def test_case_25_callables_that_raise(make_service, receiver, figure):
    """Hooks of a model (`id`, `output`) that raise cost only their own result."""

    def hostile(*_):
        raise RuntimeError("hostile")

    service = make_service()
    model = otel_ml.Model("hooks", version="1", id=hostile, output=hostile, events="all")

    @model.track
    def predict(features):
        return {"prediction": 1, "probability": 0.5}

    assert [predict({"x": 1}) for _ in range(5)] == [{"prediction": 1, "probability": 0.5}] * 5
    assert service.flush()
    assert service.ledger() == Ledger(5, 5)


class Pick(int):
    """One of `STRUCTURES` by its index: Hypothesis prints what it draws."""


def unwrapped(value):
    return STRUCTURES[value] if isinstance(value, Pick) else value


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=8,
) | st.integers(0, len(STRUCTURES) - 1).map(Pick)
CALLS = 0


@settings(max_examples=150, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(a=ANYTHING, b=ANYTHING, c=ANYTHING, d=ANYTHING)
def test_case_25_any_argument_of_any_public_call(telemetry, a, b, c, d):
    """No argument makes a public call of a running model raise, and everything produced is delivered."""
    global CALLS
    a, b, c, d = map(unwrapped, (a, b, c, d))
    model = otel_ml.Model("fuzzed", version="1", events="all", capture_features="all")
    with model.prediction(a, id=b) as prediction:
        prediction.set_output(prediction=c, score=d)
        otel_ml.current_prediction().set_output(a)
        with prediction.stage(b):
            pass
        span = prediction.trace_id and otel_ml.current_prediction()
        assert span is not None
    model.record(a, prediction=b, score=c, duration=d, id=a)
    model.record_error(a, b, id=c)
    for batch in (a, [a, b], (c, d)):
        with model.prediction(batch) as prediction:
            prediction.set_output(prediction=batch, score=d)
    CALLS += 15
    telemetry.flush()
    ledger = telemetry.ledger()["logs"]
    assert ledger.produced == ledger.delivered


def test_case_25_calls_fuzzed(figure):
    """Prints the number of calls."""
    figure(25, calls=CALLS)
    assert CALLS == 0 or CALLS >= 15 * 100
