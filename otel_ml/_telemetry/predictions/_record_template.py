"""Everyday predictions as OTLP bytes: constant parts encoded once, the rest packed between them."""

from __future__ import annotations

import struct
from binascii import hexlify
from collections.abc import Callable
from typing import Final, NamedTuple

from otel_ml import _guard
from otel_ml._protobuf import varint
from otel_ml._telemetry.otlp import _encoding
from otel_ml._telemetry.otlp._framing import FRAMES
from otel_ml._telemetry.records import FastRecord, FastRecordValues, Shape

TEMPLATES_KEPT: Final = 512
"""Shapes that are kept: models x classes x a few flags. Where there are more, all are made anew."""

_TRACE_ID: Final = 0x6F8D2B7AC4E19350A7D3516E9B0C48F2
_SPAN_ID: Final = 0x93C5A1E7D20B684F
_PARENT_ID: Final = 0xB1D4F70692A85C3E
_END_NS: Final = 0x17A3C95F83E95C21
_ELAPSED_NS: Final = 0x2C6EF411
_NUMBER: Final = 0xD41C7F80E6B23A95D41C7F80E6B23A95
_SCORE: Final = 0.7310585786300049
"""Values that occur once each in an encoded message, so that their places can be found."""

_HAS_PARENT: Final = Shape.HAS_PARENT
_TIME: Final = struct.Struct("<Q")
_pack_time: Final = _TIME.pack
_DOUBLE: Final = struct.Struct("<d")


class Form(NamedTuple):
    """Constant bytes and the packing of a layout in which the fields stand between them."""

    pack: Callable[..., bytes]
    constants: tuple[bytes, ...]


class Template(NamedTuple):
    """One shape of span and event. The span's first constant begins with its frame: its length is always the same."""

    span: Form
    before_time: bytes
    """What an event begins with."""
    before_body: bytes
    behind_body: Form
    event_length: int
    """Without the body and what stands directly before it."""


class Templates:
    """The templates by shape; used by the worker only."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int, str], Template | None] = {}
        """By the source's number, the shape and the class; None for a shape that has to take the general way."""

    def of(self, record: FastRecord) -> Template | None:
        """The template of this record's shape, made on first use; None if it has to take the general way."""
        key = (record.source.number, record.shape, record.label)
        if key not in self.kept:
            if len(self.kept) >= TEMPLATES_KEPT:
                self.kept.clear()  # else what came first would keep all that comes later on the slow way
            self.kept[key] = _guard.call("worker.template", _make, record)
        return self.kept.get(key)


def encode(template: Template, record: FastRecordValues, body: bytes) -> tuple[bytes | None, bytes | None]:
    """A `Span` and a `LogRecord` message with their frames; None for what is not wanted."""
    # One unpacking costs less than eleven look-ups by name.
    _, shape, span_count, event_count, trace_id, span_id, parent_id, end_ns, elapsed_ns, number, _, score, _, _ = record
    prediction_id = hexlify(number.to_bytes(16, "big"))
    trace, own = trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big")
    form, before_time, before_body, behind, length = template
    span = event = None
    if span_count:
        start_ns = end_ns - elapsed_ns
        pack, constants = form
        if shape & _HAS_PARENT:
            a, b, c, d, e, f, g, h = constants
            parent = parent_id.to_bytes(8, "big")
            span = pack(a, trace, b, own, c, parent, d, start_ns, e, end_ns, f, prediction_id, g, score, h)
        else:
            a, b, c, d, e, f, g = constants
            span = pack(a, trace, b, own, c, start_ns, d, end_ns, e, prediction_id, f, score, g)
    if event_count:
        pack, (a, b, c, d, e, f, g) = behind
        tail = pack(a, prediction_id, b, elapsed_ns / 1e9, c, score, d, trace, e, own, f, end_ns, g)
        head = _BODY_HEADS[len(body)]
        frame = FRAMES[length + len(head) + len(body)]
        event = b"".join((frame, before_time, _pack_time(end_ns), before_body, head, body, tail))
    return span, event


class _BodyHeads(dict[int, bytes]):
    """What stands before a body, by its length: keys and lengths of `LogRecord.body` and of an `AnyValue`."""

    def __missing__(self, length: int) -> bytes:
        size = varint(length)
        head = b"\x2a%b\x0a%b" % (varint(length + len(size) + 1), size)
        if len(self) < _HEADS_KEPT:
            self[length] = head
        return head


_HEADS_KEPT: Final = 4096
_BODY_HEADS: Final = _BodyHeads()


def _make(record: FastRecord) -> Template | None:
    """Encodes the shape with known values in the general way and cuts it where they stand.

    The result is checked by putting the values back: what is not byte for byte the same is no template.
    """
    has_parent = bool(record.shape & Shape.HAS_PARENT)
    pattern = record._replace(
        span_count=1,
        event_count=1,
        trace_id=_TRACE_ID,
        span_id=_SPAN_ID,
        parent_id=_PARENT_ID if has_parent else 0,
        end_ns=_END_NS,
        elapsed_ns=_ELAPSED_NS,
        number=_NUMBER,
        score=_SCORE,
        row=None,
        stages=(),
    )
    source = record.source
    span_data, event_data = source.prototype(pattern)
    encoded_span, encoded_event = _encoding.encode_span(span_data), _encoding.encode_event(event_data)
    ids = [_TRACE_ID.to_bytes(16, "big"), _SPAN_ID.to_bytes(8, "big")]
    parents = [_PARENT_ID.to_bytes(8, "big")] if has_parent else []
    start, end = _TIME.pack(_END_NS - _ELAPSED_NS), _TIME.pack(_END_NS)
    prediction_id, score = pattern.prediction_id.encode(), _DOUBLE.pack(_SCORE)
    duration = _DOUBLE.pack(_ELAPSED_NS / 1e9)
    body = event_data.body.encode()
    head, found, tail = encoded_event.partition(_BODY_HEADS[len(body)] + body)
    before_time, has_time, before_body = head.partition(end)
    span_form = _cut(_framed(encoded_span), [*ids, *parents, start, end, prediction_id, score], "QQsd")
    behind = _cut(tail, [prediction_id, duration, score, *ids, end], "sddssQ")
    if span_form is None or behind is None or not has_time or not found:
        return None
    template = Template(span_form, before_time, before_body, behind, len(head) + len(tail))
    same = encode(template, pattern, body) == (_framed(encoded_span), _framed(encoded_event))
    return template if same else None


def _framed(message: bytes) -> bytes:
    return FRAMES[len(message)] + message


def _cut(message: bytes, fields: list[bytes], kinds: str) -> Form | None:
    """The message as a form with a place for each field; None if a field is not where it belongs.

    Args:
        message: An encoded message.
        fields: The fields in the order in which they stand.
        kinds: What they are packed as, `struct`'s letters; fields before those that it names are bytes.
    """
    constants = []
    layout = ""
    for field, kind in zip(fields, kinds.rjust(len(fields), "s"), strict=True):
        before, found, message = message.partition(field)
        if not found:
            return None
        constants.append(before)
        layout += f"{len(before)}s" + (f"{len(field)}s" if kind == "s" else kind)
    return Form(struct.Struct(f"<{layout}{len(message)}s").pack, (*constants, message))
