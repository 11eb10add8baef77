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

_TIME: Final = struct.Struct("<Q")
_DOUBLE: Final = struct.Struct("<d")


class Template(NamedTuple):
    """One shape of span and event as two formats: constant bytes with a place for each field, in the wire's order."""

    span: bytes
    event: bytes
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


def encode(template: Template, compact: Compact) -> tuple[bytes | None, bytes | None]:
    """A `Span` and a `LogRecord` message; None for what is not wanted."""
    # One unpacking costs less than twelve look-ups by name.
    _, trace, own, parent, _, start_ns, end_ns, chosen, value, seconds, text, has_span, has_event, _ = compact
    end, score, prediction_id = _TIME.pack(end_ns), _DOUBLE.pack(value), chosen.encode()
    trace_id, span_id = trace.to_bytes(16, "big"), own.to_bytes(8, "big")
    span = event = None
    if has_span:
        start = _TIME.pack(start_ns)
        if template.has_parent:
            parent_id = parent.to_bytes(8, "big")
            span = template.span % (trace_id, span_id, parent_id, start, end, prediction_id, score)
        else:
            span = template.span % (trace_id, span_id, start, end, prediction_id, score)
    if has_event:
        duration, body = _DOUBLE.pack(seconds), _body(text)
        event = template.event % (end, body, prediction_id, duration, score, trace_id, span_id, end)
    return span, event


def _body(body: bytes) -> bytes:
    """The field `LogRecord.body`: an `AnyValue` with a text."""
    size = varint(len(body))
    return b"\x2a%b\x0a%b%b" % (varint(len(body) + len(size) + 1), size, body)


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
    start, end = _TIME.pack(pattern.start_ns), _TIME.pack(pattern.end_ns)
    prediction_id, score = pattern.prediction_id.encode(), _DOUBLE.pack(pattern.score)
    duration = _DOUBLE.pack(pattern.duration)
    span_format = _cut(encoded_span, [*ids, *parents, start, end, prediction_id, score])
    event_format = _cut(encoded_event, [end, _body(_BODY), prediction_id, duration, score, *ids, end])
    if span_format is None or event_format is None:
        return None
    template = Template(span_format, event_format, has_parent)
    return template if encode(template, pattern) == (encoded_span, encoded_event) else None


def _cut(message: bytes, fields: list[bytes]) -> bytes | None:
    """The message as a format with a place for each field; None if a field is not where it belongs."""
    parts = []
    for field in fields:
        before, found, message = message.partition(field)
        if not found:
            return None
        parts.append(before.replace(b"%", b"%%"))
    return b"%b".join((*parts, message.replace(b"%", b"%%")))
