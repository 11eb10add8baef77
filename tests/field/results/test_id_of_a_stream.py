"""The answer names the prediction whose stream it carries: its id is known when the call is made, before the first item.

Sources: caipe-io/ai-platform-engineering#805 and wri/project-zeno#243 (a thumb up or down on a streamed answer has no id
to refer to), gradio-app/gradio#9203 and beartype/beartype#423 (frameworks look at the kind of the function to know that
it streams, and decorators change it).
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import StreamingResponse

import otel_ml
from otel_ml.testing import InMemoryTelemetry


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as kit:
        yield kit


def words(features: Any = None) -> Iterator[str]:
    """Yields the id of the prediction to which it belongs."""
    yield otel_ml.current_prediction().id
    yield "\n"


async def tokens(features: Any = None) -> AsyncIterator[str]:
    """Does the same, asynchronously."""
    yield otel_ml.current_prediction().id
    await asyncio.sleep(0)
    yield "\n"


class Engine:
    def __init__(self, model: otel_ml.Model) -> None:
        self.words = model.track(words)

    async def tokens(self, features: Any) -> AsyncIterator[str]:
        async for token in tokens(features):
            yield token


def response(model: otel_ml.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    tracked = model.track(function)
    return lambda: StreamingResponse(tracked({"a": 1}))


def of_a_method(model: otel_ml.Model) -> Callable[..., Any]:
    class Served:
        @model.track
        def generate(self, features: Any) -> Iterator[str]:
            yield from words(features)

    return lambda: StreamingResponse(Served().generate({"a": 1}))


def server_sent_events(model: otel_ml.Model) -> Callable[..., Any]:
    tracked = model.track(tokens)

    async def events() -> AsyncIterator[str]:
        async for token in stream:
            yield token.strip() and f"data: {token}\n\n"

    stream: Any = None

    def endpoint() -> StreamingResponse:
        nonlocal stream
        stream = tracked({"a": 1})
        return StreamingResponse(events(), media_type="text/event-stream")

    return endpoint


def that_yields(model: otel_ml.Model) -> Callable[..., Any]:
    @model.track
    async def endpoint(a: int = 1) -> AsyncIterator[str]:
        yield otel_ml.current_prediction().id

    return endpoint


def that_yields_without_await(model: otel_ml.Model) -> Callable[..., Any]:
    @model.track
    def endpoint(a: int = 1) -> Iterator[str]:
        yield otel_ml.current_prediction().id

    return endpoint


STREAMS: dict[str, Callable[[otel_ml.Model], Callable[..., Any]]] = {
    "generator": lambda model: response(model, words),
    "async generator": lambda model: response(model, tokens),
    "method": of_a_method,
    "returned generator": lambda model: response(model, lambda features: words()),
    "returned async generator": lambda model: response(model, lambda features: tokens()),
    "server-sent events": server_sent_events,
    "endpoint that yields": that_yields_without_await,
    "asynchronous endpoint that yields": that_yields,
}


def ask(app: FastAPI, method: str = "GET") -> httpx.Response:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, "/stream")

    return asyncio.run(get())


def served(endpoint: Callable[..., Any]) -> tuple[FastAPI, Callable[[], None]]:
    app = FastAPI()
    app.add_api_route("/stream", endpoint, methods=["GET", "HEAD"])
    return app, otel_ml.instrument_fastapi(app)


def active(kit: InMemoryTelemetry) -> float:
    return sum(point["value"] for point in kit.metrics().get("ml.prediction.active", []))


def calls(kit: InMemoryTelemetry) -> int:
    return sum(point["count"] for point in kit.metrics().get("ml.prediction.duration", []))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("middleware", [False, True], ids=["bare", "with middleware"])
def test_a_streamed_answer_carries_the_id(kit: InMemoryTelemetry, stream: Any, middleware: bool) -> None:
    """The header names the prediction, which is counted once, when it streams."""
    app, undo = served(stream(otel_ml.Model("writer", "1")))
    if middleware:
        app.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call_next: call_next(request))

    answer = ask(app)
    undo()

    assert answer.status_code == 200
    assert answer.headers["x-prediction-id"] in answer.text
    assert len(answer.headers["x-prediction-id"]) == 32
    assert (calls(kit), active(kit)) == (1, 0)


def test_an_answer_streams_without_telemetry_too() -> None:
    """The id belongs to the contract of the service with its callers."""
    with InMemoryTelemetry("off"):
        app, undo = served(response(otel_ml.Model("writer", "1"), tokens))
        answer = ask(app)
        undo()

    assert answer.headers["x-prediction-id"] == answer.text.strip()


@pytest.mark.parametrize("mode", ["own", "guest", "off"])
@pytest.mark.parametrize("function", [words, tokens])
@pytest.mark.parametrize(
    ("roles", "expected"), [("primary primary", 0), ("shadow primary", 1), ("primary shadow", 0), ("shadow canary", 0)]
)
def test_the_first_primary_stream_gives_the_id(mode: Any, function: Any, roles: str, expected: int) -> None:
    """Of several streams the header names the first one by a primary model; without one the first of all."""
    with InMemoryTelemetry(mode):
        first, second = (otel_ml.Model("m", str(index), role=role) for index, role in enumerate(roles.split()))
        of_first, of_second = first.track(function), second.track(function)

        async def both() -> AsyncIterator[str]:
            for stream in streams:
                yield next(stream) if inspect.isgenerator(stream) else await stream.__anext__()
                yield " "

        streams: list[Any] = []

        def endpoint() -> StreamingResponse:
            streams.extend([of_first({"a": 1}), of_second({"a": 1})])
            return StreamingResponse(both())

        app, undo = served(endpoint)
        answer = ask(app)
        undo()
        streams.clear()

    assert answer.headers["x-prediction-id"] == answer.text.split()[expected]


@pytest.mark.parametrize("mode", ["own", "guest", "off"])
@pytest.mark.parametrize("shadow_first", [False, True])
def test_a_primary_stream_goes_before_a_shadow_that_has_run(mode: Any, shadow_first: bool) -> None:
    """The rule does not ask which of them is a stream; a prediction that has begun goes before an equal one to come."""
    with InMemoryTelemetry(mode):
        live = otel_ml.Model("m", "1").track(words)
        shadow = otel_ml.Model("m", "2", role="shadow").track(lambda features: {"prediction": 1, "probability": 0.9})

        def endpoint() -> StreamingResponse:
            if shadow_first:
                shadow({"a": 1})
            stream = live({"a": 1})
            if not shadow_first:
                shadow({"a": 1})
            return StreamingResponse(stream)

        app, undo = served(endpoint)
        answer = ask(app)
        undo()

    assert answer.headers["x-prediction-id"] == answer.text.strip()


@pytest.mark.parametrize("function", [words, tokens])
def test_a_stream_that_is_never_read_is_no_prediction(kit: InMemoryTelemetry, function: Any) -> None:
    """It neither counts nor stays in memory, and the header does not name it."""
    tracked, kept = otel_ml.Model("writer", "1").track(function), []

    class Features(dict[str, int]):
        def __del__(self) -> None:
            kept.append("gone")

    def endpoint() -> dict[str, str]:
        tracked(Features(a=1))
        gc.collect()
        return {}

    app, undo = served(endpoint)
    answer = ask(app)
    undo()

    assert "x-prediction-id" not in answer.headers
    assert kept == ["gone"]
    assert "predict writer" not in [span["name"] for span in kit.spans()]
    assert (calls(kit), active(kit)) == (0, 0)


def test_another_prediction_takes_the_place_of_a_stream_that_is_never_read(kit: InMemoryTelemetry) -> None:
    """The header names what was predicted."""
    model = otel_ml.Model("writer", "1")
    streamed, predict = model.track(words), model.track(lambda features: otel_ml.current_prediction().id)
    held = []

    def endpoint() -> dict[str, str]:
        held.append(streamed({"a": 1}))
        return {"id": predict({"a": 1})}

    app, undo = served(endpoint)
    answer = ask(app)
    undo()

    assert answer.headers["x-prediction-id"] == answer.json()["id"]


def test_an_own_header_can_be_set_before_a_block_begins(kit: InMemoryTelemetry) -> None:
    """The pattern of the guide: the id of a prediction can be read before its block is entered."""
    model = otel_ml.Model("writer", "1")

    async def tokens_of(prediction: Any) -> AsyncIterator[str]:
        async with prediction:
            yield prediction.id

    def endpoint() -> StreamingResponse:
        prediction = model.prediction({"a": 1})
        return StreamingResponse(tokens_of(prediction), headers={"x-prediction-id": prediction.id})

    app, undo = served(endpoint)
    answer = ask(app)
    undo()

    assert answer.headers.get_list("x-prediction-id") == [answer.text]
    assert calls(kit) == 1


@pytest.mark.parametrize(
    ("function", "is_kind"), [(words, inspect.isgeneratorfunction), (tokens, inspect.isasyncgenfunction)]
)
def test_the_kind_of_the_function_stays(kit: InMemoryTelemetry, function: Any, is_kind: Any) -> None:
    """Frameworks see a function that streams, with its name and signature, also as a method, and call it as such."""
    model = otel_ml.Model("writer", "1")
    tracked = model.track(function)

    class Served:
        plain = tracked
        static = staticmethod(tracked)

    assert is_kind(tracked)
    assert is_kind(Served().plain)
    assert inspect.isroutine(tracked)
    assert inspect.signature(tracked) == inspect.signature(function, eval_str=True)
    assert (tracked.__name__, tracked.__doc__, tracked.__module__) == (
        function.__name__,
        function.__doc__,
        function.__module__,
    )
    with pytest.raises(TypeError):
        tracked(1, 2, 3)
    assert Served.static is tracked


def test_two_models_can_track_one_stream(kit: InMemoryTelemetry) -> None:
    """Each counts it once, also with another decorator between them, and attributes of the function stay."""
    inner, outer = otel_ml.Model("inner"), otel_ml.Model("outer")
    words.mark = "kept"  # type: ignore[attr-defined]
    below = inner.track(words)

    @functools.wraps(below)
    def between(features: Any) -> Iterator[str]:
        yield from below(features)

    above = outer.track(between)

    assert len(list(above({"a": 1}))) == 2
    assert sorted(span["name"] for span in kit.spans()) == ["predict inner", "predict outer"]
    assert above.mark == below.mark == words.__dict__.pop("mark")


@pytest.mark.parametrize("library", ["pickle", "cloudpickle"])
def test_a_function_that_streams_can_be_pickled(tmp_path: Path, library: str) -> None:
    """It travels as other tracked functions do: by its name, here as a function, a method and a copy."""
    (tmp_path / "streams.py").write_text("""
import otel_ml
MODEL = otel_ml.Model("m")
@MODEL.track
def count(features):
    yield from range(features)
class Served:
    @MODEL.track
    def count(self, features):
        yield from range(features)
""")
    program = f"""
import copy, {library}
import streams
from otel_ml.testing import InMemoryTelemetry
with InMemoryTelemetry("own") as kit:
    for function in (streams.count, streams.Served().count, copy.deepcopy(streams.count)):
        arrived = {library}.loads({library}.dumps(function))
        print(arrived.__name__, list(arrived(3)), len(kit.spans()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.splitlines() == [f"count [0, 1, 2] {number}" for number in (1, 2, 3)], done.stderr


def test_a_function_of_a_script_can_be_sent_to_a_process() -> None:
    """cloudpickle sends what a script defines by value."""
    program = """
import cloudpickle, subprocess, sys
import otel_ml
@otel_ml.Model("m").track
def count(features):
    yield from range(features)
if __name__ == "__main__":
    sent = cloudpickle.dumps(count)
    code = "import pickle, sys; print(list(pickle.load(sys.stdin.buffer)(3)))"
    print(subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True).stdout.decode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == "[0, 1, 2]"
