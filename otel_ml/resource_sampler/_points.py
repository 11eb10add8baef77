"""From readings to observed points: sound values only, one point a series, counters that never fall."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.metrics import Observation

from otel_ml.resource_sampler._source import Reading

MAX_POINTS: Final = 256
"""Points of one metric in one tick; a source that gives more is cut."""

_Key = tuple[str, frozenset[tuple[str, str | int]]]

_MAX_COUNTERS: Final = 4096
_LARGEST: Final = (1 << 63) - 1
"""What an integer point of OTLP can hold."""
_JITTER: Final = 0.99
"""A counter that falls by less than a hundredth did not restart: the kernel's iowait time steps back a little."""


class MonotonicCounters:
    """Keeps cumulative values from falling when what is read restarts or steps back.

    A small step back holds the last value; a fall is taken for a restart at zero, and what was counted before is added.
    """

    def __init__(self) -> None:
        self._series: OrderedDict[_Key, tuple[float, float]] = OrderedDict()
        """Last raw value and offset of each series, the longest unseen one first."""

    def advance(self, key: _Key, raw: float) -> float:
        """The value to report for a raw one."""
        last, offset = self._series.pop(key, (raw, 0 * raw))
        if raw < last:
            if raw >= last * _JITTER:
                raw = last
            else:
                offset += last
        self._series[key] = (raw, offset)
        if len(self._series) > _MAX_COUNTERS:
            self._series.popitem(last=False)
        return raw + offset

    def clear(self) -> None:
        """Forgets all series."""
        self._series.clear()


def points_of(readings: Iterable[Reading], counters: MonotonicCounters) -> tuple[dict[str, Sequence[Observation]], int]:
    """Observations by metric name, and how many readings were unsound: NaN, infinite, negative counts, too large."""
    points: dict[str, list[Observation]] = {}
    seen: set[_Key] = set()
    unsound = 0
    for metric, value, attributes in ((reading.metric, reading.value, reading.attributes) for reading in readings):
        if not _is_sound(value, is_count=metric.instrument == "counter"):
            unsound += 1
            continue
        key = (metric.name, frozenset(attributes.items()))
        observations = points.setdefault(metric.name, [])
        if key in seen or len(observations) >= MAX_POINTS:
            continue
        seen.add(key)
        reported = counters.advance(key, value) if metric.instrument == "counter" else value
        observations.append(Observation(reported, attributes))
    return dict(points), unsound


def _is_sound(value: float, *, is_count: bool) -> bool:
    if isinstance(value, int):
        return -_LARGEST <= value <= _LARGEST and not (is_count and value < 0)
    return math.isfinite(value) and not (is_count and value < 0)
