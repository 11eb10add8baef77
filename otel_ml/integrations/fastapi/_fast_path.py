"""The fast path of a request in own mode: a compact server span and cells, in as few steps as possible."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, SpanContext
from opentelemetry.trace import set_span_in_context as set_span

from otel_ml import _guard
from otel_ml._telemetry.requests.cells import ActiveKey, RequestKey
from otel_ml.integrations.fastapi import _attributes, _native_telemetry, _propagation, _route_template
from otel_ml.integrations.fastapi._exchange import Channel, Exchange
from otel_ml.integrations.fastapi._server_span import FastServerSpan, Found
from otel_ml.prediction import PREDICTIONS_KEY

if TYPE_CHECKING:
    from otel_ml.integrations.fastapi._attributes import Scope
    from otel_ml.integrations.fastapi._mode_binding import FastPath
    from otel_ml.integrations.fastapi._settings import LayerSettings

_SCHEMES: Final = frozenset({"http", "https"})
_NOWHERE: Final = Context()
(_SPAN_KEY,) = set_span(INVALID_SPAN, Context())
"""The context key of the current span; taken from a context that the public function of the API returns."""


class FastExchange(Exchange, _native_telemetry.NativeTelemetry):  # type: ignore[misc]
    """A request with a `FastServerSpan`, counted in the engine's cells; it is FastAPI's `NativeTelemetry` too."""

    _is_open = True

    def __init__(self, channel: Channel, local: Context, fast_path: FastPath, settings: LayerSettings) -> None:
        """Begins a request: its span, its context and, when nothing can fail any longer, its clock.

        Args:
            channel: The arguments of the application.
            local: The context of the call.
            fast_path: The engine.
            settings: The settings; they know the headers of the global propagator.
        """
        self._scope, self._receive, self._send = channel
        self._fast_path = fast_path
        self._settings = settings
        scope = channel[0]
        given = scope.get("headers") or ()
        headers = dict(given)
        if len(headers) != len(given):  # the first of a repeated header wins
            headers = dict(reversed(given))
        method, scheme = scope.get("method", ""), scope.get("scheme", "")
        self._key = key = _KEYS.get((method, scheme)) or _key(method, scheme)
        self._state = self._span = span = FastServerSpan(key, fast_path, scope, headers)
        entries: dict[str, object] = {_SPAN_KEY: span, PREDICTIONS_KEY: span}
        is_root = not local and _propagation.TRACE_PARENT not in headers and settings.propagation.is_standard
        if not is_root or fast_path.rule is None:
            entries = {**_join(span, (scope, headers), local, fast_path, settings), **entries}
        if local:
            span.outside = local
        switch = settings.native_switch
        logger = switch.logger if switch.exclude is None else switch.logger_for(scope)
        if _native_telemetry.put(self, scope, logger) is not None:
            entries[_native_telemetry.CONTEXT_KEY] = self
        self.context = Context(entries)
        self._cells = cells = fast_path.requests.by_thread.get(get_ident()) or fast_path.requests.mine()
        self._active = cells.begin(key)
        now = fast_path.now
        self._began_ns = now()

    @property
    def native(self) -> Any:
        """This object: FastAPI has it as its own."""
        return self

    def close(self) -> None:
        if self._is_open:
            self.finish(None)
        # code that keeps the context keeps this object, and must not keep the request with it
        self.context = _NOWHERE
        _guard.call_two("fastapi.end", _native_telemetry.detach, self._scope, self)
        self._scope = {}

    def record(self, error: BaseException | None, status: int | None) -> None:
        """Counts the request and enqueues its span for the worker."""
        fast_path = self._fast_path
        now = fast_path.now
        elapsed_ns = now() - self._began_ns
        self._active.finished += 1
        route = self.route
        if type(route) is not str or route.endswith(_route_template.BELOW_MOUNT):
            route = self.find_route()
        if error is None and self._complete and type(status) is int and status < 500:
            found: Found = (*self._key, route, status, None)
        else:
            code = None if status is None else int(status)
            found = (*self._key, route, code, self.error_type(error, code))
        cell = self._cells.durations.get(found)  # type: ignore[call-overload]
        if cell is None:
            cell = fast_path.requests.cell(self._cells, RequestKey(*found))
        cell.record(elapsed_ns / 1e9)
        self._span.finish(found, elapsed_ns, fast_path, cell)

    def find_route(self) -> str | None:
        scope = self._scope
        # a mount saves the application's root before it changes `root_path`
        root = scope.get("app_root_path", scope.get("root_path", ""))
        return _route_template.find_route(scope, self, root, self._settings.routes())


def _key(method: str, scheme: str) -> ActiveKey:
    return (method if method in _attributes.METHODS else _attributes.OTHER_METHOD, scheme if scheme in _SCHEMES else "")


_KEYS: Final = {(method, scheme): (method, scheme) for method in _attributes.METHODS for scheme in _SCHEMES}
"""Keys that exist already: a look-up here saves a tuple and two other look-ups."""


def _join(
    span: FastServerSpan,
    asked: tuple[Scope, dict[bytes, bytes]],
    local: Context,
    fast_path: FastPath,
    settings: LayerSettings,
) -> Context:
    """Applies the caller's trace, a local parent and a sampler to the span; returns the context around it."""
    local, caller, links = _caller(*asked, local, settings)
    parent = trace.get_current_span(local).get_span_context() if caller is None and local else caller
    if parent is not None and parent.is_valid:
        span.follow(parent, fast_path)
    if fast_path.rule is None:
        span.ask_sampler(fast_path, local, links)
    for link in links:
        span.add_link(link.context, link.attributes)
    return local


def _caller(
    scope: Scope, headers: dict[bytes, bytes], local: Context, settings: LayerSettings
) -> tuple[Context, SpanContext | None, list[Link]]:
    """The context to begin in, the caller's span if it becomes the parent, and the links."""
    read = settings.propagation
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
