"""One ASGI layer: a server span, the HTTP metrics and the prediction id of every request."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, NamedTuple

from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context, attach, detach, get_current, get_value, set_value
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from otel_ml import _guard, semconv
from otel_ml.integrations import _request, _route
from otel_ml.integrations._outlet import Outlet, flush_in_force, flush_in_time
from otel_ml.integrations._request import Attributes, Scope
from otel_ml.prediction import PREDICTIONS_KEY, RequestPredictions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
ServerSpan = Callable[[str, Context, Attributes], Span]
"""Makes the server span of one request from its name, its parent context and its attributes."""

HEALTH_PATHS: Final = ("/health", "/healthz", "/livez", "/readyz", "/live", "/ready", "/ping", "/metrics")
_SEEN: Final = "otel_ml.request"
"""Scope key that keeps a mounted application's layer from counting the request again."""
_CONTRIB: Final = ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware")
_HEADER_VALUE = re.compile(r"[!-~]{1,256}")


@dataclass(slots=True)
class Settings:
    """What `instrument_fastapi` was asked for, shared by every layer of one application."""

    outlet: Outlet
    native: _route.Native
    routes: Callable[[], Iterable[Any]]
    excluded_paths: frozenset[str] = frozenset(HEALTH_PATHS)
    trust_remote_context: bool = True
    allowed_baggage: Collection[str] = ()
    server_span: ServerSpan | None = None
    flush: Callable[[], object] = flush_in_force
    active: bool = True
    """False after the undo: the layer passes everything through."""
    fields: tuple[object, frozenset[bytes]] = field(default=(None, frozenset()))
    """The global propagator and the headers that it reads."""


class RequestState(RequestPredictions):
    """The predictions of one request, and the server span that we made for it."""

    __slots__ = ("span",)

    def __init__(self) -> None:
        super().__init__()
        self.span: Span | None = None


class Channel(NamedTuple):
    """What an ASGI application is called with."""

    scope: Scope
    receive: Receive
    send: Send


class ServerLayer:
    """Pure ASGI middleware. It keeps its application in ``app``, where other instrumentation looks for its like."""

    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self._settings = settings
        self._below_contrib: bool | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._settings.active and _SEEN not in scope:
            if scope["type"] == "http":
                return self._request(scope, receive, send)
            if scope["type"] == "lifespan":
                return self._lifespan(scope, receive, send)
        return self.app(scope, receive, send)

    def is_of(self, settings: Settings) -> bool:
        """Whether this layer was made for these settings."""
        return self._settings is settings

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _guard.call("fastapi.begin", self._begin, Channel(scope, receive, send))
        if exchange is None:
            await self.app(scope, receive, send)
            return
        token = attach(exchange.context)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.end(error)
            raise
        finally:
            exchange.end(None)
            detach(token)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        _guard.call("fastapi.mode", follow_mode, self._settings)

        async def flush_then_send(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"}:
                await flush_in_time(self._settings.flush)
            await send(message)

        await self.app(scope, receive, flush_then_send)

    def _begin(self, channel: Channel) -> Exchange | None:
        settings = self._settings
        scope = channel.scope
        _guard.call("fastapi.mode", follow_mode, settings)
        if scope["path"] in settings.excluded_paths:
            return None
        scope[_SEEN] = True
        state = RequestState()
        current = trace.get_current_span()
        outer = get_value(PREDICTIONS_KEY)
        nested = isinstance(outer, RequestState) and outer.span is current
        if self._has_contrib(scope) or _route.has_native_span(scope) or (not nested and _is_server(current)):
            return Exchange(settings, channel, state, set_value(PREDICTIONS_KEY, state))
        return self._begin_span(channel, state)

    def _begin_span(self, channel: Channel, state: RequestState) -> Exchange:
        settings = self._settings
        scope = channel.scope
        method = _request.method_of(scope)
        word = "HTTP" if method == _request.OTHER_METHOD else method
        measured = _request.metric_attributes(scope, method)
        headers = _request.read_headers(scope, propagation_fields(settings))
        parent, links = remote_context(headers.carrier, settings)
        attributes = _request.span_attributes(scope, measured, headers)
        if settings.server_span is not None:
            span = _guard.call("fastapi.span", settings.server_span, word, parent, attributes)
        else:
            span = _guard.call(
                "fastapi.span", settings.outlet.tracer.start_span, word, parent, SpanKind.SERVER, attributes, links
            )
        state.span = span if span is not None else trace.INVALID_SPAN
        context = set_value(PREDICTIONS_KEY, state, trace.set_span_in_context(state.span, parent))
        exchange = Exchange(settings, channel, state, context)
        exchange.watch(word, measured)
        return exchange

    def _has_contrib(self, scope: Scope) -> bool:
        if self._below_contrib is None:
            stack = getattr(scope.get("app"), "middleware_stack", None)
            self._below_contrib = any(is_contrib(layer) for layer in layers(stack))
        return self._below_contrib


class Exchange:
    """One request and its response. Without `watch` it is another instrumentation's, and only the id header is ours."""

    __slots__ = (
        "_complete",
        "_disconnected",
        "_measured",
        "_note",
        "_receive",
        "_root",
        "_scope",
        "_send",
        "_settings",
        "_started",
        "_state",
        "_status",
        "_trailers",
        "_watched",
        "_word",
        "context",
    )

    def __init__(self, settings: Settings, channel: Channel, state: RequestState, context: Context) -> None:
        self._settings = settings
        self._scope, self._receive, self._send = channel
        self._state = state
        self.context = context
        self._watched = self._complete = self._disconnected = self._trailers = self._measured = False
        self._status: int | None = None

    def watch(self, word: str, measured: Attributes) -> None:
        """Starts the clock of a request whose span is ours."""
        self._word = word
        self._started: tuple[float, Attributes] = (perf_counter(), measured)
        self._root: str = self._scope.get("app_root_path", self._scope.get("root_path", ""))
        self._measured = not self._settings.native.has_metrics(self._scope)
        if self._measured:
            self._settings.outlet.active.add(1, measured, self.context)
        self._note = _route.leave_note(self._scope, word)
        self._watched = True

    async def receive(self) -> Message:
        """Passes a message of the client on."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Passes a message of the application on, and ends the span behind the last one."""
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            self._trailers = bool(message.get("trailers", False))
            message = _guard.call("fastapi.header", self._with_id, message) or message
        await self._send(message)
        if kind == "http.response.body":
            self._complete = not message.get("more_body", False) and not self._trailers
        elif kind == "http.response.trailers":
            self._complete = not message.get("more_trailers", False)
        elif kind == "http.response.pathsend":
            self._complete = True
        # Behind an answer of 500 the exception is still on its way to us, and it is the better error type.
        if self._complete and self._status is not None and self._status < 500:
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """Records the request; once, later calls do nothing."""
        if self._watched:
            self._watched = False
            _guard.call("fastapi.end", self._end, error)

    def _end(self, error: BaseException | None) -> None:
        span = self._state.span or trace.INVALID_SPAN
        started, base = self._started
        outlet = self._settings.outlet
        found: Attributes = {}
        try:
            route = _route.route_of(self._scope, self._note, self._root, self._settings.routes())
            if route is not None:
                found[semconv.HTTP_ROUTE] = route
                span.update_name(f"{self._word} {route}")
            if self._status is not None:
                found[semconv.HTTP_RESPONSE_STATUS_CODE] = self._status
            error_type = self._error_type(error)
            if error_type is not None:
                found[semconv.ERROR_TYPE] = error_type
                if error_type != semconv.CANCELLED:
                    span.set_status(StatusCode.ERROR)
            span.set_attributes(found)
        finally:
            if self._measured:
                outlet.duration.record(max(0.0, perf_counter() - started), {**base, **found}, self.context)
                outlet.active.add(-1, base, self.context)
            span.end()
            _route.take_note(self._scope, self._note)

    def _error_type(self, error: BaseException | None) -> str | None:
        if error is not None:
            # Every async library has a cancellation of its own, and none of them is an Exception.
            return _type_name(error) if isinstance(error, Exception) else semconv.CANCELLED
        if self._complete:
            return str(self._status) if self._status is not None and self._status >= 500 else None
        return semconv.CANCELLED if self._disconnected else semconv.INCOMPLETE

    def _with_id(self, message: Message) -> Message:
        prediction_id = self._state.first_id
        if prediction_id is None or _HEADER_VALUE.fullmatch(prediction_id) is None:
            return message
        headers = list(message.get("headers") or ())
        name = semconv.PREDICTION_ID_HEADER.encode("ascii")
        if any(bytes(known).lower() == name for known, _ in headers):
            return message
        return {**message, "headers": [*headers, (name, prediction_id.encode("ascii"))]}


def follow_mode(settings: Settings) -> None:
    """Binds to the mode in force. In own mode FastAPI's own telemetry stands back for ours."""
    if not settings.outlet.refresh():
        return
    if settings.outlet.mode == "own":
        settings.native.stand_back()
    else:
        settings.native.restore()


def propagation_fields(settings: Settings) -> frozenset[bytes]:
    """The headers of the global propagator; baggage only where some of it is allowed in."""
    propagator = propagate.get_global_textmap()
    known, fields = settings.fields
    if propagator is not known:
        fields = frozenset(name.lower().encode("latin-1") for name in propagator.fields)
        if not settings.allowed_baggage:
            fields -= {b"baggage"}
        settings.fields = (propagator, fields)
    return fields


def remote_context(carrier: dict[str, list[str]], settings: Settings) -> tuple[Context, list[Link]]:
    """The parent context of a request and its links.

    An untrusted caller's span is linked, not followed: its sampled flag would decide what we pay for.
    """
    local = get_current()
    if not carrier:
        return local, []
    joined = {name: [",".join(values)] if name == "baggage" else values for name, values in carrier.items()}
    if not settings.trust_remote_context:
        remote = _guard.call("fastapi.extract", propagate.extract, joined, Context()) or Context()
        span_context = trace.get_current_span(remote).get_span_context()
        return local, [Link(span_context)] if span_context.is_valid else []
    context = _guard.call("fastapi.extract", propagate.extract, joined, local)
    if context is None:
        return local, []
    return _without_foreign_baggage(context, local, settings.allowed_baggage), []


def _without_foreign_baggage(context: Context, local: Context, allowed: Collection[str]) -> Context:
    kept = baggage.get_all(local)
    for name, value in baggage.get_all(context).items():
        if name not in allowed and kept.get(name) != value:
            context = baggage.remove_baggage(name, context)
    return context


def _is_server(span: Span) -> bool:
    return (
        span.is_recording() and not span.get_span_context().is_remote and getattr(span, "kind", None) is SpanKind.SERVER
    )


def layers(stack: object) -> Iterator[object]:
    """The layers of a middleware stack from the outside in, as far as each keeps the next one in ``app``."""
    seen: set[int] = set()
    while stack is not None and id(stack) not in seen:
        seen.add(id(stack))
        yield stack
        stack = getattr(stack, "app", None)


def is_contrib(layer: object) -> bool:
    """Whether a layer is that of `opentelemetry-instrumentation-asgi`."""
    kind = type(layer)
    return (kind.__module__, kind.__name__) == _CONTRIB


def _type_name(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return _request.clean(name)
