"""The ASGI application: receiver, API and pages, with the headers that keep other web sites out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from otel_ml.console.public._forwarded import Forwarded
from otel_ml.console.public._gate import Gate
from otel_ml.console.public._pages import LoginPages
from otel_ml.console.public._prefix import Prefix
from otel_ml.console.receiving._endpoints import Receiver
from otel_ml.console.receiving._otlp_http import SIGNALS
from otel_ml.console.receiving._sender_requests import SenderRequests
from otel_ml.console.web import _pages
from otel_ml.console.web._api import Api, error
from otel_ml.console.web._frame import Frame
from otel_ml.console.web._query_runner import QueryRunner

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from otel_ml.console._options import Options
    from otel_ml.console.receiving._ingest_queue import IngestQueue
    from otel_ml.console.storage._store import Database

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def build(store: Database, ingest: IngestQueue, options: Options) -> ASGIApp:
    """The ASGI application over an open store and a queue."""
    reader, receiver = QueryRunner(store), Receiver(ingest, options)
    frame = Frame(reader, has_login=options.token is not None, prefix=options.url_prefix)

    async def failed(request: Request, problem: Exception) -> Response:
        status = problem.status_code if isinstance(problem, HTTPException) else 500
        text = {404: "not found", 405: "method not allowed", 503: "busy"}.get(status, "failed")
        if request.method == "POST" and status in {404, 405}:
            text = "OTLP is received at /v1/traces, /v1/metrics and /v1/logs"
        if request.method == "POST" or str(request.scope["path"]).startswith(("/api/", "/v1/")):
            return error(status, text)
        return frame.message(status, f"{text.capitalize()}.")

    routes: list[BaseRoute] = [
        *(Route(f"/v1/{signal}", receiver.receive, methods=["POST"]) for signal in SIGNALS),
        *Api(reader, ingest, options.url_prefix).routes(),
        *_pages.routes(frame, ingest, options),
        Route("/healthz", _answers, methods=["GET"]),
    ]
    login = None if options.token is None else LoginPages(frame, options.token)
    if login is not None:
        routes += login.routes()
    app: ASGIApp = Starlette(routes=routes, exception_handlers={HTTPException: failed, Exception: failed})
    app = SenderRequests(app if login is None else Gate(app, login), has_token=login is not None)
    guarded: ASGIApp = _Guarded(app, local_only=login is None)
    guarded = guarded if login is None else Forwarded(guarded)
    return Prefix(guarded, options.url_prefix, routes) if options.url_prefix else guarded


async def _answers(_request: Request) -> Response:
    """Answers a probe."""
    return PlainTextResponse("ok\n")


class _Guarded:
    """Adds the security headers and, without a token, refuses reads under any other host name than those of loopback.

    A web site can point its own host name at 127.0.0.1; its scripts could then read the answers. They have no login.
    """

    def __init__(self, app: ASGIApp, *, local_only: bool) -> None:
        self._app = app
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._local_only and scope["method"] != "POST" and not _is_local(scope):
            text = "without a token (--token-file) this console answers to localhost only"
            await error(421, text)(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, text in (*_HEADERS.items(), ("cache-control", "no-store")):
                    headers.setdefault(name, text)
                if "location" in headers:
                    # made of the header `Host`, and a proxy's scheme is not known here
                    target = urlsplit(headers["location"])
                    headers["location"] = urlunsplit(("", "", *target[2:]))
            await send(message)

        await self._app(scope, receive, send_guarded)


def _is_local(scope: Scope) -> bool:
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower() in _LOCAL_NAMES
