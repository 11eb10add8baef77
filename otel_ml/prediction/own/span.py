"""A fast span: the whole surface of the API's `Span` over a few plain fields, for own mode."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span, SpanContext, Status, StatusCode, TraceFlags, TraceState

from otel_ml import _guard, semconv
from otel_ml._telemetry import ports
from otel_ml._telemetry.records import Attributes, SpanData, SpanEvent, SpanLink
from otel_ml._values import attribute, line
from otel_ml._values.kinds import pairs
from otel_ml.prediction._failure import describe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

PAIRS_KEPT = 1000
"""Attributes that are read of one mapping; the limits in force decide about the rest."""

RANDOM_TRACE_ID = 0x02
"""Flag of W3C Trace Context level 2: the trace id is random."""

_STATUS = {StatusCode.UNSET: "unset", StatusCode.OK: "ok", StatusCode.ERROR: "error"}


FAST_KINDS: set[type] = set()
"""All classes of `FastSpan`: `isinstance` with an abstract class costs five times as much as this set."""


class FastSpan(Span):
    """A span of ours, recording or not. Only the thread or task that made it writes to it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        FAST_KINDS.add(cls)

    _given_name: str | None = None
    """None while the span has its first name: that of a prediction is its binding's."""
    _trace_id: int
    _span_id: int
    _parent: SpanContext | FastSpan | None
    # Defaults are class attributes: most spans never change them.
    _sampled = False
    _random = True
    _live = True
    _is_fast = True
    """Whether a record of few values is enough for it: nothing was added to it."""
    _start_ns = 0
    _end_ns = 0
    _trace_state: TraceState | None = None
    _own_attributes: Attributes | None = None
    _events: list[SpanEvent] | None = None
    _links: list[SpanLink] | None = None
    _dropped_attributes = 0
    _dropped_events = 0
    _dropped_links = 0
    _status: tuple[StatusCode, str] | None = None
    _span_context: SpanContext | None = None

    @property
    def _withholds(self) -> bool:
        """Whether exception messages are withheld."""
        return False

    def get_span_context(self) -> SpanContext:
        if self._span_context is None:
            flags = TraceFlags(self._flags())
            self._span_context = SpanContext(self._trace_id, self._span_id, False, flags, self._trace_state)
        return self._span_context

    def _flags(self) -> int:
        return int(self._sampled) | (RANDOM_TRACE_ID if self._random else 0)

    def is_recording(self) -> bool:
        return self._sampled and self._live

    @property
    def name(self) -> str:
        """The span's name."""
        return self._given_name or ""

    @_guard.guarded("span.set_attribute")
    def set_attribute(self, key: str, value: Any) -> None:
        if not self.is_recording():
            return
        name, plain = line(key, 256), attribute(value)
        if not name or plain is None:
            return
        own = self._own_attributes
        if own is None:
            own = self._own_attributes = {}
            self._is_fast = False
        own.pop(name, None)
        own[name] = plain
        if len(own) > ports.record_limits().span_attributes:
            del own[next(iter(own))]  # the oldest, as in the SDK
            self._dropped_attributes += 1

    @_guard.guarded("span.set_attributes")
    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in (pairs(attributes, PAIRS_KEPT) or ([], 0))[0]:
            self.set_attribute(key, value)

    @_guard.guarded("span.add_event")
    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        if not self.is_recording():
            return
        if self._events is None:
            self._events = []
            self._is_fast = False
        limits = ports.record_limits()
        moment = timestamp if type(timestamp) is int else time_ns()
        kept, dropped = _clean_attributes(attributes, limits.event_attributes)
        self._events.append(SpanEvent(line(name, 256) or "", moment, kept, dropped))
        if len(self._events) > limits.span_events:
            del self._events[0]
            self._dropped_events += 1

    @_guard.guarded("span.add_link")
    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        if not self.is_recording() or not context.is_valid:
            return
        if self._links is None:
            self._links = []
            self._is_fast = False
        limits = ports.record_limits()
        kept, dropped = _clean_attributes(attributes, limits.link_attributes)
        self._links.append(SpanLink(context.trace_id, context.span_id, kept, dropped))
        if len(self._links) > limits.span_links:
            del self._links[0]
            self._dropped_links += 1

    @_guard.guarded("span.update_name")
    def update_name(self, name: str) -> None:
        if self.is_recording():
            self._given_name = line(name, 256) or self.name
            self._is_fast = False

    @_guard.guarded("span.set_status")
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if not self.is_recording():
            return
        code = status.status_code if isinstance(status, Status) else status
        message = status.description if isinstance(status, Status) else description
        if self._status is not None and self._status[0] is StatusCode.OK:
            return
        if code is not StatusCode.UNSET:
            self._is_fast = False
            self._status = (code, (line(message, 1024) or "") if code is StatusCode.ERROR else "")

    @_guard.guarded("span.record_exception")
    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: ARG002 - part of the API's signature
    ) -> None:
        if self.is_recording():
            given = dict((pairs(attributes, PAIRS_KEPT) or ([], 0))[0])
            described = describe(exception, withhold=self._withholds).attributes()
            self.add_event(semconv.EXCEPTION_EVENT, {**given, **described}, timestamp=timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Does nothing: the prediction or stage that owns this span ends it."""

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Does nothing; a subclass that is a context manager overrides it."""

    def _data(self, attributes: Attributes, status: tuple[StatusCode, str] | None) -> SpanData:
        """Builds the finished span. ``attributes`` win over those that the user set under the same names."""
        code, message = status or self._status or (StatusCode.UNSET, "")
        parent = self._parent
        if isinstance(parent, FastSpan):
            parent = parent.get_span_context()
        state = self._trace_state
        return SpanData(
            name=self.name,
            trace_id=self._trace_id,
            span_id=self._span_id,
            parent_span_id=parent.span_id if parent is not None and parent.is_valid else 0,
            trace_flags=1,
            start_ns=self._start_ns,
            end_ns=self._end_ns,
            attributes={**(self._own_attributes or {}), **attributes},
            events=self._events or [],
            links=self._links or [],
            dropped_attributes=self._dropped_attributes,
            dropped_events=self._dropped_events,
            dropped_links=self._dropped_links,
            status=_STATUS[code],  # type: ignore[arg-type]
            status_message=message,
            trace_state=state.to_header() if state else "",
            parent_is_remote=parent is not None and parent.is_valid and parent.is_remote,
        )


def _clean_attributes(attributes: Any, limit: int) -> tuple[Attributes, int]:
    """Returns at most ``limit`` clean attributes of what a caller passed, and how many of them are dropped."""
    found, total = pairs(attributes, limit) or ([], 0)
    cleaned = ((line(key, 256), attribute(value)) for key, value in found)
    return {name: value for name, value in cleaned if name and value is not None}, total - len(found)
