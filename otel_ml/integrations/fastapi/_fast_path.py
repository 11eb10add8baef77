"""The everyday request of own mode: a light server span and cells, begun and ended in as few steps as can be."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, SpanContext
from opentelemetry.trace import set_span_in_context as set_span

from otel_ml import _guard
from otel_ml._telemetry.requests.cells import ActiveKey, RequestKey
from otel_ml.integrations.fastapi import _attributes, _propagation, _route
from otel_ml.integrations.fastapi._exchange import Channel, Exchange
from otel_ml.integrations.fastapi._server_span import Found, LightServerSpan
from otel_ml.prediction import PREDICTIONS_KEY

if TYPE_CHECKING:
    from otel_ml.integrations.fastapi._attributes import Scope
    from otel_ml.integrations.fastapi._recording import Light
    from otel_ml.integrations.fastapi._settings import Settings

_SCHEMES: Final = frozenset({"http", "https"})
_NOWHERE: Final = Context()
(_SPAN_KEY,) = set_span(INVALID_SPAN, Context())
"""Where the API keeps the current span; read off its own public function."""


class LightExchange(Exchange, _route.Note):  # type: ignore[misc]
    """A request whose span is a `LightServerSpan`, counted in the engine's cells; it is FastAPI's note, too."""

    _is_open = True

    def __init__(self, channel: Channel, local: Context, light: Light, settings: Settings) -> None:
        """Begins a request: its span, its place in the context and, when nothing can fail any more, its clock.

        Args:
            channel: What the application is called with.
            local: The context in which it is called.
            light: The engine's parts.
            settings: What was asked for; its headers are those of the propagator in force.
        """
        self._scope, self._receive, self._send = channel
        self._light = light
        self._settings = settings
        scope = channel[0]
        given = scope.get("headers") or ()
        headers = dict(given)
        if len(headers) != len(given):  # of a repeated header the first one counts
            headers = dict(reversed(given))
        method, scheme = scope.get("method", ""), scope.get("scheme", "")
        self._key = key = _KEYS.get((method, scheme)) or _key(method, scheme)
        self._state = self._span = span = LightServerSpan(key, light, scope, headers)
        entries: dict[str, object] = {_SPAN_KEY: span, PREDICTIONS_KEY: span}
        if local or _propagation.TRACE_PARENT in headers or light.rule is None or not settings.headers.is_standard:
            entries = {**_join(span, (scope, headers), local, light, settings), **entries}
        native = settings.native
        if _route.leave(self, scope, native.logger if native.exclude is None else native.logger_for(scope)) is not None:
            entries[_route.CONTEXT_KEY] = self
        self.context = Context(entries)
        self._cells = cells = light.requests.by_thread.get(get_ident()) or light.requests.mine()
        self._active = cells.begin(key)
        now = light.now
        self._began_ns = now()

    def fail(self, error: BaseException) -> None:
        if self.logger is not None:
            _guard.call("fastapi.exception", _route.note_exception, self._scope, self, error)
        self.finish(error)

    def close(self) -> None:
        if self._is_open:
            self.finish(None)
        # Whoever keeps the context keeps this note, and must not keep the request with it.
        self.context = _NOWHERE
        _guard.call_two("fastapi.end", _route.take_note, self._scope, self)
        self._scope = {}

    def record(self, error: BaseException | None, status: int | None) -> None:
        """Counts the request and hands its span to the worker."""
        light = self._light
        now = light.now
        elapsed_ns = now() - self._began_ns
        self._active.finished += 1
        route = self.route
        if type(route) is not str:
            route = self._find_route()
        if error is None and self._complete and type(status) is int and status < 500:
            found: Found = (*self._key, route, status, None)
        else:
            code = None if status is None else int(status)
            found = (*self._key, route, code, self.error_type(error, code))
        cell = self._cells.durations.get(found)  # type: ignore[call-overload]
        if cell is None:
            cell = light.requests.cell(self._cells, RequestKey(*found))
        cell.record(elapsed_ns / 1e9)
        self._span.finish(found, elapsed_ns, light, cell)

    def _find_route(self) -> str | None:
        scope = self._scope
        # A mount notes the application's root before it changes the other one.
        root = scope.get("app_root_path", scope.get("root_path", ""))
        return _route.route_of(scope, self, root, self._settings.routes())


def _key(method: str, scheme: str) -> ActiveKey:
    return (method if method in _attributes.METHODS else _attributes.OTHER_METHOD, scheme if scheme in _SCHEMES else "")


_KEYS: Final = {(method, scheme): (method, scheme) for method in _attributes.METHODS for scheme in _SCHEMES}
"""Spares a tuple and two look-ups."""


def _join(
    span: LightServerSpan,
    asked: tuple[Scope, dict[bytes, bytes]],
    local: Context,
    light: Light,
    settings: Settings,
) -> Context:
    """Makes the span a part of what is around it: the caller's trace, a local parent, a sampler; gives its context."""
    local, caller, links = _caller(*asked, local, settings)
    parent = trace.get_current_span(local).get_span_context() if caller is None and local else caller
    if parent is not None and parent.is_valid:
        span.follow(parent, light)
    if light.rule is None:
        span.ask(light, local, links)
    for link in links:
        span.add_link(link.context, link.attributes)
    return local


def _caller(
    scope: Scope, headers: dict[bytes, bytes], local: Context, settings: Settings
) -> tuple[Context, SpanContext | None, list[Link]]:
    """The context to begin in, the caller's span if it is to be followed, and the links."""
    read = settings.headers
    if not read.is_standard or len(headers) != len(scope.get("headers") or ()):
        has_caller, caller = not read.fields.isdisjoint(headers), None
    else:
        parent = headers.get(_propagation.TRACE_PARENT)
        if parent is None:
            return local, None, []
        has_caller, caller = (
            True,
            _propagation.caller(
                parent, headers.get(_propagation.TRACE_STATE) if settings.trust_remote_context else None
            ),
        )
    if not has_caller:
        return local, None, []
    if caller is None:
        carrier = _attributes.read_headers(scope, read.fields).carrier
        allowed, trusted = settings.allowed_baggage, settings.trust_remote_context
        context, links = _propagation.remote_context(carrier, local, allowed, trusted=trusted)
        return context, None, links
    if not caller.is_valid:
        return local, None, []
    return (local, caller, []) if settings.trust_remote_context else (local, None, [Link(caller)])
