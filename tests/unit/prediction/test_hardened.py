"""What hostile and unusual callers do to a prediction."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from opentelemetry import trace
from opentelemetry.context import get_current

import otel_ml
from otel_ml import _guard
from otel_ml.testing import InMemoryTelemetry

FRAME = pd.DataFrame(
    {
        "ssn": [f"{index:09d}" for index in range(400)],
        "age": [20 + index % 50 for index in range(400)],
        "income": [1000 * (index % 40) for index in range(400)],
    }
)
MODES = ("own", "guest")


@pytest.fixture(params=MODES)
def kit(request: pytest.FixtureRequest) -> Any:
    """Telemetry in memory in both modes."""
    with InMemoryTelemetry(request.param) as kit:
        yield kit


@pytest.fixture(scope="module")
def profile() -> Any:
    """A profile whose sensitive column is refused at fit, since it looks like an identifier."""
    with pytest.warns(UserWarning, match="ssn"):
        return otel_ml.ReferenceProfile.fit(FRAME, sensitive=("ssn",), importance={"income": 2.0, "age": 1.0})


def everything(kit: InMemoryTelemetry) -> str:
    return json.dumps([kit.spans(), kit.logs(), kit.metrics()])


@pytest.mark.parametrize("capture", ["declared", "all"])
@pytest.mark.parametrize(
    "features",
    [
        ["canary-ssn", 41, 5000],
        np.array([["canary-ssn", 41, 5000]], dtype=object),
        [["canary-ssn", 41]],
        {"ssn": "canary-ssn", "age": 41},
        {"applicant": {"ssn": "canary-ssn", "age": 41}},
        {"ssn": "canary-ssn", b"ssn": "canary-ssn"},
        pd.DataFrame({"ssn": ["canary-ssn"], "age": [41]}),
        [{"ssn": "canary-ssn"}, {"ssn": "canary-ssn"}],
    ],
    ids=["list", "array", "narrow", "mapping", "nested", "twice", "frame", "rows"],
)
def test_sensitive_columns_never_leave(kit: Any, profile: Any, capture: Any, features: Any) -> None:
    """No form of features exports them, with or without names, with tracking, a block or `record`."""
    model = otel_ml.Model("m", "1", profile=profile, capture_features=capture)

    @model.track
    def predict(features: Any) -> dict[str, Any]:
        return {"prediction": 1, "probability": 0.5}

    @model.track
    def fail(features: Any) -> None:
        if kit.mode == "own":  # in guest mode the span is the other SDK's, and so is what the service puts on it
            trace.get_current_span().record_exception(ValueError(f"user_{features}"))
        raise ValueError(f"{features!r}"[2:])

    predict(features)
    model.record(features, prediction=1)
    with pytest.raises(ValueError, match="."):
        fail(features)

    assert "canary-ssn" not in everything(kit)


def test_values_without_names_get_them_only_if_they_fit(kit: Any, profile: Any) -> None:
    """The names are those of the training frame in its own order, not of the monitored columns by importance."""
    model = otel_ml.Model("m", "1", profile=profile)
    model.record(["123", 41, 5000], prediction=1)
    model.record([41, 5000], prediction=1)
    bodies = [json.loads(event["body"]) for event in kit.events("ml.prediction")]

    assert [body.get("features") for body in bodies] == [{"age": 41, "income": 5000}, None]


def test_log_lines_inside_a_prediction_are_redacted(kit: Any, profile: Any) -> None:
    """A log line is exported with sensitive values replaced; an exception's message is not exported."""
    logger = logging.getLogger("test.redacted")
    undo = otel_ml.instrument_logging(logger)

    @otel_ml.Model("m", "1", profile=profile).track
    def predict(features: Any) -> dict[str, Any]:
        features_ssn = features.pop("ssn")
        try:
            raise LookupError(features_ssn)
        except LookupError:
            logger.exception("cannot find %s", features_ssn, extra={"who": features_ssn})
        return {"prediction": 1}

    predict({"ssn": "canary-ssn", "age": 1})
    undo()
    (line,) = [record for record in kit.logs() if record["event_name"] != "ml.prediction"]

    assert line["body"] == "cannot find ***"
    assert "canary-ssn" not in everything(kit)


@pytest.mark.parametrize("step", [_guard.call, _guard.call_two])
def test_an_exception_of_a_signal_handler_reaches_the_service(step: Any) -> None:
    """Time limits that raise out of a handler work inside a step of otel-ml, too."""

    class TimeLimitError(Exception):
        pass

    def strike(*_: Any) -> None:
        raise TimeLimitError

    former = signal.signal(signal.SIGUSR1, strike)
    try:
        with pytest.raises(TimeLimitError):
            step("test", lambda number, _: signal.raise_signal(number), signal.SIGUSR1, None)
        with pytest.raises(TimeLimitError):
            _guard.attempt(signal.raise_signal, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_callables_that_give_awaitables_are_awaited(kit: Any) -> None:
    """An object with an asynchronous `__call__`, and a function that returns a coroutine, are measured as coroutines."""

    class Scorer:
        async def __call__(self, features: Any) -> dict[str, Any]:
            await asyncio.sleep(0.01)
            return {"prediction": "x", "score": 0.5}

    async def fails(features: Any) -> None:
        await asyncio.sleep(0)
        raise KeyError("k")

    model = otel_ml.Model("m", "1")
    scorer = model.track(Scorer().__call__)
    by_object = model.track(Scorer())
    by_lambda = model.track(lambda features: fails(features))
    asyncio.run(scorer({}))
    asyncio.run(by_object({}))
    with pytest.raises(KeyError):
        asyncio.run(by_lambda({}))
    metrics = kit.metrics()

    assert metrics["ml.predictions"][0]["value"] == 2
    assert [p["value"] for p in metrics["ml.prediction.errors"] if p["attributes"].get("error.type")] == [1]
    assert [p["min"] > 0.009 for p in metrics["ml.prediction.duration"] if not p["attributes"].get("error.type")] == [
        True
    ]


def test_a_prediction_is_begun_once(kit: Any) -> None:
    """Entering it again, or leaving it without entering, counts nothing twice and leaves no active prediction."""
    model = otel_ml.Model("m", "1")
    prediction = model.prediction({})
    with prediction, prediction:
        prediction.set_output("x")
    never = model.prediction({})
    never.__exit__(None, None, None)
    assert (len(prediction.trace_id), len(never.trace_id)) == (32, 32)

    assert sum(p["value"] for p in kit.metrics()["ml.predictions"]) == 1
    assert [p["value"] for p in kit.metrics()["ml.prediction.active"]] == [0]
    assert len(kit.spans()) == 1


@pytest.mark.parametrize("asked", ["__getattr__", "__hash__"])
def test_a_result_whose_class_misbehaves_reaches_the_caller(kit: Any, asked: str) -> None:
    """A class that raises when it is checked for `__await__` costs neither the result nor the context."""

    def fail(*_: Any) -> Any:
        raise RuntimeError

    kind = type("Meta", (type,), {asked: fail})("Lazy", (), {})
    result = kind()
    before = get_current()

    assert otel_ml.Model("m", "1").track(lambda features: result)({}) is result
    assert get_current() is before
    assert [point["value"] for point in kit.metrics()["ml.prediction.active"]] == [0]
    assert len(kit.spans()) == 1


def test_hostile_exceptions_are_counted_as_errors(kit: Any) -> None:
    """An exception whose class or text misbehaves is still one error with one event."""

    class Text(str):
        __slots__ = ()

        def __getitem__(self, key: Any) -> Any:
            raise RuntimeError

    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            if name in ("__qualname__", "__module__", "__name__"):
                raise RuntimeError
            return super().__getattribute__(name)

    class FirstError(Exception):
        def __str__(self) -> str:
            return Text("x")

    class SecondError(Exception, metaclass=Meta):
        pass

    model = otel_ml.Model("m", "1")
    for kind in (FirstError, SecondError):

        def raise_it(features: Any, kind: Any = kind) -> None:
            raise kind

        with pytest.raises(kind):
            model.track(raise_it)({})

    assert sum(p["value"] for p in kit.metrics()["ml.prediction.errors"]) == 2
    assert len(kit.events("ml.prediction")) == 2


@pytest.mark.parametrize("features", [pd.DataFrame({"age": [41]}), [{"age": 41}], np.array([[41]])])
def test_one_row_keeps_its_features(kit: Any, features: Any) -> None:
    """A frame, a list or an array with one row and a single result is a single prediction with features."""
    model = otel_ml.Model("m", "1", task="binary", capture_features="all")
    model.track(lambda features: {"prediction": 1, "probability": 0.5})(features)
    (event,) = kit.events("ml.prediction")

    assert list(json.loads(event["body"])["features"].values()) == [41]


def test_handles_of_one_model_share_their_labels(kit: Any) -> None:
    """Classes, stages and error types are bounded for each model, not for each handle."""
    for index in range(60):
        model = otel_ml.Model("m", "1", task="multiclass")
        model.record(prediction=f"class-{index}")
        with model.prediction() as prediction, prediction.stage(f"stage-{index}"):
            prediction.set_output("x")
    metrics = kit.metrics()

    assert len({p["attributes"].get("ml.prediction.class") for p in metrics["ml.predictions"]}) <= 21
    assert len(metrics["ml.prediction.stage.duration"]) <= 33


@pytest.mark.parametrize(
    "call",
    [
        lambda model, bad: model.record(prediction=1, batch=bad),
        lambda model, bad: model.record(prediction=1, duration=bad),
        lambda model, bad: model.record(prediction=1, id=bad),
        lambda model, bad: model.prediction({}, id=bad),
        lambda model, bad: model.record_error(bad),
        lambda model, bad: model.record({}, prediction=bad, score=bad),
    ],
)
def test_hostile_arguments_raise_nothing(kit: Any, call: Any) -> None:
    """An argument whose every method fails costs at most its own value."""

    class Bad:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError

        __bool__ = __eq__ = __hash__ = __float__ = __str__ = __len__ = __iter__ = None

    call(otel_ml.Model("m", "1"), Bad())


def test_set_output_takes_the_common_result(kit: Any) -> None:
    """`set_output` takes the mapping that a tracked function may return."""
    with otel_ml.Model("m", "1").prediction({}) as prediction:
        prediction.set_output({"prediction": 1, "probability": 0.9})
    attributes = kit.spans()[0]["attributes"]

    assert (attributes["ml.prediction.class"], attributes["ml.prediction.score"]) == ("1", 0.9)


def test_the_store_is_complete_whichever_ends_first(kit: Any, tmp_path: Any) -> None:
    """`flush`, `compute_metrics` and `close` of the store wait for what the worker still holds."""
    truth = otel_ml.GroundTruth(f"sqlite:///{tmp_path / 'predictions.db'}")
    model = otel_ml.Model("m", "1", task="binary", classes=["0", "1"], ground_truth=truth)
    ids = [model.record(prediction=1, score=0.9).id for _ in range(200)]
    states = truth.record_labels((prediction_id, 1) for prediction_id in ids)
    counted = truth.compute_metrics(0, 4_102_444_800, model="m")["count"]
    more = [model.record(prediction=1, score=0.9).id for _ in range(200)]

    assert (sum(states.values()), counted) == (200, 200)
    assert truth.close()
    assert truth.dropped == 0
    again = otel_ml.GroundTruth(f"sqlite:///{tmp_path / 'predictions.db'}")
    assert {again.record_label(prediction_id, 1) for prediction_id in more} == {"matched"}
    again.close()
