"""Each request of a connection is a trace of its own, although the server may begin it in the context of the one before.

uvicorn reads on in the context of the request that last asked for a part of its body, which is every large one, and begins
a pipelined request inside the last step of the one before.

Sources: open-telemetry/opentelemetry-python-contrib#2852, langflow-ai/langflow#14769.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

import otel_ml
from otel_ml.testing import InMemoryTelemetry

LARGE = 200_000
"""Bytes of a body at which uvicorn stops reading until the application asks for more."""
App = Callable[[Any, Any, Any], Awaitable[None]]


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as kit:
        yield kit


def predict(features: Any) -> dict[str, float]:
    return {"prediction": 1, "probability": 0.9}


def starlette_application() -> Starlette:
    """In guest mode it has our server span, whereas FastAPI makes its own."""
    track = otel_ml.Model("reader", "1").track(predict)
    track_other = otel_ml.Model("other", "1").track(predict)

    async def serve(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse(track({"a": 1}))

    async def outer(request: Request) -> JSONResponse:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return JSONResponse((await client.post("/predict")).json())

    async def health(request: Request) -> JSONResponse:
        return JSONResponse(track_other({"a": 1}))

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        track_other({"a": 1})

    app = Starlette(
        routes=[
            Route("/predict", serve, methods=["POST"]),
            Route("/outer", outer),
            Route("/health", health),
            WebSocketRoute("/socket", talk),
        ]
    )
    otel_ml.instrument_fastapi(app)
    return app


def fastapi_application() -> FastAPI:
    track, app = otel_ml.Model("reader", "1").track(predict), FastAPI()

    @app.post("/predict")
    async def serve(request: Request) -> dict[str, float]:
        await request.body()
        return track({"a": 1})

    otel_ml.instrument_fastapi(app)
    return app


@contextmanager
def connected(app: App, http: str) -> Iterator[socket.socket]:
    """Yields a connection to the application under uvicorn."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=http, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        with socket.create_connection(server.servers[0].sockets[0].getsockname(), 30) as connection:
            yield connection
    finally:
        server.should_exit = True
        thread.join(30)


def request_of(size: int) -> bytes:
    return b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


def read_answers(connection: socket.socket, count: int) -> None:
    answers = b""
    while answers.count(b'"probability"') < count:
        answers += connection.recv(65536)


def assert_apart(kit: InMemoryTelemetry, count: int) -> None:
    """Asserts that each request is the root of a trace that has its own prediction and nothing else."""
    spans = kit.spans()
    roots = [span["span_id"] for span in spans if span["kind"] == "SERVER" and not span["parent_span_id"]]
    parents = [span["parent_span_id"] for span in spans if span["name"] == "predict reader"]
    assert len(set(roots)) == len({span["trace_id"] for span in spans}) == count
    assert sorted(parents) == sorted(roots)


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_requests_with_large_bodies_are_traces_of_their_own(kit: InMemoryTelemetry, http: str) -> None:
    """Images and documents are such bodies, and clients keep their connections."""
    app = fastapi_application() if kit.mode == "own" else starlette_application()
    with connected(app, http) as connection:
        for _ in range(3):
            connection.sendall(request_of(LARGE))
            read_answers(connection, 1)

    assert_apart(kit, 3)


def test_pipelined_requests_are_traces_of_their_own(kit: InMemoryTelemetry) -> None:
    """The client sends all of them before it reads the first answer."""
    with connected(starlette_application(), "h11") as connection:
        connection.sendall(request_of(3) * 3)
        read_answers(connection, 3)

    assert_apart(kit, 3)


async def call(app: App, scope: dict[str, Any], after: Callable[[], None] = lambda: None) -> None:
    """Calls an application; `after` is called inside the last message of the answer, as uvicorn begins the next request."""
    waiting = [{"type": "websocket.connect"}] if scope["type"] == "websocket" else [{"type": "http.request"}]

    async def receive() -> Any:
        return waiting.pop() if waiting else {"type": f"{scope['type']}.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            after()

    await app({**scope, "headers": [], "query_string": b"", "root_path": ""}, receive, send)


async def call_two(app: App, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Calls an application twice, the second time in the context in which the first answer ends."""
    tasks: list[asyncio.Task[None]] = []
    await call(app, first, lambda: tasks.append(asyncio.create_task(call(app, second))))
    await tasks[0]


PREDICT = {"type": "http", "method": "POST", "path": "/predict"}


@pytest.mark.parametrize(
    "second", [{"type": "websocket", "path": "/socket"}, {"type": "http", "method": "GET", "path": "/health"}]
)
def test_what_has_no_server_span_begins_in_a_clean_context(kit: InMemoryTelemetry, second: dict[str, Any]) -> None:
    """A prediction of a WebSocket, or below an excluded path, does not join the trace of the request before."""
    asyncio.run(call_two(starlette_application(), PREDICT, second))

    (other,) = (span for span in kit.spans() if span["name"] == "predict other")
    (server,) = (span for span in kit.spans() if span["name"] == "POST /predict")
    assert other["trace_id"] != server["trace_id"]


def test_the_context_around_the_server_stays(kit: InMemoryTelemetry) -> None:
    """A span in which the server was started is above each request, also above a later one on its connection."""
    app, traces = starlette_application(), []

    async def serve() -> None:
        with trace.get_tracer("server").start_as_current_span("server") as span:
            await call_two(app, PREDICT, PREDICT)
            traces.append(f"{span.get_span_context().trace_id:032x}")

    asyncio.run(serve())

    assert [span["trace_id"] for span in kit.spans() if span["name"] == "predict reader"] == traces * 2


def test_a_request_inside_a_request_is_its_child(kit: InMemoryTelemetry) -> None:
    """An application that calls itself before its answer is sent continues the trace."""
    asyncio.run(call(starlette_application(), {"type": "http", "method": "GET", "path": "/outer"}))

    assert len({span["trace_id"] for span in kit.spans()}) == 1


def test_a_request_inside_a_request_that_is_not_sampled_is_in_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing records there, and the sampler's decision holds for the whole trace."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with InMemoryTelemetry() as kit:
        app, seen = FastAPI(), []

        @app.get("/{depth}")
        async def serve(depth: int) -> None:
            seen.append(trace.get_current_span().get_span_context().trace_id)
            if depth:
                async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
                    await client.get("/0")

        otel_ml.instrument_fastapi(app)
        asyncio.run(call(app, {"type": "http", "method": "GET", "path": "/1"}))

        assert not kit.spans()

    assert seen[0] == seen[1] != 0


def test_work_after_the_answer_that_has_a_span_keeps_it(kit: InMemoryTelemetry) -> None:
    """A call of the application inside a span of a task that goes on after the answer is a child of that span."""
    app, tasks = starlette_application(), []

    async def work() -> None:
        await asyncio.sleep(0)
        with trace.get_tracer("worker").start_as_current_span("work"):
            await call(app, PREDICT)

    async def serve() -> None:
        await call(app, PREDICT, lambda: tasks.append(asyncio.create_task(work())))
        await tasks[0]

    asyncio.run(serve())

    assert len({span["trace_id"] for span in kit.spans()}) == 1
