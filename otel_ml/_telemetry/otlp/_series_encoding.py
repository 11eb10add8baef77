"""OTLP bytes of metrics whose series are known: attributes are encoded once, then only times and value change."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import Metric, Sum

from otel_ml._protobuf import attribute, field, tag, varint
from otel_ml._telemetry._yielding import in_steps
from otel_ml._telemetry.otlp._framing import FRAMES, Encoded, join_in_steps
from otel_ml._telemetry.series_points import Row

if TYPE_CHECKING:
    from otel_ml._observed_series import ObservedSeries

_ATTRIBUTES: Final = tag(7)
_POINTS: Final = tag(1)
_GAUGE, _SUM = tag(5), tag(7)
_START, _TIME, _DOUBLE, _INT = b"\x11", b"\x19", b"\x21", b"\x31"
"""Tags of the fields of a `NumberDataPoint`, each of which has eight bytes."""
_COUNT: Final = (struct.Struct("<sQsQsq").pack, struct.Struct("<sQsQsd").pack)
_LEVEL: Final = (struct.Struct("<sQsq").pack, struct.Struct("<sQsd").pack)
"""With and without a start, each for integers and for floats."""
_KEPT: Final = 4096


def encode_series(scope: bytes, metric: Metric) -> Encoded:
    """Encodes a gauge or sum whose points are `SeriesPoints`, field by field as the SDK's encoder does.

    Args:
        scope: The encoded fields of the scope.
        metric: The metric.

    Raises:
        struct.error: A value has more than 64 bits.
    """
    data: Any = metric.data
    rows, ending = data.data_points.rows, b""
    if isinstance(data, Sum):
        ending = b"\x10%c" % data.aggregation_temporality + (b"\x18\x01" if data.is_monotonic else b"")
    encode = _encode_counts if isinstance(data, Sum) else _encode_levels
    pieces = [encode(step) for step in in_steps(rows)]
    length = sum(map(len, pieces)) + len(ending)
    names = ((1, metric.name), (2, metric.description), (3, metric.unit))
    head = b"".join(field(number, text.encode()) for number, text in names if text)
    head += (_SUM if isinstance(data, Sum) else _GAUGE) + varint(length)
    return scope, join_in_steps((FRAMES[len(head) + length], head, *pieces, ending)), len(rows)


def _encode_counts(rows: Iterable[Row]) -> bytes:
    pieces: list[bytes] = []
    as_int, as_double = _COUNT
    for series, start_ns, time_ns, value in rows:
        if isinstance(value, int):
            number = as_int(_START, start_ns, _TIME, time_ns, _INT, value)
        else:
            number = as_double(_START, start_ns, _TIME, time_ns, _DOUBLE, value)
        attributes = series.encoded or _encode_attributes(series)
        pieces += (_head(len(number) + len(attributes)), number, attributes)
    return b"".join(pieces)


def _encode_levels(rows: Iterable[Row]) -> bytes:
    pieces: list[bytes] = []
    as_int, as_double = _LEVEL
    for series, _, time_ns, value in rows:
        if isinstance(value, int):
            number = as_int(_TIME, time_ns, _INT, value)
        else:
            number = as_double(_TIME, time_ns, _DOUBLE, value)
        attributes = series.encoded or _encode_attributes(series)
        pieces += (_head(len(number) + len(attributes)), number, attributes)
    return b"".join(pieces)


def _encode_attributes(series: ObservedSeries) -> bytes:
    series.encoded = b"".join([_attribute(name, value) for name, value in series.attributes.items()])
    return series.encoded


@lru_cache(_KEPT)
def _attribute(name: str, value: str) -> bytes:
    """Encodes an attribute; series of one model differ in one or two of them."""
    return attribute(_ATTRIBUTES, name, value)


@lru_cache(_KEPT)
def _head(length: int) -> bytes:
    """Returns tag and length of a data point."""
    return _POINTS + varint(length)
