"""A result that is not finished when the function returns is followed to its end.

Sources: langfuse/langfuse#7749, microsoft/promptflow#3120, pydantic/pydantic-ai#4173; mlflow/mlflow#25790 (a consumer that
stops early), openai/openai-agents-js#1767 (a consumer that stops at the last item), DataDog/dd-trace-py#13377 (the span is over before the stream begins), Arize-ai/openinference#2515 (a stream that
nobody reads leaks its span).
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as kit:
        yield kit


async def tokens(count: int = 3) -> AsyncIterator[int]:
    for index in range(count):
        await asyncio.sleep(0.02)
        yield index


def words(count: int = 3) -> Iterator[int]:
    for index in range(count):
        time.sleep(0.02)
        yield index


async def read(stream: Any) -> list[int]:
    return [item async for item in stream]


def plain_async(model: otel_ml.Model) -> list[int]:
    return asyncio.run(read(model.track(lambda features: tokens())({"a": 1})))


def awaited_async(model: otel_ml.Model) -> list[int]:
    @model.track
    async def generate(features: Any) -> Any:
        return tokens()

    async def run() -> list[int]:
        return await read(await generate({"a": 1}))

    return asyncio.run(run())


def plain(model: otel_ml.Model) -> list[int]:
    return list(model.track(lambda features: words())({"a": 1}))


@pytest.mark.parametrize("run", [plain, plain_async, awaited_async])
def test_a_returned_generator_is_followed(kit: InMemoryTelemetry, run: Callable[[otel_ml.Model], list[int]]) -> None:
    """The duration is that of the stream, its first item has a time, and nothing counts as not recognised."""
    assert run(otel_ml.Model("writer", "1")) == [0, 1, 2]
    metrics = kit.metrics()

    (duration,), (first,) = metrics["ml.prediction.duration"], metrics["ml.prediction.first_item.duration"]
    assert duration["count"] == first["count"] == 1
    assert duration["sum"] > 0.05
    assert 0.01 < first["sum"] < duration["sum"]
    assert sum(point["value"] for point in metrics.get("otelml.unrecognised.outputs", [])) == 0
    assert sum(point["value"] for point in metrics["ml.prediction.active"]) == 0


def test_a_stream_that_is_broken_off_or_never_read_is_cancelled(kit: InMemoryTelemetry) -> None:
    """Both end as cancelled calls, which are no errors, and no call stays active."""
    track = otel_ml.Model("writer", "1").track(lambda features: words())
    begun = track({"a": 1})
    assert next(begun) == 0
    begun.close()
    track({"a": 1})
    del begun
    gc.collect()
    metrics = kit.metrics()

    failed = {p["attributes"].get("error.type"): p["value"] for p in metrics["ml.prediction.errors"] if p["value"]}
    assert failed == {"cancelled": 2}
    assert sum(point["value"] for point in metrics["ml.prediction.active"]) == 0


def answer_then_say_done(features: Any) -> Iterator[str]:
    yield "yes"
    otel_ml.current_prediction().set_output(prediction="yes", score=0.9)
    yield "[DONE]"


async def answer_then_say_done_async(features: Any) -> AsyncIterator[str]:
    for item in answer_then_say_done(features):
        yield item


def read_until_done(stream: Iterator[str]) -> None:
    for item in stream:
        if item == "[DONE]":
            break


async def read_until_done_async(stream: Any) -> None:
    async for item in stream:
        if item == "[DONE]":
            break
    await stream.aclose()


@pytest.mark.parametrize("is_tracked_itself", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_stream_that_is_closed_after_its_output_is_a_prediction(
    kit: InMemoryTelemetry, is_async: bool, is_tracked_itself: bool
) -> None:
    """Readers stop at the item that says so and never ask for the end; a prediction whose output is known counts."""
    source: Any = answer_then_say_done_async if is_async else answer_then_say_done
    track = otel_ml.Model("writer", "1").track
    stream = (track(source) if is_tracked_itself else track(lambda features: source(features)))({"a": 1})
    if is_async:
        asyncio.run(read_until_done_async(stream))
    else:
        read_until_done(stream)
    del stream
    gc.collect()
    metrics = kit.metrics()

    counted = {p["attributes"].get("ml.prediction.class"): p["value"] for p in metrics["ml.predictions"] if p["value"]}
    assert counted == {"yes": 1}
    assert not [point for point in metrics["ml.prediction.errors"] if point["value"]]
    assert sum(point["value"] for point in metrics["ml.prediction.active"]) == 0


def answer_at_the_end(features: Any) -> Iterator[str]:
    try:
        yield "yes"
        yield "no"
    finally:
        otel_ml.current_prediction().set_output(prediction="yes", score=0.9)


async def answer_at_the_end_async(features: Any) -> AsyncIterator[str]:
    try:
        yield "yes"
        yield "no"
    finally:
        await asyncio.sleep(0)
        otel_ml.current_prediction().set_output(prediction="yes", score=0.9)


@pytest.mark.parametrize("is_tracked_itself", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_stream_that_is_closed_can_set_its_output_at_its_end(
    kit: InMemoryTelemetry, is_async: bool, is_tracked_itself: bool
) -> None:
    """The prediction is current in the `finally` of a stream whose reader stopped, and what is set there counts."""
    source: Any = answer_at_the_end_async if is_async else answer_at_the_end
    track = otel_ml.Model("writer", "1").track
    stream = (track(source) if is_tracked_itself else track(lambda features: source(features)))({"a": 1})

    async def read_one() -> None:
        await anext(stream)
        await stream.aclose()

    if is_async:
        asyncio.run(read_one())
    else:
        next(stream)
        stream.close()
    metrics = kit.metrics()

    counted = {p["attributes"].get("ml.prediction.class"): p["value"] for p in metrics["ml.predictions"] if p["value"]}
    assert counted == {"yes": 1}
    assert not [point for point in metrics["ml.prediction.errors"] if point["value"]]


def test_a_stream_that_fails_after_its_output_has_failed(kit: InMemoryTelemetry) -> None:
    """Only a reader that stops makes a prediction of it, not an error of the stream."""

    def broken(features: Any) -> Iterator[int]:
        otel_ml.current_prediction().set_output(prediction="yes")
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(otel_ml.Model("writer", "1").track(broken)({"a": 1}))

    failed = {
        p["attributes"].get("error.type"): p["value"] for p in kit.metrics()["ml.prediction.errors"] if p["value"]
    }
    assert failed == {"ValueError": 1}


def test_an_error_in_the_stream_is_the_error_of_the_prediction(kit: InMemoryTelemetry) -> None:
    """It passes through as the same object, and the span below the stream is a child of the prediction."""
    failure = ValueError("no more words")

    def broken() -> Iterator[int]:
        yield 1
        assert otel_ml.current_prediction().id
        raise failure

    stream = otel_ml.Model("writer", "1").track(lambda features: broken())({"a": 1})
    assert next(stream) == 1
    with pytest.raises(ValueError, match="no more words") as caught:
        next(stream)

    assert caught.value is failure
    failed = {
        p["attributes"].get("error.type"): p["value"] for p in kit.metrics()["ml.prediction.errors"] if p["value"]
    }
    assert failed == {"ValueError": 1}


def test_what_is_sent_into_a_returned_generator_arrives(kit: InMemoryTelemetry) -> None:
    """`send` and the returned value work as on the generator itself."""

    def dialogue() -> Any:
        heard = yield "hello"
        return {"prediction": heard, "probability": 0.9}

    stream = otel_ml.Model("writer", "1").track(lambda features: dialogue())({"a": 1})
    assert next(stream) == "hello"
    with pytest.raises(StopIteration) as stop:
        stream.send("yes")

    assert stop.value.value == {"prediction": "yes", "probability": 0.9}
    counted = {p["attributes"].get("ml.prediction.class"): p["value"] for p in kit.metrics()["ml.predictions"]}
    assert counted["yes"] == 1


def test_a_future_is_followed(kit: InMemoryTelemetry) -> None:
    """A job in a pool ends the prediction when it is done; the caller gets the same future."""
    is_tracked = threading.Event()
    with ThreadPoolExecutor(1) as pool:

        def slow() -> dict[str, Any]:
            is_tracked.wait(60)
            time.sleep(0.05)
            return {"prediction": 1, "probability": 0.9}

        future = pool.submit(slow)
        assert otel_ml.Model("writer", "1").track(lambda features: future)({"a": 1}) is future
        is_tracked.set()
        future.result()
    metrics = kit.metrics()

    assert sum(point["sum"] for point in metrics["ml.prediction.duration"]) > 0.03
    assert {p["attributes"].get("ml.prediction.class"): p["value"] for p in metrics["ml.predictions"]}["1"] == 1


def test_a_task_is_followed(kit: InMemoryTelemetry) -> None:
    """The caller gets the same task, which can be cancelled and gathered; it ends the prediction when it is done."""

    async def slow() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return {"prediction": 1, "probability": 0.9}

    async def run() -> None:
        track = otel_ml.Model("writer", "1").track(lambda task: task)
        task, cancelled = asyncio.create_task(slow()), asyncio.create_task(slow())
        assert track(task) is task
        assert track(cancelled) is cancelled
        cancelled.cancel()
        await asyncio.wait([task, cancelled])

    asyncio.run(run())
    metrics = kit.metrics()

    assert {p["attributes"].get("ml.prediction.class"): p["value"] for p in metrics["ml.predictions"]}["1"] == 1
    assert {p["attributes"].get("error.type"): p["value"] for p in metrics["ml.prediction.errors"]}["cancelled"] == 1
    assert (
        sum(point["sum"] for point in metrics["ml.prediction.duration"] if not point["attributes"].get("error.type"))
        > 0.03
    )


def test_other_objects_that_can_be_awaited_are_returned_as_they_are(
    kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A reference to a remote result has more uses than `await`; the line says that it was not followed."""

    class Reference:
        def __await__(self) -> Any:
            return iter(())

    result = Reference()

    assert otel_ml.Model("writer", "1").track(lambda features: result)({"a": 1}) is result
    assert [line for line in caplog.records if "the prediction ended before it was awaited" in line.getMessage()]


def test_other_streams_are_named_in_the_line(kit: InMemoryTelemetry, caplog: pytest.LogCaptureFixture) -> None:
    """An iterator of the user's own type is returned untouched; the line says that the stream was not followed."""
    result = map(str, [1, 2])

    assert otel_ml.Model("writer", "1").track(lambda features: result)({"a": 1}) is result
    assert [line for line in caplog.records if "the prediction ended before it began" in line.getMessage()]
