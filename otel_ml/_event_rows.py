"""Events of one kind that come in large numbers: what they share is made, and encoded, once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

SEVERITY: Final = "INFO"


class EventShape:
    """Name, body and attributes that some events share."""

    __slots__ = ("attributes", "body", "encoded", "name")

    def __init__(self, name: str, body: str, attributes: dict[str, str | bool]) -> None:
        self.name = name
        self.body = body
        self.attributes = attributes
        self.encoded = b""
        """All of this in a `LogRecord` of OTLP; set by the engine's encoder."""


class EventRow(NamedTuple):
    """One event: its shape, and what differs from others of that shape."""

    shape: EventShape
    key: str
    """Name of an attribute that only this event has."""
    value: str
    """Its value."""
    time_ns: int
    trace_id: int
    span_id: int
    is_sampled: bool

    def attributes(self) -> dict[str, str | bool]:
        """Returns all attributes."""
        return {**self.shape.attributes, self.key: self.value}


class EventProvider(Protocol):
    """A logger provider of own mode, which takes many events at once."""

    def emit_events(self, rows: Sequence[EventRow], *, wait: bool) -> None:
        """Emits the events; with ``wait`` it waits while there is no room for them, within a bound."""


def emit_one(logger: Logger, row: EventRow) -> None:
    """Emits an event through the OTel API, on the trace of its ids."""
    flags = TraceFlags(TraceFlags.SAMPLED if row.is_sampled else TraceFlags.DEFAULT)
    span = SpanContext(row.trace_id, row.span_id, is_remote=True, trace_flags=flags)
    logger.emit(
        timestamp=row.time_ns,
        context=set_span_in_context(NonRecordingSpan(span), Context()),
        severity_number=SeverityNumber.INFO,
        severity_text=SEVERITY,
        body=row.shape.body,
        attributes=row.attributes(),
        event_name=row.shape.name,
    )
