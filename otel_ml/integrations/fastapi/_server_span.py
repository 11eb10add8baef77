"""The server span of the fast path: the content of an SDK span of a request, in a few plain fields."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TraceState
from opentelemetry.trace import set_span_in_context as set_span

from otel_ml import semconv
from otel_ml._telemetry import withholding
from otel_ml._telemetry.histograms import EXEMPLARS_A_SERIES, Exemplar, HistogramCell
from otel_ml._telemetry.requests.cells import ActiveKey, RequestKey
from otel_ml._telemetry.requests.spans import CompactSpan
from otel_ml._values import line
from otel_ml.integrations.fastapi import _attributes
from otel_ml.prediction import RequestPredictions
from otel_ml.prediction.own.span import RANDOM_TRACE_ID, FastSpan

if TYPE_CHECKING:
    from otel_ml._telemetry.records import Attributes, SpanData
    from otel_ml.integrations.fastapi._attributes import Scope
    from otel_ml.integrations.fastapi._mode_binding import FastPath

Client = tuple[Any, bytes, bytes, "str | None", Any, str, "str | None"]
"""Protocol version, agent, host, client's address, server, scheme, and the method if it is unknown."""
Found = tuple[str, str, "str | None", "int | None", "str | None"]
"""The values of a `RequestKey`, which finds the same cell but costs more to create."""

_VERSIONS: Final = frozenset({"1.0", "1.1", "2", "3"})
"""Protocol versions that a shape may have; any other is an attribute of the client."""
_LOW_64_BITS: Final = (1 << 64) - 1


class FastServerSpan(RequestPredictions, FastSpan):
    """A server span that is also its own record: it has plain values only and keeps no object of the request."""

    kind: Final = SpanKind.SERVER
    _parent: SpanContext | None = None
    _client: Client
    _found: Found = ("", "", None, None, None)
    _exemplar = False

    def __init__(self, key: ActiveKey, fast_path: FastPath, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Creates the root of a trace; `follow` changes it for the few that have a parent.

        Texts of the request are cut here and cleaned later, on the worker.
        """
        self.first_id = None
        self._key = method, scheme = key
        draw_trace_id, draw_span_id = fast_path.trace_id, fast_path.span_id
        self._span_id = draw_span_id()
        self._trace_id = trace_id = draw_trace_id()
        self._sampled = trace_id & _LOW_64_BITS < fast_path.root_bound
        client, server = scope.get("client"), scope.get("server")
        self._path = scope["path"][: _attributes.PATH_LIMIT]
        self._client = (
            scope.get("http_version"),
            headers.get(b"user-agent", b"")[: _attributes.TEXT_LIMIT],
            headers.get(b"host", b"")[: _attributes.TEXT_LIMIT],
            client[0] if client else None,
            server if type(server) is tuple or not server else tuple(server),
            scheme,
            None if method != _attributes.OTHER_METHOD else scope.get("method", "")[: _attributes.TEXT_LIMIT],
        )

    @property
    def span(self) -> Span:
        """The server span of the request to which these predictions belong."""
        return self

    @property
    def name(self) -> str:
        """The span's name."""
        if self._given_name is not None:
            return self._given_name
        word, route = _attributes.span_word(self._key[0]), self._found[2]
        return word if route is None else f"{word} {route}"

    @property
    def _withholds(self) -> bool:
        """Whether exception messages stay in the process."""
        return withholding.withholds_exceptions()

    def follow(self, parent: SpanContext, fast_path: FastPath) -> None:
        """Becomes a child of the parent; the rule decides again."""
        self._parent = parent
        self._trace_id = parent.trace_id
        self._random = bool(parent.trace_flags & RANDOM_TRACE_ID)
        self._trace_state = parent.trace_state or None
        rule = fast_path.rule
        if rule is not None:
            followed = bool(parent.trace_flags & 1)
            self._sampled = followed if rule.follows_parent else self._trace_id & _LOW_64_BITS < rule.bound

    def ask_sampler(self, fast_path: FastPath, context: Context, links: list[Link]) -> None:
        """Lets the sampler decide, if there is no rule."""
        if self._parent is not None and self._parent.is_remote:
            context = set_span(trace.NonRecordingSpan(self._parent), context)
        self._found = (*self._key, None, None, None)
        known = {**self._constant(), **self._own(), **self.about()}
        decision = fast_path.engine.sample(context, self._trace_id, self.name, known, links, kind=SpanKind.SERVER)
        self._sampled = decision.sampled
        self._trace_state = TraceState.from_header([decision.trace_state]) if decision.trace_state else None
        self.set_attributes({key: value for key, value in decision.attributes.items() if key not in known})

    def finish(self, found: Found, elapsed_ns: int, fast_path: FastPath, cell: HistogramCell) -> None:
        """Ends the span and enqueues it for the worker.

        Args:
            found: The values of the request's series.
            elapsed_ns: Its duration.
            fast_path: The engine.
            cell: The cell of the duration; the span can become its exemplar.
        """
        if not self._sampled:
            return
        self._found = found
        time_ns, offer = fast_path.time_ns, fast_path.offer
        self._end_ns = end_ns = time_ns()
        self._start_ns = end_ns - elapsed_ns
        if self._given_name is not None and found[2] is not None:
            self._given_name = None
        self._live = False
        if fast_path.exemplars and len(cell.exemplars) < EXEMPLARS_A_SERIES:
            seconds = elapsed_ns / 1e9
            bucket = bisect_left(cell.bounds, seconds)
            if bucket not in cell.exemplars:
                self._exemplar = cell.offer(bucket, Exemplar(seconds, end_ns, self._trace_id, self._span_id))
        offer(self)

    def compact(self) -> CompactSpan | None:
        """The few values of a span without added attributes or events; None for any other."""
        if not self._is_fast or self._trace_state:
            return None
        parent, shape = self._parent, int(self._exemplar)
        if parent is not None:
            shape |= 2 | int(parent.is_remote) << 2
        version = self._client[0]
        key = (shape, self._found, version if version in _VERSIONS else None)
        ids = (self._trace_id, self._span_id, 0 if parent is None else parent.span_id)
        return CompactSpan(key, *ids, self._start_ns, self._end_ns, self._own(), self._client)

    def about(self) -> Attributes:
        """Attributes whose values the client chooses."""
        version, agent, host, client, server, scheme, method = self._client
        attributes: Attributes = {}
        if version and version not in _VERSIONS:
            attributes[semconv.NETWORK_PROTOCOL_VERSION] = line(version, _attributes.TEXT_LIMIT)
        if method is not None:
            attributes[semconv.HTTP_REQUEST_METHOD_ORIGINAL] = line(method, 32)
        if agent:
            attributes[semconv.USER_AGENT_ORIGINAL] = line(agent.decode("latin-1"), _attributes.TEXT_LIMIT)
        if client:
            attributes[semconv.CLIENT_ADDRESS] = line(client, _attributes.TEXT_LIMIT)
        _attributes.add_server(attributes, line(host.decode("latin-1"), _attributes.TEXT_LIMIT), server, scheme)
        return attributes

    def render(self) -> SpanData:
        """The whole span."""
        failed = self._found[4] not in {None, semconv.CANCELLED}
        if failed and (self._status is None or self._status[0] is not StatusCode.OK):
            self._status = (StatusCode.ERROR, "")
        data = replace(self._data({**self._constant(), **self._own(), **self.about()}, None), kind="server")
        if withholding.withholds_exceptions():
            data.events = [event._replace(attributes=_withheld(event.attributes)) for event in data.events]
            data.status_message = data.status_message and withholding.WITHHELD
        return data

    def _constant(self) -> Attributes:
        """Attributes with few different values."""
        attributes: Attributes = dict(RequestKey(*self._found).attributes())
        version = self._client[0]
        if version in _VERSIONS:
            attributes[semconv.NETWORK_PROTOCOL_VERSION] = version
        if self._exemplar:
            attributes[semconv.EXEMPLAR] = True
        return attributes

    def _own(self) -> Attributes:
        return {semconv.URL_PATH: line(self._path, _attributes.PATH_LIMIT)}


def _withheld(attributes: Attributes) -> Attributes:
    """Attributes of an exception event without message and stack trace; the type stays."""
    texts = (semconv.EXCEPTION_MESSAGE, semconv.EXCEPTION_STACKTRACE)
    return {key: withholding.WITHHELD if key in texts else value for key, value in attributes.items()}
