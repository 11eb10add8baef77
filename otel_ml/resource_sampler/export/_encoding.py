"""Points as an OTLP request for metrics, in protobuf's wire format; all but values and times is encoded once a series.

Source: opentelemetry-proto, metrics/v1/metrics.proto and collector/metrics/v1/metrics_service.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from otel_ml import semconv
from otel_ml.resource_sampler._points import Attributes, Point
from otel_ml.resource_sampler.export._local_meter import LocalHistogram

_MAX_SERIES: Final = 8192
_CUMULATIVE: Final = b"\x10\x02"
_MONOTONIC: Final = b"\x18\x01"
_INTEGER: Final = 0x31
_DOUBLE: Final = 0x21
_START: Final = 0x11
_TIME: Final = 0x19
_GAUGE: Final = 5
_SUM: Final = 7
_HISTOGRAM: Final = 9
_PACK: Final = {
    # (has a start time, is an integer); the fields: start, time, value
    (True, True): struct.Struct("<BQBQBq").pack,
    (True, False): struct.Struct("<BQBQBd").pack,
    (False, True): struct.Struct("<BQBq").pack,
    (False, False): struct.Struct("<BQBd").pack,
}
_LENGTH: Final = {True: 27, False: 18}
"""Bytes of times and value, with and without a start time."""


class Encoder:
    """Encodes what one sampler gives at each tick.

    Args:
        resource: Attributes of the resource.
        start_ns: Since when cumulative values are known, nanoseconds since the epoch.
        metrics: The metrics that may come, with their kind, unit and description.
    """

    def __init__(
        self,
        resource: Mapping[str, Any],
        start_ns: int,
        metrics: Iterable[semconv.Metric] = semconv.metrics(),
    ) -> None:
        self._start_ns = start_ns
        self._metrics = {metric.name: metric for metric in metrics}
        self._headers: dict[str, bytes] = {}
        self._series: dict[tuple[int, bool], tuple[Attributes, bytes]] = {}
        schema = semconv.SCHEMA_URL.encode()
        self._resource = _field(1, b"".join(_attribute(1, *pair) for pair in resource.items())) + _field(3, schema)
        self._scope = _field(1, _field(1, semconv.SCOPE.encode())) + _field(3, schema)

    def request(
        self, points: Mapping[str, Sequence[Point]], histograms: Iterable[LocalHistogram], now_ns: int
    ) -> tuple[bytes, int]:
        """The body of an ExportMetricsServiceRequest, and how many points it has.

        Where the wall clock was set back beyond the start, the start is set back with it: a point cannot end before.
        """
        self._start_ns = min(self._start_ns, now_ns)
        encoded = [self._number(self._metrics[name], rows, now_ns) for name, rows in points.items() if rows]
        count = sum(map(len, points.values()))
        for histogram in histograms:
            cells = histogram.cells()
            count += len(cells)
            if cells:
                encoded.append(self._histogram(histogram, cells, now_ns))
        scope = self._scope + b"".join(_field(2, metric) for metric in encoded)
        return _field(1, self._resource + _field(2, scope)), count

    def _number(self, metric: semconv.Metric, rows: Sequence[Point], now_ns: int) -> bytes:
        is_gauge = metric.instrument == "gauge"
        parts = []
        for value, attributes in rows:
            is_integer = isinstance(value, int)
            parts.append(self._prefix(attributes, is_gauge=is_gauge))
            if is_gauge:
                parts.append(_PACK[False, is_integer](_TIME, now_ns, _INTEGER if is_integer else _DOUBLE, value))
            else:
                kind = _INTEGER if is_integer else _DOUBLE
                parts.append(_PACK[True, is_integer](_START, self._start_ns, _TIME, now_ns, kind, value))
        if not is_gauge:
            parts.append(_CUMULATIVE)
            if metric.instrument == "counter":
                parts.append(_MONOTONIC)
        header = self._header(metric.name, metric.unit, metric.description)
        return header + _field(_GAUGE if is_gauge else _SUM, b"".join(parts))

    def _prefix(self, attributes: Attributes, *, is_gauge: bool) -> bytes:
        """Key and length of a data point, and its attributes."""
        key = (id(attributes), is_gauge)
        found = self._series.get(key)
        if found is None:
            if len(self._series) >= _MAX_SERIES:
                self._series.clear()
            encoded = b"".join(_attribute(7, *pair) for pair in attributes.items())
            prefix = b"\x0a" + _varint(len(encoded) + _LENGTH[not is_gauge]) + encoded
            # the attributes are held, so that their id stays theirs
            found = self._series[key] = (attributes, prefix)
        return found[1]

    def _histogram(
        self,
        histogram: LocalHistogram,
        cells: Sequence[tuple[Mapping[str, Any], tuple[int, ...], float]],
        now_ns: int,
    ) -> bytes:
        bounds = _field(7, struct.pack(f"<{len(histogram.bounds)}d", *histogram.bounds))
        parts = []
        for attributes, counts, total in cells:
            point = b"".join(_attribute(9, *pair) for pair in attributes.items())
            point += struct.pack("<BQBQ", _START, self._start_ns, _TIME, now_ns)
            point += struct.pack("<BQBd", 0x21, sum(counts), 0x29, total)
            point += _field(6, struct.pack(f"<{len(counts)}Q", *counts)) + bounds
            parts.append(_field(1, point))
        header = self._header(histogram.name, histogram.unit, histogram.description)
        return header + _field(_HISTOGRAM, b"".join(parts) + _CUMULATIVE)

    def _header(self, name: str, unit: str, description: str) -> bytes:
        found = self._headers.get(name)
        if found is None:
            texts = ((1, name), (2, description), (3, unit))
            found = self._headers[name] = b"".join(_field(number, text.encode()) for number, text in texts if text)
        return found


def rejected_points(answer: bytes) -> int:
    """Points that an accepting receiver refused: ``partial_success.rejected_data_points`` of its answer."""
    partial = _first(answer, 1)
    if not isinstance(partial, bytes):
        return 0
    rejected = _first(partial, 1)
    return rejected if isinstance(rejected, int) and rejected < 1 << 63 else 0


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _field(number: int, payload: bytes) -> bytes:
    """One field of length and bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _attribute(number: int, key: str, value: Any) -> bytes:
    """One KeyValue as the field with this number."""
    if isinstance(value, bool):
        encoded = b"\x10" + (b"\x01" if value else b"\x00")
    elif isinstance(value, int):
        encoded = b"\x18" + _varint(value & (1 << 64) - 1)
    elif isinstance(value, float):
        encoded = b"\x21" + struct.pack("<d", value)
    else:
        encoded = _field(1, str(value).encode("utf-8", "replace"))
    return _field(number, _field(1, key.encode()) + _field(2, encoded))


def _first(message: bytes, wanted: int) -> int | bytes | None:
    """The first field of this number, if it is a varint or bytes; None in a malformed message."""
    position = 0
    while position < len(message):
        try:
            key, position = _read_varint(message, position)
            kind = key & 7
            if kind not in {0, 2}:
                return None
            value, position = _read_varint(message, position)
        except IndexError:
            return None
        found: int | bytes = value
        if kind == 2:
            found, position = message[position : position + value], position + value
        if key >> 3 == wanted:
            return found
    return None


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
        if shift > 63:
            raise IndexError("too long")
