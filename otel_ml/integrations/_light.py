"""The everyday request of own mode: a light server span and cells, begun and ended in as few steps as can be."""

from __future__ import annotations

from dataclasses import replace
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    INVALID_SPAN_CONTEXT,
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceState,
)
from opentelemetry.trace import set_span_in_context as set_span

from otel_ml import semconv
from otel_ml._telemetry import ports
from otel_ml._telemetry.cells import Exemplar, HistogramCell
from otel_ml._telemetry.request_cells import RequestKey
from otel_ml._telemetry.server_spans import CompactSpan
from otel_ml.integrations import _propagation, _request, _route
from otel_ml.integrations._exchange import Channel, Exchange
from otel_ml.prediction import PREDICTIONS_KEY, RequestPredictions
from otel_ml.prediction._span import RANDOM_TRACE_ID, LightSpan

if TYPE_CHECKING:
    from otel_ml._telemetry.ports import Attributes, SpanData
    from otel_ml.integrations._outlet import Light
    from otel_ml.integrations._request import Scope
    from otel_ml.integrations._settings import Settings

Found = tuple[str, str, "str | None", "int | None", "str | None"]
"""The values of a `RequestKey`, which finds the same cell and costs more to make."""

_VERSIONS: Final = frozenset({"1.0", "1.1", "2", "3"})
"""Protocol versions that a shape may have; any other stands beside what the client chooses."""
_SCHEMES: Final = frozenset({"http", "https"})
_LOW_64_BITS: Final = (1 << 64) - 1
(_SPAN_KEY,) = set_span(INVALID_SPAN, Context())
"""Where the API keeps the current span; read off its own public function."""


class LightServerSpan(RequestPredictions, LightSpan):
    """A server span of ours that is also its own record: plain values only, nothing of the request is held."""

    kind: Final = SpanKind.SERVER
    _version: str | None = None
    _strange_method: str | None = None
    _path = ""
    _agent: bytes | None = None
    _host: bytes | None = None
    _client: str | None = None
    _server: tuple[Any, Any] | None = None
    _route: str | None = None
    _code: int | None = None
    _error_type: str | None = None
    _exemplar = False

    def __init__(self, method: str, scheme: str, parent: SpanContext) -> None:
        self.first_id = None
        self._method = method
        self._scheme = scheme
        self._parent = parent

    @property
    def span(self) -> Span:
        """The server span of the request whose predictions are noted here."""
        return self

    @property
    def name(self) -> str:
        """The span's name."""
        if self.given_name is not None:
            return self.given_name
        word = _request.word_of(self._method)
        return word if self._route is None else f"{word} {self._route}"

    @property
    def withholds(self) -> bool:
        """Whether texts of exceptions stay in the process."""
        return ports.withholds()

    def describe(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Takes what the span will say of the request; it is cleaned on the worker, which is not waited for."""
        self._path = scope["path"][: _request.PATH_LIMIT]
        self._version = scope.get("http_version")
        agent, host = headers.get(b"user-agent"), headers.get(b"host")
        if agent is not None:
            self._agent = agent[: _request.TEXT_LIMIT]
        if host is not None:
            self._host = host[: _request.TEXT_LIMIT]
        client = scope.get("client")
        if client:
            self._client = client[0]
        self._server = scope.get("server")
        if self._method == _request.OTHER_METHOD:
            self._strange_method = (scope.get("method") or "")[: _request.TEXT_LIMIT]

    def decide(self, light: Light, context: Context, links: list[Link]) -> bool:
        """Finds the trace and asks the rule, or the sampler, whether it is recorded."""
        parent, rule = self._parent, light.rule
        self._span_id = light.span_id()
        if parent is not INVALID_SPAN_CONTEXT:
            self._trace_id = parent.trace_id
            self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
            self._trace_state = parent.trace_state or None
        else:
            self._trace_id = light.trace_id()
        if rule is None:
            self._ask_sampler(light, context, links)
        elif rule.follows_parent and parent is not INVALID_SPAN_CONTEXT:
            self._sampled = bool(parent.trace_flags & 1)
        else:
            self._sampled = self._trace_id & _LOW_64_BITS < rule.bound
        for link in links:
            self.add_link(link.context, link.attributes)
        return self._sampled

    def _ask_sampler(self, light: Light, context: Context, links: list[Link]) -> None:
        if self._parent.is_remote:
            context = set_span(trace.NonRecordingSpan(self._parent), context)
        known = {**self._constant(), **self._chosen()}
        decision = light.engine.sample(context, self._trace_id, self.name, known, links, kind=SpanKind.SERVER)
        self._sampled = decision.sampled
        self._trace_state = TraceState.from_header([decision.trace_state]) if decision.trace_state else None
        added = {key: value for key, value in decision.attributes.items() if key not in known}
        if added:
            self.set_attributes(added)

    def draw(self, cell: HistogramCell, bucket: int, seconds: float) -> None:
        """Offers this request as an exemplar of its duration."""
        exemplar = Exemplar(seconds, self._end_ns, self._trace_id, self._span_id)
        self._exemplar = cell.offer(bucket, exemplar)

    def finish(self, found: Found, end_ns: int, elapsed_ns: int) -> None:
        """Ends the span with what the response has shown: its series, and when it was over."""
        _, _, self._route, self._code, self._error_type = found
        self._end_ns = end_ns
        self._start_ns = end_ns - elapsed_ns
        if self._route is not None:
            self.given_name = None
        self._live = False

    # --- server_spans.FinishedSpan: called on the worker -----------------------------------------------------------

    def compact(self) -> CompactSpan | None:
        """The few values of a span that nobody has added anything to."""
        if not self._is_plain or self._trace_state:
            return None
        parent, shape = self._parent, int(self._exemplar)
        if parent is not INVALID_SPAN_CONTEXT:
            shape |= 2 | int(parent.is_remote) << 2
        version = self._version if self._version in _VERSIONS else None
        key = (shape, self._method, self._scheme, version, self._route, self._code, self._error_type)
        return CompactSpan(
            key, self._trace_id, self._span_id, parent.span_id, self._start_ns, self._end_ns, self._chosen()
        )

    def render(self) -> SpanData:
        """The whole span."""
        failed = self._error_type is not None and self._error_type != semconv.CANCELLED
        if failed and (self._status is None or self._status[0] is not StatusCode.OK):
            self._status = (StatusCode.ERROR, "")
        data = replace(self._data({**self._constant(), **self._chosen()}, None), kind="server")
        if ports.withholds():
            data.events = [(name, at, _withheld(attributes)) for name, at, attributes in data.events]
            data.status_message = data.status_message and ports.WITHHELD
        return data

    def _constant(self) -> Attributes:
        """Attributes of which there are few."""
        key = RequestKey(self._method, self._scheme, self._route, self._code, self._error_type)
        attributes: Attributes = dict(key.attributes())
        if self._version in _VERSIONS:
            attributes[semconv.NETWORK_PROTOCOL_VERSION] = self._version or ""
        if self._exemplar:
            attributes[semconv.EXEMPLAR] = True
        return attributes

    def _chosen(self) -> Attributes:
        """Attributes of which there are as many as clients want."""
        attributes: Attributes = {semconv.URL_PATH: _request.clean(self._path, _request.PATH_LIMIT)}
        if self._version and self._version not in _VERSIONS:
            attributes[semconv.NETWORK_PROTOCOL_VERSION] = _request.clean(self._version)
        if self._strange_method is not None:
            attributes[semconv.HTTP_REQUEST_METHOD_ORIGINAL] = _request.clean(self._strange_method, 32)
        if self._agent:
            attributes[semconv.USER_AGENT_ORIGINAL] = _request.clean(self._agent.decode("latin-1"))
        if self._client:
            attributes[semconv.CLIENT_ADDRESS] = _request.clean(self._client)
        _request.add_server(
            attributes, _request.clean((self._host or b"").decode("latin-1")), self._server, self._scheme
        )
        return attributes


def _withheld(attributes: Attributes) -> Attributes:
    """Without what an exception says of itself; its type stays."""
    texts = (semconv.EXCEPTION_MESSAGE, semconv.EXCEPTION_STACKTRACE)
    return {key: ports.WITHHELD if key in texts else value for key, value in attributes.items()}


class LightExchange(Exchange):
    """A request whose span is a `LightServerSpan`, counted in the engine's cells."""

    _is_open = True

    def __init__(self, channel: Channel, span: LightServerSpan, light: Light, settings: Settings) -> None:
        self._scope, self._receive, self._send = channel
        self._state = self._span = span
        self._light = light
        self._settings = settings

    def start(self, method: str, scheme: str, *, sampled: bool) -> None:
        """Counts the request in and starts its clock."""
        light, scope = self._light, self._scope
        self._sampled = sampled
        self._key = (method, scheme)
        self._root: str = scope.get("app_root_path", scope.get("root_path", ""))
        self._cells = light.requests.by_thread.get(get_ident()) or light.requests.mine()
        self._active = self._cells.begin(self._key)
        self._began_ns = light.now()

    def record(self, error: BaseException | None, status: int | None) -> None:
        """Counts the request and hands its span to the worker."""
        light, span, note = self._light, self._span, self.note
        elapsed_ns = light.now() - self._began_ns
        self._active.finished += 1
        code = status if status is None or type(status) is int else int(status)
        route = None if note is None else note.route
        if type(route) is not str:
            route = _route.route_of(self._scope, note, self._root, self._settings.routes())
        if error is None and self._complete and code is not None and code < 500:
            found: Found = (*self._key, route, code, None)
        else:
            found = (*self._key, route, code, self.error_type(error, code))
        cell = self._cells.durations.get(found)  # type: ignore[call-overload]
        if cell is None:
            cell = light.requests.cell(self._cells, RequestKey(*found))
        seconds = elapsed_ns / 1e9
        bucket = cell.record(seconds)
        if self._sampled:
            span.finish(found, light.time_ns(), elapsed_ns)
            if light.exemplars and bucket not in cell.exemplars:
                span.draw(cell, bucket, seconds)
            light.offer(span)


def begin(channel: Channel, local: Context, light: Light, settings: Settings) -> LightExchange:
    """Begins a request: its span, its place in the context and its clock.

    Args:
        channel: What the application is called with.
        local: The context in which it is called.
        light: The engine's parts.
        settings: What was asked for; its headers are those of the propagator in force.
    """
    scope = channel[0]
    given = scope.get("headers") or ()
    headers = dict(given)
    if len(headers) != len(given):  # of a repeated header the first one counts
        headers = dict(reversed(given))
    local, remote, links = _caller(scope, headers, local, settings)
    if remote is None:
        remote = trace.get_current_span(local).get_span_context() if local else INVALID_SPAN_CONTEXT
    method = scope.get("method")
    if method not in _request.METHODS:
        method = _request.OTHER_METHOD
    scheme = scope.get("scheme")
    if scheme not in _SCHEMES:
        scheme = ""
    span = LightServerSpan(method, scheme, remote if remote.is_valid else INVALID_SPAN_CONTEXT)
    if light.rule is None:
        span.describe(scope, headers)
    sampled = span.decide(light, local, links)
    if sampled:
        span.describe(scope, headers)
    exchange = LightExchange(channel, span, light, settings)
    entries: dict[str, object] = {**local, _SPAN_KEY: span, PREDICTIONS_KEY: span}
    exchange.note = note = _route.leave_note(scope, method, settings.native.logger_for(scope))
    if note is not None:
        entries[_route.CONTEXT_KEY] = note
    exchange.context = Context(entries)
    exchange.start(method, scheme, sampled=sampled)
    return exchange


def _caller(
    scope: Scope, headers: dict[bytes, bytes], local: Context, settings: Settings
) -> tuple[Context, SpanContext | None, list[Link]]:
    """The context to begin in, the caller's span if it is to be followed, and the links."""
    read = settings.headers
    if read is None:
        return local, None, []
    if not read.is_standard or len(headers) != len(scope["headers"] or ()):
        has_caller, caller = not read.fields.isdisjoint(headers), None
    else:
        parent = headers.get(_propagation.TRACE_PARENT)
        if parent is None:
            return local, None, []
        has_caller, caller = True, _propagation.caller(parent, headers.get(_propagation.TRACE_STATE))
    if not has_caller:
        return local, None, []
    if caller is None:
        carrier = _request.read_headers(scope, read.fields).carrier
        allowed, trusted = settings.allowed_baggage, settings.trust_remote_context
        context, links = _propagation.remote_context(carrier, local, allowed, trusted=trusted)
        return context, None, links
    if not caller.is_valid:
        return local, None, []
    return (local, caller, []) if settings.trust_remote_context else (local, None, [Link(caller)])
