"""One ASGI layer: a server span, the HTTP metrics and the prediction id of every request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context, set_value
from opentelemetry.trace import Span, SpanKind

from otel_ml import _guard
from otel_ml._exceptions import is_logged, mark_logged
from otel_ml._telemetry import ports
from otel_ml._telemetry.contexts import attach, detach
from otel_ml.integrations.fastapi import _attributes, _fast_path, _native_telemetry, _propagation, _unhandled
from otel_ml.integrations.fastapi._attributes import Scope
from otel_ml.integrations.fastapi._exchange import (
    Channel,
    Exchange,
    GeneralExchange,
    Message,
    Receive,
    RequestState,
    Send,
)
from otel_ml.integrations.fastapi._flush import flush_in_time
from otel_ml.integrations.fastapi._server_span import FastServerSpan
from otel_ml.integrations.fastapi._settings import LayerSettings
from otel_ml.prediction import PREDICTIONS_KEY

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SEEN: Final = "otel_ml.request"
"""Scope key that prevents the layer of a mounted application from counting the request again."""
_CONTRIB: Final = ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware")


class ServerLayer:
    """Pure ASGI middleware; its application is in ``app``, where other instrumentation expects it."""

    def __init__(self, app: App, settings: LayerSettings) -> None:
        self.app = app
        self._settings = settings
        self._below_contrib: bool | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._settings.active and _SEEN not in scope:
            if scope["type"] == "http":
                return self._request(scope, receive, send)
            if scope["type"] == "lifespan":
                return self._lifespan(scope, receive, send)
            if scope["type"] == "websocket":
                return self._without_span(scope, receive, send)
        return self.app(scope, receive, send)

    def has_settings(self, settings: LayerSettings) -> bool:
        """Whether this layer has these settings."""
        return self._settings is settings

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _guard.call_two("fastapi.begin", self._begin, scope, (receive, send))
        if exchange is None:
            await self._without_span(scope, receive, send)
            return
        token = attach(exchange.context)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            _guard.call("fastapi.exception", self._log, scope, exchange.native, error, exchange.find_route)
            exchange.finish(error)
            raise
        finally:
            exchange.close()
            detach(token)

    async def _without_span(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forwards the call and logs what it raises; FastAPI finds in the scope what its own log events need."""
        native = _guard.call_two("fastapi.note", _attach_for_logs, self._settings.native_switch, scope)
        context = _guard.call("fastapi.context", _propagation.context_around)
        if native is not None:
            context = set_value(_native_telemetry.CONTEXT_KEY, native, context)
        token = None if context is None else attach(context)
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            _guard.call("fastapi.exception", self._log, scope, native, error)
            raise
        finally:
            if native is not None:
                _guard.call_two("fastapi.end", _native_telemetry.detach, scope, native)
            if token is not None:
                detach(token)

    def _log(
        self, scope: Scope, native: Any, error: BaseException, find_route: Callable[[], str | None] | None = None
    ) -> None:
        """Logs an unhandled error on the trace of its request, unless FastAPI does."""
        if not isinstance(error, Exception) or is_logged(error) or _unhandled.is_normal_end(scope, error):
            return
        switch = self._settings.native_switch
        if _native_telemetry.log_exception(scope, native, error) or switch.logs(scope):
            mark_logged(error)
        elif not switch.exists or self._below_contrib:
            _unhandled.log(scope, error, None if find_route is None else find_route())
            mark_logged(error)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        _guard.call("fastapi.mode", follow_mode, self._settings)

        async def flush_then_send(message: Message) -> None:
            if message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"}:
                await flush_in_time(self._settings.flush)
            await send(message)

        await self.app(scope, receive, flush_then_send)

    def _begin(self, scope: Scope, callables: tuple[Receive, Send]) -> Exchange | None:
        settings = self._settings
        binding = settings.binding
        if ports.state() is not binding.state:
            _guard.call("fastapi.mode", follow_mode, settings)
        if scope["path"] in settings.excluded_paths:
            return None
        if settings.excluded_urls is not None and settings.excluded_urls.search(_attributes.url(scope)):
            return None
        scope[_SEEN] = True
        local, channel, fast_path = _propagation.context_around(), (scope, *callables), binding.fast_path
        has_native = _native_telemetry.SCOPE_KEY in scope
        if (local or self._below_contrib is not False or has_native) and self._is_instrumented(scope, local):
            return self._begin_beside(channel, local)
        if propagate.get_global_textmap() is not settings.propagation.propagator:
            settings.propagation = _propagation.headers_in_force(settings.allowed_baggage)
        if fast_path is None or not fast_path.engine.fast_spans or settings.server_span or has_native:
            return self._begin_general(channel, local)
        return _fast_path.FastExchange(channel, local, fast_path, settings)

    def _is_instrumented(self, scope: Scope, local: Context) -> bool:
        """Whether another instrumentation creates the server span of this request."""
        if self._below_contrib or (self._below_contrib is None and self._has_contrib(scope)):
            return True
        if _native_telemetry.has_span(scope):
            return True
        if not local:
            return False
        current, outer = trace.get_current_span(local), local.get(PREDICTIONS_KEY)
        nested = isinstance(outer, RequestState | FastServerSpan) and outer.span is current
        return not nested and _is_server(current)

    def _begin_beside(self, channel: Channel, local: Context) -> Exchange:
        state = RequestState()
        context = set_value(PREDICTIONS_KEY, state, local)
        # FastAPI logs nothing if the contrib instrumentation is installed
        native = None if self._below_contrib else _attach_for_logs(self._settings.native_switch, channel[0])
        if native is not None:
            context = set_value(_native_telemetry.CONTEXT_KEY, native, context)
        exchange = Exchange(channel, state, context)
        exchange.native = native
        return exchange

    def _begin_general(self, channel: Channel, local: Context) -> Exchange:
        settings, scope = self._settings, channel[0]
        method = _attributes.request_method(scope)
        word = _attributes.span_word(method)
        measured = _attributes.metric_attributes(scope, method)
        headers = _attributes.read_headers(scope, settings.propagation.fields)
        parent, links = _propagation.remote_context(
            headers.carrier, local, settings.allowed_baggage, trusted=settings.trust_remote_context
        )
        attributes = _attributes.span_attributes(scope, measured, headers)
        if settings.server_span is not None:
            span = _guard.call("fastapi.span", settings.server_span, word, parent, attributes)
        else:
            start = settings.binding.tracer.start_span
            span = _guard.call("fastapi.span", start, word, parent, SpanKind.SERVER, attributes, links)
        state = RequestState()
        state.outside = local
        state.span = span if span is not None else trace.INVALID_SPAN
        context = set_value(PREDICTIONS_KEY, state, trace.set_span_in_context(state.span, parent))
        switch = settings.native_switch
        request_metrics = None if switch.has_metrics(scope) else settings.binding.metrics
        native = _native_telemetry.attach(scope, switch.logger_for(scope))
        if native is not None:
            context = set_value(_native_telemetry.CONTEXT_KEY, native, context)
        exchange = GeneralExchange(channel, state, context, settings.routes)
        exchange.native = native
        exchange.watch(word, measured, request_metrics)
        return exchange

    def _has_contrib(self, scope: Scope) -> bool:
        stack = getattr(scope.get("app"), "middleware_stack", None)
        self._below_contrib = any(is_contrib(layer) for layer in layers(stack))
        return self._below_contrib


def _attach_for_logs(native: _native_telemetry.NativeSwitch, scope: Scope) -> Any:
    """Attaches the object that FastAPI needs for its log events; None if it logs none or has attached one itself."""
    logger = native.logger_for(scope)
    return None if logger is None else _native_telemetry.attach(scope, logger)


def follow_mode(settings: LayerSettings) -> None:
    """Binds to the mode in force; in own mode FastAPI's own telemetry is suspended."""
    if not settings.binding.refresh():
        return
    if settings.binding.mode == "own":
        settings.native_switch.suspend()
    else:
        settings.native_switch.restore()


def _is_server(span: Span) -> bool:
    return (
        span.is_recording() and not span.get_span_context().is_remote and getattr(span, "kind", None) is SpanKind.SERVER
    )


def layers(stack: object) -> Iterator[object]:
    """The layers of a middleware stack from the outside in; each has the next one in ``app``."""
    seen: set[int] = set()
    while stack is not None and id(stack) not in seen:
        seen.add(id(stack))
        yield stack
        stack = getattr(stack, "app", None)


def is_contrib(layer: object) -> bool:
    """Whether a layer belongs to `opentelemetry-instrumentation-asgi`."""
    kind = type(layer)
    return (kind.__module__, kind.__name__) == _CONTRIB
