"""Points as an OTLP request for metrics; only values and times are encoded at each tick.

Source: opentelemetry-proto, metrics/v1/metrics.proto and collector/metrics/v1/metrics_service.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from otel_ml import semconv
from otel_ml._protobuf import attribute, field, tag, varint
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
    """Encodes the points of one sampler at each tick.

    What is there at the first tick was counted before the sampler began, since boot or longer. Such series have no
    start time: with one, all of it would seem to happen now. Series that come later began after the sampler.

    Args:
        resource: Attributes of the resource.
        start_ns: Start of cumulative values, nanoseconds since the epoch.
    """

    def __init__(self, resource: Mapping[str, Any], start_ns: int) -> None:
        self._start_ns = start_ns
        self._metrics = {metric.name: metric for metric in semconv.metrics()}
        self._headers: dict[str, bytes] = {}
        self._series: dict[tuple[int, str], tuple[Attributes, bytes, bool]] = {}
        self._found: set[tuple[str, frozenset[tuple[str, Any]]]] = set()
        """Name and attributes of the series of the first tick."""
        self._is_first = True
        schema = semconv.SCHEMA_URL.encode()
        self._resource = field(1, _attributes(1, resource)) + field(3, schema)
        self._scope = field(1, field(1, semconv.SCOPE.encode())) + field(3, schema)

    def encode(
        self, points: Mapping[str, Sequence[Point]], histograms: Iterable[LocalHistogram], now_ns: int
    ) -> tuple[bytes, int]:
        """Returns the body of an ExportMetricsServiceRequest and its number of points.

        If the wall clock was set back beyond the start, so is the start: no point may end before it.
        """
        self._start_ns = min(self._start_ns, now_ns)
        encoded = [self._number(self._metrics[name], rows, now_ns) for name, rows in points.items() if rows]
        count = sum(map(len, points.values()))
        for histogram in histograms:
            cells = histogram.cells()
            count += len(cells)
            if cells:
                encoded.append(self._histogram(histogram, cells, now_ns))
        self._is_first = False
        scope = self._scope + b"".join(field(2, metric) for metric in encoded)
        return field(1, self._resource + field(2, scope)), count

    def _number(self, metric: semconv.Metric, rows: Sequence[Point], now_ns: int) -> bytes:
        is_gauge = metric.instrument == "gauge"
        parts = []
        for value, attributes in rows:
            is_integer = isinstance(value, int)
            prefix, has_start = self._prefix(metric.name, attributes, is_gauge=is_gauge)
            parts.append(prefix)
            start = (_START, self._start_ns) if has_start else ()
            kind = _INTEGER if is_integer else _DOUBLE
            parts.append(_PACK[has_start, is_integer](*start, _TIME, now_ns, kind, value))
        if not is_gauge:
            parts.append(_CUMULATIVE)
            if metric.instrument == "counter":
                parts.append(_MONOTONIC)
        header = self._header(metric.name, metric.unit, metric.description)
        return header + field(_GAUGE if is_gauge else _SUM, b"".join(parts))

    def _prefix(self, name: str, attributes: Attributes, *, is_gauge: bool) -> tuple[bytes, bool]:
        """Returns tag and length of a data point with its attributes, and whether it has a start time."""
        key = (id(attributes), name)
        found = self._series.get(key)
        if found is None:
            if len(self._series) >= _MAX_SERIES:
                self._series.clear()
            has_start = not is_gauge and not self._is_older(name, attributes)
            encoded = _attributes(7, attributes)
            prefix = b"\x0a" + varint(len(encoded) + _LENGTH[has_start]) + encoded
            # The attributes are kept so that no other object can get their id.
            found = self._series[key] = (attributes, prefix, has_start)
        return found[1], found[2]

    def _is_older(self, name: str, attributes: Attributes) -> bool:
        """Whether the series was there at the first tick."""
        series = (name, frozenset(attributes.items()))
        if self._is_first:
            self._found.add(series)
        return series in self._found

    def _histogram(
        self,
        histogram: LocalHistogram,
        cells: Sequence[tuple[Mapping[str, Any], tuple[int, ...], float]],
        now_ns: int,
    ) -> bytes:
        bounds = field(7, struct.pack(f"<{len(histogram.bounds)}d", *histogram.bounds))
        parts = []
        for attributes, counts, total in cells:
            point = _attributes(9, attributes)
            point += struct.pack("<BQBQ", _START, self._start_ns, _TIME, now_ns)
            point += struct.pack("<BQBd", 0x21, sum(counts), 0x29, total)
            point += field(6, struct.pack(f"<{len(counts)}Q", *counts)) + bounds
            parts.append(field(1, point))
        header = self._header(histogram.name, histogram.unit, histogram.description)
        return header + field(_HISTOGRAM, b"".join(parts) + _CUMULATIVE)

    def _header(self, name: str, unit: str, description: str) -> bytes:
        found = self._headers.get(name)
        if found is None:
            texts = ((1, name), (2, description), (3, unit))
            found = self._headers[name] = b"".join(field(number, text.encode()) for number, text in texts if text)
        return found


def _attributes(number: int, attributes: Mapping[str, Any]) -> bytes:
    """Encodes each attribute as a field with this number; values of other types become text."""
    field_tag = tag(number)
    return b"".join(
        attribute(field_tag, name, value if isinstance(value, str | int | float) else str(value))
        for name, value in attributes.items()
    )
