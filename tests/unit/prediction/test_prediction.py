"""One prediction from its start to its telemetry."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import otel_ml
from otel_ml import _guard
from otel_ml._telemetry import withholding
from otel_ml._telemetry.ports import SamplingRule
from otel_ml.prediction._failure import describe
from otel_ml.testing import CountingIds, FixedClock, InMemoryTelemetry

FRAME = {"age": [20 + index % 50 for index in range(400)], "ssn": ["s1", "s2"] * 200}
PROFILE = otel_ml.ReferenceProfile.fit(FRAME, categorical=("ssn",), sensitive=("ssn",))


def bodies(telemetry: InMemoryTelemetry) -> list[dict[str, Any]]:
    return [json.loads(event["body"]) for event in telemetry.events("ml.prediction")]


def sample_nothing(telemetry: InMemoryTelemetry) -> None:
    telemetry._engine._sampling.sampler = ALWAYS_OFF
    telemetry._engine.sampling_rule = SamplingRule(follows_parent=False, bound=0)


def point(telemetry: InMemoryTelemetry, name: str) -> dict[str, Any]:
    (found,) = telemetry.metrics()[name]
    return found


def test_span_event_and_metrics_of_a_block() -> None:
    """Under a fixed clock and counted ids the whole telemetry of one block is known."""
    clock = FixedClock()
    with InMemoryTelemetry(clock=clock, ids=CountingIds()) as telemetry:
        model = otel_ml.Model("m", "1", task="binary")
        with model.prediction({"a": 1}) as prediction:
            clock.advance(0.25)
            prediction.set_output(prediction=1, score=0.75)
        (span,) = telemetry.spans()
        (event,) = telemetry.events("ml.prediction")
        duration = point(telemetry, "ml.prediction.duration")

    identity = {"ml.model.name": "m", "ml.model.version": "1", "ml.model.role": "primary"}
    result = {"ml.prediction.id": prediction.id, "ml.prediction.class": "1", "ml.prediction.score": 0.75}
    assert span["attributes"] == {**identity, **result, "otelml.exemplar": True}
    assert span["end_ns"] - span["start_ns"] == 250_000_000
    about = {"ml.model.task": "binary", "ml.prediction.duration": 0.25}
    assert event["attributes"] == {**identity, **result, **about}
    assert (event["trace_id"], event["span_id"]) == (span["trace_id"], span["span_id"])
    assert (prediction.trace_id, prediction.span_id) == (span["trace_id"], span["span_id"])
    assert (duration["count"], duration["sum"]) == (1, 0.25)
    assert [exemplar["span_id"] for exemplar in duration["exemplars"]] == [span["span_id"]]


@pytest.mark.parametrize("settings", [{}, {"sampled_out": True}])
def test_stages_are_child_spans_and_durations(settings: dict[str, bool]) -> None:
    """A stage is counted whether or not its trace is sampled; nested stages nest."""
    with InMemoryTelemetry() as telemetry:
        if settings:
            sample_nothing(telemetry)
        model = otel_ml.Model("m", "1")
        with model.prediction({"a": 1}) as prediction, prediction.stage("outer"), prediction.stage("inner"):
            prediction.set_output(1)
        spans = {span["name"]: span for span in telemetry.spans()}
        stages = telemetry.metrics()["ml.prediction.stage.duration"]

    assert sorted(found["attributes"]["ml.stage.name"] for found in stages) == ["inner", "outer"]
    if settings:
        assert spans == {}
    else:
        assert spans["inner"]["parent_span_id"] == spans["outer"]["span_id"]
        assert spans["outer"]["parent_span_id"] == spans["predict m"]["span_id"]


def test_a_failed_stage_marks_its_span(telemetry: InMemoryTelemetry) -> None:
    """Stage and prediction carry the error type; only the prediction has the exception event."""
    model = otel_ml.Model("m", "1")
    with pytest.raises(KeyError), model.prediction({"a": 1}) as prediction, prediction.stage("load"):
        raise KeyError("k")
    spans = {span["name"]: span for span in telemetry.spans()}

    assert spans["load"]["attributes"]["error.type"] == spans["predict m"]["attributes"]["error.type"] == "KeyError"
    assert (len(spans["load"]["events"]), len(spans["predict m"]["events"])) == (0, 1)


def test_spans_below_an_unsampled_prediction_are_not_sampled() -> None:
    """The provider's sampler decides; unsampled predictions are counted but never become exemplars."""
    with InMemoryTelemetry() as telemetry:
        sample_nothing(telemetry)
        model = otel_ml.Model("m", "1")
        with model.prediction({"a": 1}) as prediction:
            with trace.get_tracer("user").start_as_current_span("below") as below:
                assert not below.is_recording()
            prediction.set_output(1)
        duration = point(telemetry, "ml.prediction.duration")

        assert (telemetry.spans(), telemetry.logs()) == ([], [])
        assert (duration["count"], duration["exemplars"]) == (1, [])


def test_errors_and_unsure_predictions_keep_their_event() -> None:
    """A failed or unsure prediction emits its event even if its trace is not sampled."""
    with InMemoryTelemetry() as telemetry:
        sample_nothing(telemetry)
        model = otel_ml.Model("m", "1", task="multiclass")
        model.record({"a": 1}, prediction="x", score=0.9)
        model.record({"a": 1}, prediction="y", score=0.3)
        model.record_error("broken", {"a": 1})

        assert [event["severity"] for event in telemetry.events("ml.prediction")] == ["INFO", "ERROR"]


@pytest.mark.parametrize(("events", "expected"), [("all", 2), ("sampled", 2), ("errors", 1), ("off", 0)])
def test_the_events_keyword(telemetry: InMemoryTelemetry, events: Any, expected: int) -> None:
    """`events` selects which predictions of a sampled trace emit an event."""
    model = otel_ml.Model("m", "1", events=events)
    model.record(prediction=1, score=0.9)
    model.record_error("broken")

    assert len(telemetry.events("ml.prediction")) == expected


def test_only_declared_and_insensitive_columns_leave(telemetry: InMemoryTelemetry) -> None:
    """Columns that the profile does not know stay in the process, and sensitive ones always do."""
    row = {"age": 30, "ssn": "s1", "note": "private"}
    for capture in ("declared", "all", "none"):
        with otel_ml.Model("m", "1", profile=PROFILE, capture_features=capture).prediction(row) as prediction:
            prediction.set_output(1)
    otel_ml.Model("m", "1", profile=PROFILE).record(row, prediction=1)

    assert [body.get("features") for body in bodies(telemetry)] == [
        {"age": 30},
        {"age": 30, "note": "private"},
        None,
        {"age": 30, "note": "private"},
    ]


def with_block(model: otel_ml.Model) -> None:
    with model.prediction({"a": 1}) as prediction:
        prediction.set_output(1)


def with_decorator(model: otel_ml.Model) -> None:
    model.track(lambda features: {"prediction": 1, "probability": 0.9})({"a": 1})


@pytest.mark.parametrize("predict", [with_block, with_decorator])
def test_undeclared_features_stay_in_the_process(
    telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, predict: Callable[[otel_ml.Model], None]
) -> None:
    """Without a declaration no feature is exported; one log line names the remedy, on both paths."""
    model = otel_ml.Model("m", "1")
    for _ in range(3):
        predict(model)

    assert [body.get("features") for body in bodies(telemetry)] == [None] * 3
    line = (
        "otel-ml: the features of model 'm' stay in the process; declare them with profile=... or schema=..., "
        "or set capture_features='all' (OTEL_ML_CAPTURE_FEATURES=all)"
    )
    assert [record.getMessage() for record in caplog.records if "stay in the process" in record.getMessage()] == [line]


def test_exception_texts_of_a_sensitive_model_are_withheld(telemetry: InMemoryTelemetry) -> None:
    """A message could quote a sensitive value in any form: only type and code lines are exported."""

    @otel_ml.Model("m", "1", profile=PROFILE).track
    def predict(features: dict[str, Any]) -> None:
        raise ValueError(f"no person {features['ssn']}")

    with pytest.raises(ValueError, match="canary-7"):
        predict({"age": 30, "ssn": "canary-7"})

    assert "canary-7" not in json.dumps([telemetry.spans(), telemetry.logs(), telemetry.metrics()])
    assert telemetry.spans()[0]["status_message"] == withholding.WITHHELD


def test_a_batch_is_one_span_and_counts_rows(telemetry: InMemoryTelemetry) -> None:
    """One call with n rows is n predictions by class and score, and one event with the rows' ids."""
    rows = [{"age": age} for age in (20, 30, 40)]
    model = otel_ml.Model("m", "1", task="binary", capture_features="all")

    @model.track
    def predict(features: list[dict[str, int]]) -> list[dict[str, Any]]:
        return [{"prediction": index % 2, "probability": 0.5} for index in range(3)]

    predict(rows)
    (span,), metrics = telemetry.spans(), telemetry.metrics()

    assert span["attributes"]["ml.prediction.batch.size"] == 3
    assert {p["attributes"]["ml.prediction.class"]: p["value"] for p in metrics["ml.predictions"]} == {"0": 2, "1": 1}
    assert metrics["ml.prediction.score"][0]["count"] == 3
    prediction_id = span["attributes"]["ml.prediction.id"]
    assert bodies(telemetry) == [
        {
            "rows": [
                {"id": f"{prediction_id}.{i}", "features": rows[i], "prediction": str(i % 2), "score": 0.5}
                for i in range(3)
            ]
        }
    ]


def test_an_event_carries_at_most_100_rows(telemetry: InMemoryTelemetry) -> None:
    """A large batch stays one bounded event that counts the rows it leaves out."""
    model = otel_ml.Model("m", "1", task="regression")
    model.record(prediction=[1.0] * 250, batch=True)
    (body,) = bodies(telemetry)

    assert (len(body["rows"]), body["rows_omitted"]) == (100, 150)
    assert point(telemetry, "ml.predictions")["value"] == 250


@pytest.mark.parametrize(
    ("keyword", "given", "expected"),
    [
        (None, "mine", "mine"),
        (None, 17, "17"),
        (None, lambda features: f"f-{features['key']}", "f-9"),
        (lambda features: features["key"], None, "9"),
    ],
)
def test_ids_are_values_or_callables(telemetry: InMemoryTelemetry, keyword: Any, given: Any, expected: str) -> None:
    """An id is a value or read from the features; the call's wins over the model's."""
    prediction = otel_ml.Model("m", "1", id=keyword).record({"key": 9}, prediction=1, id=given)

    assert prediction.id == expected


def test_a_failing_id_callable_costs_nothing_but_its_id(telemetry: InMemoryTelemetry) -> None:
    """If the user's callable raises, the prediction gets a generated id."""
    prediction = otel_ml.Model("m", "1", id=lambda features: features["absent"]).record({"key": 9}, prediction=1)

    assert len(prediction.id) == 32
    assert len(telemetry.spans()) == 1


def test_a_prediction_made_elsewhere_ends_now_and_began_before(telemetry: InMemoryTelemetry) -> None:
    """`record` dates the start back by the duration."""
    otel_ml.Model("m", "1", task="regression").record(prediction=4.5, duration=1.5)
    (span,) = telemetry.spans()

    assert span["end_ns"] - span["start_ns"] == 1_500_000_000
    assert span["attributes"]["ml.prediction.value"] == 4.5


def test_an_unrecognised_result_is_counted_and_logged_once(
    telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller's result is untouched, the prediction is counted without a class."""
    result = object()
    predict = otel_ml.Model("m", "1").track(lambda features: result)

    assert [predict({}), predict({})] == [result, result]
    assert point(telemetry, "otelml.unrecognised.outputs")["value"] == 2
    assert point(telemetry, "ml.predictions")["value"] == 2
    assert sum("no prediction was recognised" in record.getMessage() for record in caplog.records) == 1


def test_classes_are_bounded(telemetry: InMemoryTelemetry) -> None:
    """The first 20 classes are kept, all others share one; declared classes are a closed set."""
    model = otel_ml.Model("m", "1", task="multiclass")
    declared = otel_ml.Model("d", "1", task="multiclass", classes=["a", "b"])
    for index in range(30):
        model.record(prediction=f"c{index}")
    declared.record(prediction="z")
    points = telemetry.metrics()["ml.predictions"]
    of: dict[str, dict[str, int]] = {"m": {}, "d": {}}
    for found in points:
        of[found["attributes"]["ml.model.name"]][found["attributes"]["ml.prediction.class"]] = found["value"]

    assert (len(of["m"]), of["m"]["__other__"]) == (21, 10)
    assert of["d"] == {"a": 0, "b": 0, "__other__": 1}


def test_load_measures_and_dates(telemetry: InMemoryTelemetry) -> None:
    """Loading a model records a duration and a timestamp; a failed load records neither."""
    model, broken = otel_ml.Model("m", "1"), otel_ml.Model("broken", "1")
    with model.load():
        pass
    with pytest.raises(OSError, match="no file"), broken.load():
        raise OSError("no file")
    metrics = telemetry.metrics()

    assert [p["attributes"]["ml.model.name"] for p in metrics["ml.model.load.timestamp"]] == ["m"]
    assert [p["attributes"]["ml.model.name"] for p in metrics["ml.model.load.duration"]] == ["m"]


def test_threads_lose_no_count(telemetry: InMemoryTelemetry) -> None:
    """Cells of living and ended threads add up; nothing is in flight at the end."""
    predict = otel_ml.Model("m", "1").track(lambda features: 1)

    def work() -> None:
        for _ in range(500):
            predict({})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert point(telemetry, "ml.predictions")["value"] == 4000
    assert point(telemetry, "ml.prediction.active")["value"] == 0


def test_the_error_counter_starts_at_zero(telemetry: InMemoryTelemetry) -> None:
    """A model without traffic has its series, so that the first error is an increase."""
    model = otel_ml.Model("m", "1")

    assert point(telemetry, "ml.prediction.errors") | {"attributes": {}} == {
        **point(telemetry, "ml.prediction.errors"),
        "value": 0,
        "attributes": {},
    }
    assert model.name == "m"


def test_a_failure_of_ours_never_reaches_the_user(telemetry: InMemoryTelemetry) -> None:
    """When the engine breaks, the user's result passes, and one internal error is counted for each step."""
    telemetry.internal_errors_expected = True
    model = otel_ml.Model("m", "1")
    predict = model.track(lambda features: {"prediction": 1})
    model._handle.binding.offer = None

    assert predict({"a": 1}) == {"prediction": 1}
    assert _guard.counts() == {"prediction.close": 1}
    assert point(telemetry, "ml.prediction.active")["value"] == 0


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"name": ""}, "the name of a model must be a text that is not empty"),
        ({"name": "m", "role": "main"}, "role='main' is not one of primary, canary, shadow"),
        ({"name": "m", "task": "classify"}, "task='classify' is not one of binary, multiclass"),
        ({"name": "m", "classes": "spam"}, "classes='spam' is not a sequence of classes"),
        ({"name": "m", "classes": 2}, "classes=2 is not a sequence of classes"),
        ({"name": "m", "classes": {"spam"}}, "classes={'spam'} is not a sequence of classes"),
        ({"name": "m", "task": "binary", "classes": [0, 1, 2]}, "task='binary' has two classes, not 3"),
        ({"name": "m", "events": "some"}, "events='some' is not one of sampled, all, errors, off"),
        ({"name": "m", "capture_features": "some"}, "capture_features='some' is not one of declared, all, none"),
    ],
)
def test_a_wrong_argument_fails_before_any_traffic(keywords: dict[str, Any], message: str) -> None:
    """One clear line names the argument and the allowed values."""
    with pytest.raises(otel_ml.ConfigError, match=message):
        otel_ml.Model(**keywords)


def test_an_exception_with_a_hostile_text_is_described() -> None:
    """The type is kept when the exception has no readable text."""

    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    failure = describe(HostileError())

    assert (failure.type.rpartition(".")[2], failure.message) == ("HostileError", "")


class HeldUp(FixedClock):
    """A clock whose thread is paused for four milliseconds after its first reading of each start."""

    reads = 0

    def time_ns(self) -> int:
        return self._read(super().time_ns())

    def perf_counter_ns(self) -> int:
        return self._read(super().perf_counter_ns())

    def _read(self, value: int) -> int:
        self.reads += 1
        if self.reads == 1:
            self.advance(0.004)
        return value


@pytest.mark.parametrize("of", ["the prediction", "a stage"])
def test_a_pause_between_two_clocks_puts_no_end_into_the_future(of: str) -> None:
    """Nothing that follows a prediction is dated before its end, in spans and events."""
    clock = HeldUp()
    with InMemoryTelemetry(clock=clock) as telemetry:
        clock.reads = 0 if of == "the prediction" else 1
        with otel_ml.Model("m", "1").prediction() as prediction:
            clock.reads = 0 if of == "a stage" else 1
            with prediction.stage("s"):
                clock.advance(0.001)
        now = FixedClock.time_ns(clock)
        ends = [span["end_ns"] for span in telemetry.spans()]

        assert (len(ends), max(ends) <= now) == (2, True)
