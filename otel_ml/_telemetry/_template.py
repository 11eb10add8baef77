"""Everyday predictions as OTLP bytes: constant parts encoded once, the rest put between them."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from otel_ml import _guard
from otel_ml._telemetry import _encode
from otel_ml._telemetry._wire import varint
from otel_ml._telemetry.ports import Compact, Record

TEMPLATES_KEPT: Final = 512
"""Shapes that are kept: models x classes x a few flags. Beyond it predictions take the general way."""

_BODY: Final = b"stands for the body."
_PATTERN: Final = Compact(
    key=(),
    trace_id=0x6F8D2B7AC4E19350A7D3516E9B0C48F2,
    span_id=0x93C5A1E7D20B684F,
    parent_span_id=0xB1D4F70692A85C3E,
    trace_flags=1,
    start_ns=0x17A3C95E62D84B10,
    end_ns=0x17A3C95F83E95C21,
    prediction_id="d41c7f80e6b23a95d41c7f80e6b23a95",
    score=0.7310585786300049,
    duration=0.2689414213699951,
    body=_BODY,
    has_span=True,
    has_event=True,
)
"""Values that occur once each in an encoded message, so that their places can be found."""

_TIMES: Final = struct.Struct("<Q")
_DOUBLE: Final = struct.Struct("<d")


class Template(NamedTuple):
    """The constant parts between the fields of one shape of span and event, in the order of the wire."""

    span: tuple[bytes, ...]
    event: tuple[bytes, ...]
    has_parent: bool


class Templates:
    """Encodes the records that fit a template; used by the worker only."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Template | None] = {}

    def of(self, record: Record, compact: Compact) -> Template | None:
        """The template of this record's shape, made on first use; None if it has to take the general way."""
        try:
            return self._kept[compact.key]
        except KeyError:
            if len(self._kept) >= TEMPLATES_KEPT:
                return None
            template = _guard.call("worker.template", _make, record, compact)
            self._kept[compact.key] = template
            return template


def span(template: Template, compact: Compact) -> bytes:
    """One `Span` message."""
    parts = template.span
    start, end = _TIMES.pack(compact.start_ns), _TIMES.pack(compact.end_ns)
    ids = compact.trace_id.to_bytes(16, "big"), compact.span_id.to_bytes(8, "big")
    prediction_id, score = compact.prediction_id.encode(), _DOUBLE.pack(compact.score)
    if template.has_parent:
        parent = compact.parent_span_id.to_bytes(8, "big")
        return _between(parts, (*ids, parent, start, end, prediction_id, score))
    return _between(parts, (*ids, start, end, prediction_id, score))


def event(template: Template, compact: Compact) -> bytes:
    """One `LogRecord` message."""
    body, time = compact.body, _TIMES.pack(compact.end_ns)
    text = b"\x0a" + varint(len(body)) + body
    fields = (
        time,
        b"\x2a" + varint(len(text)) + text,
        compact.prediction_id.encode(),
        _DOUBLE.pack(compact.duration),
        _DOUBLE.pack(compact.score),
        compact.trace_id.to_bytes(16, "big"),
        compact.span_id.to_bytes(8, "big"),
        time,
    )
    return _between(template.event, fields)


def _between(parts: tuple[bytes, ...], fields: tuple[bytes, ...]) -> bytes:
    pieces = [parts[0]]
    for field, part in zip(fields, parts[1:], strict=True):
        pieces.append(field)
        pieces.append(part)
    return b"".join(pieces)


def _make(record: Record, compact: Compact) -> Template | None:
    """Encodes the shape with the pattern's values in the general way and cuts it where they stand.

    The result is checked by putting the pattern's values back: what is not byte for byte the same is no template.
    """
    has_parent = compact.parent_span_id != 0
    pattern = _PATTERN._replace(parent_span_id=_PATTERN.parent_span_id if has_parent else 0)
    span_data, event_data = record.prototype(pattern)
    encoded_span, encoded_event = _encode.span(span_data), _encode.event(event_data)
    ids = [pattern.trace_id.to_bytes(16, "big"), pattern.span_id.to_bytes(8, "big")]
    parents = [pattern.parent_span_id.to_bytes(8, "big")] if has_parent else []
    start, end = _TIMES.pack(pattern.start_ns), _TIMES.pack(pattern.end_ns)
    prediction_id, score = pattern.prediction_id.encode(), _DOUBLE.pack(pattern.score)
    body = b"\x2a" + varint(len(_BODY) + 2) + b"\x0a" + varint(len(_BODY)) + _BODY
    in_event = [end, body, prediction_id, _DOUBLE.pack(pattern.duration), score, *ids, end]
    span_parts = _cut(encoded_span, [*ids, *parents, start, end, prediction_id, score])
    event_parts = _cut(encoded_event, in_event)
    if span_parts is None or event_parts is None:
        return None
    template = Template(span_parts, event_parts, has_parent)
    same = span(template, pattern) == encoded_span and event(template, pattern) == encoded_event
    return template if same else None


def _cut(message: bytes, fields: list[bytes]) -> tuple[bytes, ...] | None:
    """The parts between the fields; None if a field is not where it belongs."""
    parts = []
    for field in fields:
        before, found, message = message.partition(field)
        if not found:
            return None
        parts.append(before)
    return (*parts, message)
