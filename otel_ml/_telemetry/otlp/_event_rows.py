"""OTLP bytes of events of one shape: what they share is encoded once."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final

from otel_ml import _event_rows
from otel_ml._event_rows import EventRow, EventShape
from otel_ml._protobuf import attribute, tag
from otel_ml._telemetry.otlp._framing import FRAMES
from otel_ml._telemetry.records import EventData
from otel_ml.config import RecordLimits

_ATTRIBUTES: Final = tag(6)
_FEW: Final = 16
"""More attributes than an event has; a limit above it never drops one."""
_IDS: Final = struct.Struct("<sQsQsI2s16s2s8s").pack
_NO_IDS: Final = struct.Struct("<sQsQsI").pack
_TIME, _OBSERVED, _FLAGS, _TRACE, _SPAN = b"\x09", b"\x59", b"\x45", b"\x4a\x10", b"\x52\x08"
"""Tags, and lengths of the ids, of the fields of a `LogRecord`."""


def encode_rows(
    rows: Iterable[EventRow], now_ns: int, encode: Callable[[EventData], bytes], limits: RecordLimits
) -> list[bytes]:
    """Encodes each event as a framed `LogRecord`.

    Protobuf takes the fields of a message in any order, so the bytes of a shape, which the general encoder makes, are
    followed by the fields that only one event has.

    Args:
        rows: The events.
        now_ns: When they were observed.
        encode: The general encoder, which applies the limits.
        limits: The limits in force.
    """
    shares = limits.log_value_length is None and limits.log_attributes >= _FEW
    frames: list[bytes] = []
    for row in rows:
        shape, key, value, time_ns, trace_id, span_id, sampled = row
        if not shares:
            record = encode(_event_of(row, now_ns))
        else:
            times = (_TIME, time_ns, _OBSERVED, now_ns, _FLAGS, int(sampled))
            ids = (
                _IDS(*times, _TRACE, trace_id.to_bytes(16, "big"), _SPAN, span_id.to_bytes(8, "big"))
                if trace_id and span_id
                else _NO_IDS(*times)
            )
            shared = shape.encoded or _encode_shape(shape, encode)
            record = shared + attribute(_ATTRIBUTES, key, value) + ids
        frames.append(FRAMES[len(record)] + record)
    return frames


def _encode_shape(shape: EventShape, encode: Callable[[EventData], bytes]) -> bytes:
    shape.encoded = encode(EventData(shape.name, 0, _event_rows.SEVERITY, shape.body, dict(shape.attributes)))
    return shape.encoded


def _event_of(row: EventRow, now_ns: int) -> EventData:
    return EventData(
        name=row.shape.name,
        time_ns=row.time_ns,
        severity=_event_rows.SEVERITY,
        body=row.shape.body,
        attributes=dict(row.attributes()),
        trace_id=row.trace_id,
        span_id=row.span_id,
        trace_flags=int(row.is_sampled),
        observed_ns=now_ns,
    )
