"""ASGI as servers really drive it: disconnects, exceptions, WebSockets, lifespan, hostile scopes."""

from __future__ import annotations

import asyncio
import threading

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry.context import get_value
from opentelemetry.trace import StatusCode

from otel_ml import _guard, instrument_fastapi
from otel_ml.prediction._context import PREDICTIONS_KEY

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"
END = {"type": "http.request", "body": b"", "more_body": False}


def make_scope(path="/", **changes):
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    return {**scope, **changes}


def drive(app, scope, messages=(END,)):
    """Calls an application with a scope and messages; returns what it sent. The client disconnects after the last message."""
    sent = []
    waiting = list(messages)

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def application(memory, **options):
    app = FastAPI()
    instrument_fastapi(app, **memory.providers, **options)
    return app


def test_the_exception_of_the_application_is_the_same_object(memory):
    """An exception of the application passes through as the same object."""
    error = RuntimeError("same")
    app = application(memory)

    @app.get("/")
    async def fails():
        raise error

    with pytest.raises(RuntimeError) as caught:
        drive(app, make_scope())

    assert caught.value is error


def test_a_cancelled_request_is_not_an_error(memory):
    """A request that the server cancels ends its span without error status."""
    app = application(memory)

    @app.get("/")
    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        drive(app, make_scope())

    (span,) = memory.spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.UNSET, "cancelled")
    assert [value for _, value in memory.points(ACTIVE)] == [0]


def test_a_client_that_leaves_ends_the_span(memory):
    """A stream whose client disconnects ends as cancelled, with the status that was sent."""
    app = application(memory)

    @app.get("/")
    async def stream():
        async def chunks():
            while True:
                yield b"x"
                await asyncio.sleep(0)

        return StreamingResponse(chunks())

    drive(app, make_scope(asgi={"version": "3.0", "spec_version": "2.0"}))

    (span,) = memory.spans()
    assert {key: span.attributes[key] for key in ("http.response.status_code", "error.type")} == {
        "http.response.status_code": 200,
        "error.type": "cancelled",
    }
    assert [value for _, value in memory.points(ACTIVE)] == [0]


def test_a_failed_send_ends_the_span(memory):
    """An error of the server's own `send` passes through and is recorded."""
    app = application(memory)
    app.add_api_route("/", lambda: 1)
    error = OSError("gone")

    async def send(message):
        raise error

    async def receive():
        return END

    with pytest.raises(OSError) as caught:
        asyncio.run(app(make_scope(), receive, send))

    (span,) = memory.spans()
    assert (caught.value is error, span.attributes["error.type"]) == (True, "OSError")


def test_an_incomplete_response_is_an_error(memory):
    """An application that returns without a response leaves a span with an error."""
    app = application(memory)

    class Silent:
        def __init__(self, app):
            pass

        async def __call__(self, scope, receive, send):
            pass

    app.add_middleware(Silent)
    drive(app, make_scope())

    (span,) = memory.spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "incomplete_response")


def test_trailers_belong_to_the_response(memory):
    """With trailers the span ends after the last of them."""
    app = application(memory)
    ended = []

    class Trailing:
        def __init__(self, app):
            pass

        async def __call__(self, scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b""})
            ended.append(len(memory.spans()))
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": True})
            ended.append(len(memory.spans()))
            await send({"type": "http.response.trailers", "headers": []})
            ended.append(len(memory.spans()))

    app.add_middleware(Trailing)
    drive(app, make_scope())

    assert ended == [0, 0, 1]


def test_a_file_sent_by_path_ends_the_span(memory):
    """The path-send extension completes a response."""
    app = application(memory)

    class Sending:
        def __init__(self, app):
            pass

        async def __call__(self, scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.pathsend", "path": "/x"})

    app.add_middleware(Sending)
    drive(app, make_scope())

    (span,) = memory.spans()
    assert "error.type" not in span.attributes


def test_a_websocket_passes_untouched(memory):
    """A WebSocket gets the server's own objects, and has neither span nor metric."""
    app = application(memory)
    seen = []

    @app.websocket("/socket")
    async def socket(socket: WebSocket):
        await socket.accept()
        seen.append(get_value(PREDICTIONS_KEY))
        await socket.close()

    scope = make_scope("/socket", type="websocket", scheme="ws", subprotocols=[])
    sent = drive(app, scope, [{"type": "websocket.connect"}])

    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert (seen, memory.spans(), memory.metrics()) == ([None], [], {})


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [(b"host", b"\xff\\x\\ud800\\n"), (b"user-agent", b"\xff\\x")]},
        {"headers": [(b"host", b"a\r\nb\x00"), (b"user-agent", b"evil\r\nline\x1b[31m")]},
        {"headers": [(b"host", b"x" * 100_000), (b"user-agent", b"y" * 100_000)]},
        {"headers": [(b"host", b"h:99999"), (b"traceparent", b"\xff" * 9000)]},
        {"headers": [(b"traceparent", b"00-" + b"g" * 32 + b"-" + b"1" * 16 + b"-01")]},
        {"headers": [(b"traceparent", b"\r\n\x00")] * 1000 + [(b"tracestate", b"a=b")] * 1000},
        {"headers": [(b"baggage", b"a=" + b"b" * 100_000)] * 10},
        {"headers": [("text", "not bytes")], "client": None, "server": None},
        {"headers": None, "client": ("", 0), "server": ("/run/app.sock", None)},
        {"path": "/" + "\ud800\x00\r\n" * 500},
        {"method": "X" * 10_000},
        {"method": None},
        {"scheme": "\ud800", "http_version": "\x00"},
    ],
)
def test_a_hostile_request_harms_nothing(memory, changes):
    """Whatever a client sends, the response is the application's own and every attribute can be encoded."""
    app = application(memory)
    app.router.default = answer

    sent = drive(app, make_scope(**{"path": "/nowhere", **changes}))

    assert [message.get("status") for message in sent] == [204, None]
    for span in memory.spans():
        for value in (span.name, *span.attributes.values()):
            assert len(str(value).encode()) <= 4 * 1024
            assert not any(ord(character) < 32 for character in str(value))
    for attributes, _ in memory.points(DURATION):
        assert set(attributes) <= {"http.request.method", "url.scheme", "http.response.status_code"}
    assert len(memory.points(DURATION)) == 1


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_request_that_cannot_be_read_is_still_served(memory):
    """If our own step fails, the request is served unobserved and the failure is counted."""
    app = application(memory)
    app.router.default = answer

    class Unreadable(dict):
        def get(self, key, default=None):
            if key == "method":
                raise OSError
            return super().get(key, default)

    sent = drive(app, Unreadable(make_scope()))

    assert ([message.get("status") for message in sent], memory.spans()) == ([204, None], [])
    assert _guard.counts() == {"fastapi.begin": 1}


def test_telemetry_is_flushed_when_the_lifespan_ends(memory):
    """Shutdown is acknowledged to the server only after the flush."""
    order = []
    app = application(memory, flush=lambda: order.append("flush"))

    async def run():
        waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive():
            return waiting.pop(0)

        async def send(message):
            order.append(message["type"])

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(run())

    assert order == ["lifespan.startup.complete", "flush", "lifespan.shutdown.complete"]


def test_a_flush_that_fails_does_not_hold_up_the_shutdown(memory):
    """An error in the flush is counted, and the lifespan ends as usual."""

    def fails():
        raise OSError

    app = application(memory, flush=fails)
    sent = drive(
        app,
        {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}},
        [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}],
    )

    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert _guard.counts() == {"fastapi.flush": 1}


def test_a_flush_runs_on_a_thread_of_its_own(memory):
    """The event loop is free while telemetry is flushed, and the thread cannot keep the process alive."""
    threads = []
    app = application(memory, flush=lambda: threads.append(threading.current_thread()))
    drive(
        app,
        {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}},
        [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}],
    )

    assert [(thread.daemon, thread is threading.main_thread()) for thread in threads] == [(True, False)]
