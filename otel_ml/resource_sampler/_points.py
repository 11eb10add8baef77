"""From readings to points: sound values only, one point a series, counters that never fall."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from otel_ml.resource_sampler._source import Reading

MAX_POINTS: Final = 1024
"""Points of one metric in one tick; a source that gives more is cut."""

Attributes = Mapping[str, str | int]
Point = tuple[int | float, Attributes]
"""A value and its attributes."""
_Key = tuple[str, frozenset[tuple[str, str | int]]]

_MAX_COUNTERS: Final = 4096
_MAX_KEYS: Final = 8192
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
        last, offset = self._series.get(key, (raw, 0 * raw))
        if raw < last:
            if raw >= last * _JITTER:
                raw = last
            else:
                offset += last
        self._series[key] = (raw, offset)
        self._series.move_to_end(key)
        if len(self._series) > _MAX_COUNTERS:
            self._series.popitem(last=False)
        return raw + offset

    def clear(self) -> None:
        """Forgets all series."""
        self._series.clear()


class Points:
    """Turns the readings of each tick into points."""

    def __init__(self) -> None:
        self._counters = MonotonicCounters()
        self._keys: dict[tuple[str, int], tuple[Attributes, _Key]] = {}
        """Series by metric and attributes object, which is held so that its id stays its own."""

    def of(self, readings: Iterable[Reading]) -> tuple[dict[str, list[Point]], int]:
        """Points by metric name, and how many readings were unsound: NaN, infinite, negative counts, too large."""
        points: dict[str, list[Point]] = {}
        seen: set[_Key] = set()
        unsound = 0
        for metric, value, attributes in readings:
            is_count = metric.instrument == "counter"
            if not _is_sound(value, is_count=is_count):
                unsound += 1
                continue
            key = self._key(metric.name, attributes)
            row = points.setdefault(metric.name, [])
            if key in seen or len(row) >= MAX_POINTS:
                continue
            seen.add(key)
            row.append((self._counters.advance(key, value) if is_count else value, attributes))
        return points, unsound

    def clear(self) -> None:
        """Forgets all series."""
        self._counters.clear()
        self._keys.clear()

    def _key(self, name: str, attributes: Attributes) -> _Key:
        found = self._keys.get((name, id(attributes)))
        if found is not None:
            return found[1]
        if len(self._keys) >= _MAX_KEYS:
            self._keys.clear()
        key = (name, frozenset(attributes.items()))
        self._keys[name, id(attributes)] = (attributes, key)
        return key


def _is_sound(value: float, *, is_count: bool) -> bool:
    if isinstance(value, int):
        return -_LARGEST <= value <= _LARGEST and not (is_count and value < 0)
    return math.isfinite(value) and not (is_count and value < 0)
