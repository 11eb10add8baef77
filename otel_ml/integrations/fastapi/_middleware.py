"""One ASGI layer: a server span, the HTTP metrics and the prediction id of every request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context, set_value
from opentelemetry.trace import Span, SpanKind

from otel_ml import _guard
from otel_ml._telemetry import ports
from otel_ml._telemetry.contexts import attach, detach, get_current
from otel_ml.integrations.fastapi import _attributes, _fast_path, _propagation, _route
from otel_ml.integrations.fastapi._attributes import Scope
from otel_ml.integrations.fastapi._exchange import (
    Channel,
    Exchange,
    Message,
    Receive,
    RequestState,
    Send,
    StockExchange,
)
from otel_ml.integrations.fastapi._recording import flush_in_time
from otel_ml.integrations.fastapi._server_span import LightServerSpan
from otel_ml.integrations.fastapi._settings import Settings
from otel_ml.prediction import PREDICTIONS_KEY

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SEEN: Final = "otel_ml.request"
"""Scope key that keeps a mounted application's layer from counting the request again."""
_CONTRIB: Final = ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware")


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
            if scope["type"] == "websocket" and self._settings.native.logger is not None:
                return self._noted(scope, receive, send)
        return self.app(scope, receive, send)

    def is_of(self, settings: Settings) -> bool:
        """Whether this layer was made for these settings."""
        return self._settings is settings

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _guard.call_two("fastapi.begin", self._begin, scope, (receive, send))
        if exchange is None:
            await self._noted(scope, receive, send)
            return
        token = attach(exchange.context)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.fail(error)
            raise
        finally:
            exchange.close()
            detach(token)

    async def _noted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything through; FastAPI finds what it needs for the log events that it would write without us."""
        note = _guard.call_two("fastapi.note", _note_to_log, self._settings.native, scope)
        if note is None:
            await self.app(scope, receive, send)
            return
        token = attach(set_value(_route.CONTEXT_KEY, note))
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            _guard.call("fastapi.exception", _route.note_exception, scope, note, error)
            raise
        finally:
            _guard.call_two("fastapi.end", _route.take_note, scope, note)
            detach(token)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        _guard.call("fastapi.mode", follow_mode, self._settings)

        async def flush_then_send(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"}:
                await flush_in_time(self._settings.flush)
            await send(message)

        await self.app(scope, receive, flush_then_send)

    def _begin(self, scope: Scope, way: tuple[Receive, Send]) -> Exchange | None:
        settings = self._settings
        outlet = settings.outlet
        if ports.state() is not outlet.state:
            _guard.call("fastapi.mode", follow_mode, settings)
        if scope["path"] in settings.excluded_paths:
            return None
        scope[_SEEN] = True
        local, channel, light = get_current(), (scope, *way), outlet.light
        if (local or self._below_contrib is not False or _route.NOTE_KEY in scope) and self._is_others(scope, local):
            return self._begin_others(channel, local)
        if propagate.get_global_textmap() is not settings.headers.propagator:
            settings.headers = _propagation.headers_in_force(settings.allowed_baggage)
        if light is None or not light.engine.fast_spans or settings.server_span or _route.NOTE_KEY in scope:
            return self._begin_stock(channel, local)
        return _fast_path.LightExchange(channel, local, light, settings)

    def _is_others(self, scope: Scope, local: Context) -> bool:
        """Whether another instrumentation makes the server span of this request."""
        if self._below_contrib or (self._below_contrib is None and self._has_contrib(scope)):
            return True
        if _route.has_native_span(scope):
            return True
        if not local:
            return False
        current, outer = trace.get_current_span(local), local.get(PREDICTIONS_KEY)
        nested = isinstance(outer, RequestState | LightServerSpan) and outer.span is current
        return not nested and _is_server(current)

    def _begin_others(self, channel: Channel, local: Context) -> Exchange:
        state = RequestState()
        context = set_value(PREDICTIONS_KEY, state, local)
        # Beside contrib FastAPI logs nothing.
        note = None if self._below_contrib else _note_to_log(self._settings.native, channel[0])
        if note is not None:
            context = set_value(_route.CONTEXT_KEY, note, context)
        exchange = Exchange(channel, state, context)
        exchange.note = note
        return exchange

    def _begin_stock(self, channel: Channel, local: Context) -> Exchange:
        settings, scope = self._settings, channel[0]
        method = _attributes.method_of(scope)
        word = _attributes.word_of(method)
        measured = _attributes.metric_attributes(scope, method)
        headers = _attributes.read_headers(scope, settings.headers.fields)
        parent, links = _propagation.remote_context(
            headers.carrier, local, settings.allowed_baggage, trusted=settings.trust_remote_context
        )
        attributes = _attributes.span_attributes(scope, measured, headers)
        if settings.server_span is not None:
            span = _guard.call("fastapi.span", settings.server_span, word, parent, attributes)
        else:
            start = settings.outlet.tracer.start_span
            span = _guard.call("fastapi.span", start, word, parent, SpanKind.SERVER, attributes, links)
        state = RequestState()
        state.span = span if span is not None else trace.INVALID_SPAN
        context = set_value(PREDICTIONS_KEY, state, trace.set_span_in_context(state.span, parent))
        native = settings.native
        measure = None if native.has_metrics(scope) else settings.outlet.measure
        note = _route.leave_note(scope, native.logger_for(scope))
        if note is not None:
            context = set_value(_route.CONTEXT_KEY, note, context)
        exchange = StockExchange(channel, state, context, settings.routes)
        exchange.note = note
        exchange.watch(word, measured, measure)
        return exchange

    def _has_contrib(self, scope: Scope) -> bool:
        stack = getattr(scope.get("app"), "middleware_stack", None)
        self._below_contrib = any(is_contrib(layer) for layer in layers(stack))
        return self._below_contrib


def _note_to_log(native: _route.Native, scope: Scope) -> Any:
    """Leaves FastAPI what it needs for its log events; None if it is to write none, or sees to it itself."""
    logger = native.logger_for(scope)
    return None if logger is None else _route.leave_note(scope, logger)


def follow_mode(settings: Settings) -> None:
    """Binds to the mode in force. In own mode FastAPI's own telemetry stands back for ours."""
    if not settings.outlet.refresh():
        return
    if settings.outlet.mode == "own":
        settings.native.stand_back()
    else:
        settings.native.restore()


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
