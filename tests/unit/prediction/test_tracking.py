"""The decorator around every kind of function."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import trace

import otel_ml
from otel_ml.testing import InMemoryTelemetry

RESULT = {"prediction": 1, "probability": 0.9}


def make_model(**keywords: Any) -> otel_ml.Model:
    return otel_ml.Model("m", "1", task="binary", capture_features="all", **keywords)


def only_span(telemetry: InMemoryTelemetry) -> dict[str, Any]:
    (span,) = telemetry.spans()
    return span


def features_in_events(telemetry: InMemoryTelemetry) -> list[str]:
    return [event["body"] for event in telemetry.events("ml.prediction")]


def test_a_function_keeps_its_result_name_and_signature(telemetry: InMemoryTelemetry) -> None:
    """The result is the same object; the wrapper looks like the function."""

    def predict(features: dict[str, float], *, threshold: float = 0.5) -> dict[str, Any]:
        """Predicts."""
        return RESULT

    tracked = make_model().track(predict)

    assert tracked({"a": 1.0}) is RESULT
    assert (tracked.__name__, tracked.__doc__) == ("predict", "Predicts.")
    assert inspect.signature(tracked) == inspect.signature(predict, eval_str=True)


def test_the_users_exception_passes_as_the_same_object(telemetry: InMemoryTelemetry) -> None:
    """The exception reaches the caller as the same object, and the span records it."""
    error = LookupError("no such row")

    @make_model().track
    def predict(features: Any) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        predict({"a": 1})
    span = only_span(telemetry)

    assert caught.value is error
    assert (span["status"], span["attributes"]["error.type"]) == ("ERROR", "LookupError")
    assert [event["name"] for event in span["events"]] == ["exception"]


def test_a_coroutine_is_current_while_it_runs(telemetry: InMemoryTelemetry) -> None:
    """Spans that the awaited code opens have the prediction as parent; tasks do not see each other's."""

    @make_model().track
    async def predict(features: dict[str, int]) -> dict[str, Any]:
        mine = otel_ml.current_prediction().id
        await asyncio.sleep(0)
        assert otel_ml.current_prediction().id == mine
        with trace.get_tracer("user").start_as_current_span("inside"):
            await asyncio.sleep(0)
        return RESULT

    async def both() -> None:
        await asyncio.gather(predict({"a": 1}), predict({"a": 2}))

    asyncio.run(both())
    spans = telemetry.spans()
    predictions = {span["span_id"] for span in spans if span["name"] == "predict m"}

    assert len(predictions) == 2
    assert {span["parent_span_id"] for span in spans if span["name"] == "inside"} == predictions


def test_a_cancelled_coroutine_is_not_an_error(telemetry: InMemoryTelemetry) -> None:
    """The caller gave up: counted as `cancelled`, the status stays unset, and no exception event."""

    @make_model().track
    async def predict(features: Any) -> None:
        await asyncio.sleep(60)

    async def give_up() -> None:
        task = asyncio.ensure_future(predict({"a": 1}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    span = only_span(telemetry)

    assert (span["status"], span["events"], span["attributes"]["error.type"]) == ("UNSET", [], "cancelled")


def test_a_generator_is_current_only_inside_its_steps(telemetry: InMemoryTelemetry) -> None:
    """Between two items the consumer's context is its own; first item and total are measured."""

    @make_model().track
    def predict(features: Any) -> Iterator[str]:
        yield otel_ml.current_prediction().id
        yield otel_ml.current_prediction().id

    ids, between = [], []
    for item in predict({"a": 1}):
        ids.append(item)
        between.append(otel_ml.current_prediction().id)

    assert (len(set(ids)), between) == (1, ["", ""])
    assert telemetry.metrics()["ml.prediction.first_item.duration"][0]["count"] == 1
    assert only_span(telemetry)["attributes"]["ml.prediction.id"] == ids[0]


def test_a_generator_takes_what_is_sent_and_thrown(telemetry: InMemoryTelemetry) -> None:
    """`send`, `throw` and the returned value work as without the decorator."""

    @make_model().track
    def predict(features: Any) -> Any:
        received = yield "first"
        try:
            yield received
        except KeyError:
            yield "caught"
        return RESULT

    stream = predict({"a": 1})
    seen = [next(stream), stream.send("sent"), stream.throw(KeyError("k"))]
    with pytest.raises(StopIteration) as stop:
        next(stream)

    assert (seen, stop.value.value) == (["first", "sent", "caught"], RESULT)
    assert only_span(telemetry)["attributes"]["ml.prediction.class"] == "1"


def test_a_stream_that_is_not_read_to_its_end_is_finished(telemetry: InMemoryTelemetry) -> None:
    """A closed generator runs the user's cleanup once and counts as cancelled."""
    cleaned = []

    @make_model().track
    def predict(features: Any) -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append(True)

    stream = predict({"a": 1})
    next(stream)
    stream.close()

    assert cleaned == [True]
    assert only_span(telemetry)["attributes"]["error.type"] == "cancelled"


def test_an_async_generator_closed_elsewhere_leaves_no_trace_in_the_context(telemetry: InMemoryTelemetry) -> None:
    """Closing an asynchronous stream from another task detaches only its own context."""

    @make_model().track
    async def predict(features: Any) -> AsyncIterator[int]:
        yield 1
        yield 2

    async def run() -> str:
        stream: Any = predict({"a": 1})
        await stream.__anext__()
        await asyncio.get_running_loop().create_task(stream.aclose())
        return otel_ml.current_prediction().id

    assert asyncio.run(run()) == ""
    assert only_span(telemetry)["attributes"]["error.type"] == "cancelled"


def test_methods_find_their_features(telemetry: InMemoryTelemetry) -> None:
    """`self` and `cls` are not features; a parameter named `features` is, in any position."""
    model = make_model()

    class Scorer:
        @model.track
        def predict(self, row: dict[str, int]) -> dict[str, Any]:
            return RESULT

        @classmethod
        @model.track
        def of_class(cls, row: dict[str, int]) -> dict[str, Any]:
            return RESULT

        @staticmethod
        @model.track
        def named(request: str, features: dict[str, int]) -> dict[str, Any]:
            return RESULT

    Scorer().predict({"a": 1})
    Scorer.of_class({"a": 2})
    Scorer.named("request", features={"a": 3})

    assert features_in_events(telemetry) == [
        f'{{"features":{{"a":{number}}},"prediction":"1","score":0.9}}' for number in (1, 2, 3)
    ]


def test_track_prediction_is_the_same_in_one_line(telemetry: InMemoryTelemetry) -> None:
    """The decorator factory takes the keywords of `Model`."""

    @otel_ml.track_prediction("one", "2", role="shadow", task="binary")
    def predict(features: Any) -> dict[str, Any]:
        return RESULT

    predict({"a": 1})
    attributes = only_span(telemetry)["attributes"]

    assert [attributes[name] for name in ("ml.model.name", "ml.model.version", "ml.model.role")] == [
        "one",
        "2",
        "shadow",
    ]


def test_nested_predictions_are_parent_and_child(telemetry: InMemoryTelemetry) -> None:
    """A model that calls another one: one trace, two predictions, each with its own id."""
    inner_model, outer_model = otel_ml.Model("inner", "1"), otel_ml.Model("outer", "1")

    @inner_model.track
    def inner(features: Any) -> int:
        return 1

    @outer_model.track
    def outer(features: Any) -> int:
        return inner(features)

    outer({"a": 1})
    spans = {span["name"]: span for span in telemetry.spans()}

    assert spans["predict inner"]["parent_span_id"] == spans["predict outer"]["span_id"]
    assert spans["predict inner"]["trace_id"] == spans["predict outer"]["trace_id"]
    assert otel_ml.current_prediction().id == ""
