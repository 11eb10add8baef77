"""OTLP bytes of predictions on the fast path.

Predictions of one shape (one model, one class, the same flags) differ only in a few fields of fixed length: ids, times,
the score. So the general encoder encodes one of them with known values, and the message is cut where those values are.
From then on a span or event of this shape costs one `struct` call that packs new values between the constant bytes. The
template is checked when it is made: filled with the known values, it must give the encoder's message byte for byte.
"""

from __future__ import annotations

import struct
from binascii import hexlify
from collections.abc import Callable
from typing import Final, NamedTuple

from otel_ml import _guard
from otel_ml._protobuf import varint
from otel_ml._telemetry.otlp._framing import FRAMES
from otel_ml._telemetry.otlp._templates import END_NS, PARENT_ID, SPAN_ID, TRACE_ID, split_at
from otel_ml._telemetry.records import EventData, FastRecord, FastRecordValues, Shape, SpanData

TEMPLATES_KEPT: Final = 512
"""Templates to keep: models x classes x a few flags. Beyond this number all are dropped and made again."""

_ELAPSED_NS: Final = 0x2C6EF411
_NUMBER: Final = 0xD41C7F80E6B23A95D41C7F80E6B23A95
_SCORE: Final = 0.7310585786300049
"""Known values, each of which occurs once in an encoded message."""

_HAS_PARENT: Final = Shape.HAS_PARENT
_TIME: Final = struct.Struct("<Q")
_pack_time: Final = _TIME.pack
_DOUBLE: Final = struct.Struct("<d")


class Form(NamedTuple):
    """Constant bytes, and the `struct` function that packs fields between them."""

    pack: Callable[..., bytes]
    constants: tuple[bytes, ...]


class Template(NamedTuple):
    """The span and the event of one shape. The span's length is fixed, so its first constant includes its frame."""

    span: Form
    before_time: bytes
    """The first bytes of an event."""
    before_body: bytes
    after_body: Form
    event_length: int
    """Length of the event without its body and the head of the body."""


class Templates:
    """The templates by shape; only the worker uses them.

    Args:
        encode_span: The general encoder of spans, which applies the limits in force. A limit that cuts or drops a field
            which varies leaves no place for it, and the shape takes the general path.
        encode_event: The same of events.
    """

    def __init__(self, encode_span: Callable[[SpanData], bytes], encode_event: Callable[[EventData], bytes]) -> None:
        self._encoders = encode_span, encode_event
        self.kept: dict[tuple[int, int, str], Template | None] = {}
        """By the source's number, the shape and the class; None for a shape that must take the general path."""

    def get(self, record: FastRecord) -> Template | None:
        """Returns the template of this record's shape, made on first use; None if it must take the general path."""
        key = (record.source.number, record.shape, record.label)
        if key not in self.kept:
            if len(self.kept) >= TEMPLATES_KEPT:
                self.kept.clear()  # or later shapes would all take the general path
            self.kept[key] = _guard.call("worker.template", _make, record, *self._encoders)
        return self.kept.get(key)


def encode(template: Template, record: FastRecordValues, body: bytes) -> tuple[bytes | None, bytes | None]:
    """Returns a framed `Span` and a framed `LogRecord` message; None for one that the record does not ask for."""
    # One unpacking costs less than eleven look-ups by name.
    _, shape, span_count, event_count, trace_id, span_id, parent_id, end_ns, elapsed_ns, number, _, score, _, _ = record
    prediction_id = hexlify(number.to_bytes(16, "big"))
    trace, span_bytes = trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big")
    form, before_time, before_body, after, length = template
    span = event = None
    if span_count:
        start_ns = end_ns - elapsed_ns
        pack, constants = form
        if shape & _HAS_PARENT:
            a, b, c, d, e, f, g, h = constants
            parent = parent_id.to_bytes(8, "big")
            span = pack(a, trace, b, span_bytes, c, parent, d, start_ns, e, end_ns, f, prediction_id, g, score, h)
        else:
            a, b, c, d, e, f, g = constants
            span = pack(a, trace, b, span_bytes, c, start_ns, d, end_ns, e, prediction_id, f, score, g)
    if event_count:
        pack, (a, b, c, d, e, f, g) = after
        tail = pack(a, prediction_id, b, elapsed_ns / 1e9, c, score, d, trace, e, span_bytes, f, end_ns, g)
        head = _BODY_HEADS[len(body)]
        frame = FRAMES[length + len(head) + len(body)]
        event = b"".join((frame, before_time, _pack_time(end_ns), before_body, head, body, tail))
    return span, event


class _BodyHeads(dict[int, bytes]):
    """The bytes before a body, by the body's length: tags and lengths of `LogRecord.body` and of its `AnyValue`."""

    def __missing__(self, length: int) -> bytes:
        size = varint(length)
        head = b"\x2a%b\x0a%b" % (varint(length + len(size) + 1), size)
        if len(self) < _HEADS_KEPT:
            self[length] = head
        return head


_HEADS_KEPT: Final = 4096
_BODY_HEADS: Final = _BodyHeads()


def _make(
    record: FastRecord, encode_span: Callable[[SpanData], bytes], encode_event: Callable[[EventData], bytes]
) -> Template | None:
    """Makes the template of a shape; None if the filled template is not the encoder's message byte for byte."""
    has_parent = bool(record.shape & Shape.HAS_PARENT)
    pattern = record._replace(
        span_count=1,
        event_count=1,
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_id=PARENT_ID if has_parent else 0,
        end_ns=END_NS,
        elapsed_ns=_ELAPSED_NS,
        number=_NUMBER,
        score=_SCORE,
        row=None,
        stages=(),
    )
    source = record.source
    span_data, event_data = source.prototype(pattern)
    encoded_span, encoded_event = encode_span(span_data), encode_event(event_data)
    ids = [TRACE_ID.to_bytes(16, "big"), SPAN_ID.to_bytes(8, "big")]
    parents = [PARENT_ID.to_bytes(8, "big")] if has_parent else []
    start, end = _TIME.pack(END_NS - _ELAPSED_NS), _TIME.pack(END_NS)
    prediction_id, score = pattern.prediction_id.encode(), _DOUBLE.pack(_SCORE)
    duration = _DOUBLE.pack(_ELAPSED_NS / 1e9)
    body = event_data.body.encode()
    head, found, tail = encoded_event.partition(_BODY_HEADS[len(body)] + body)
    before_time, has_time, before_body = head.partition(end)
    span_form = _form(_framed(encoded_span), [*ids, *parents, start, end, prediction_id, score], "QQsd")
    after = _form(tail, [prediction_id, duration, score, *ids, end], "sddssQ")
    if span_form is None or after is None or not has_time or not found:
        return None
    template = Template(span_form, before_time, before_body, after, len(head) + len(tail))
    same = encode(template, pattern, body) == (_framed(encoded_span), _framed(encoded_event))
    return template if same else None


def _framed(message: bytes) -> bytes:
    return FRAMES[len(message)] + message


def _form(message: bytes, fields: list[bytes], kinds: str) -> Form | None:
    """Returns the form of a message in which the fields may vary; None unless it contains them in this order.

    Args:
        message: An encoded message.
        fields: The encoded fields in their order.
        kinds: `struct` letters of the last fields; the fields before them are bytes.
    """
    constants = split_at(message, fields)
    if constants is None:
        return None
    layout = "".join(
        f"{len(before)}s" + (f"{len(field)}s" if kind == "s" else kind)
        for before, field, kind in zip(constants[:-1], fields, kinds.rjust(len(fields), "s"), strict=True)
    )
    return Form(struct.Struct(f"<{layout}{len(constants[-1])}s").pack, tuple(constants))
