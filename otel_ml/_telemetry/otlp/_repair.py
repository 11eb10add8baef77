"""Shortens and repairs records of other instrumentation that are too long or cannot be encoded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from otel_ml import _guard
from otel_ml._telemetry.otlp._framing import Encoded
from otel_ml._values import block, line, plain

R = TypeVar("R")

LONGEST: Final = 65_536
"""Characters that one text of a span or log record may have; a queue holds thousands of records."""


def limit_span(span: ReadableSpan) -> ReadableSpan:
    """Returns the span itself, or a copy with its long texts cut."""
    attributes = [span.attributes, *(event.attributes for event in span.events)]
    if len(span.name) > LONGEST or any(_has_long(one) for one in attributes):
        return repair_span(span)
    return span


def limit_log(record: ReadableLogRecord) -> ReadableLogRecord:
    """Returns the log record itself, or a copy with its long texts cut."""
    body = record.log_record.body
    if (type(body) is str and len(body) > LONGEST) or _has_long(record.log_record.attributes):
        return repair_log(record)
    return record


def repair_span(span: ReadableSpan) -> ReadableSpan:
    """Returns a copy whose texts are valid UTF-8 and not too long."""
    return ReadableSpan(
        name=line(span.name, LONGEST),
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[_event(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, block(span.status.description or "", LONGEST) or None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def repair_log(record: ReadableLogRecord) -> ReadableLogRecord:
    """Returns a copy whose texts are valid UTF-8 and not too long, and whose body is plain."""
    copied = copy.copy(record.log_record)
    body: Any = copied.body
    copied.body = block(body, LONGEST) if type(body) is str else plain(body)
    copied.attributes = _attributes(copied.attributes)
    copied.severity_text = line(copied.severity_text or "", LONGEST) or None
    copied.event_name = line(copied.event_name or "", LONGEST) or None
    return ReadableLogRecord(copied, record.resource, record.instrumentation_scope, record.limits)


def encode_or_repair(
    encode: Callable[[Sequence[R]], list[Encoded]], repair: Callable[[R], R]
) -> Callable[[Sequence[R]], list[Encoded]]:
    """Returns an encoder that repairs records which cannot be encoded, and raises where that does not help."""

    def encoded(records: Sequence[R]) -> list[Encoded]:
        whole = _guard.attempt(encode, records)
        if whole is not None:
            return whole
        singly: list[Encoded] = []
        for record in records:
            one = _guard.attempt(encode, [record])
            singly += encode([repair(record)]) if one is None else one
        return singly

    return encoded


def _has_long(attributes: Mapping[str, Any] | None) -> bool:
    values = attributes.values() if attributes else ()
    return any(type(value) is str and len(value) > LONGEST for value in values)


def _event(event: Event) -> Event:
    return Event(line(event.name, LONGEST), _attributes(event.attributes), event.timestamp)


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {line(key, LONGEST): _value(value) for key, value in (attributes or {}).items()}


def _value(value: Any) -> Any:
    if type(value) is str:
        return block(value, LONGEST)
    return [_value(one) for one in value] if type(value) in {list, tuple} else value
