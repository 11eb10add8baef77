"""From readings to points: sound values only, one point a series, counters that never fall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from otel_ml.resource_sampler._counters import ABOVE, Counter
from otel_ml.resource_sampler._source import Reading
from otel_ml.semconv import Metric

MAX_POINTS: Final = 2048
"""Points of one metric in one tick, enough for 7 modes of 256 CPUs; what a source returns beyond is left out."""

Attributes = Mapping[str, str | int]
Point = tuple[int | float, Attributes]
"""A value and its attributes."""
_Key = tuple[str, frozenset[tuple[str, str | int]]]

MAX_SERIES: Final = 8192
"""Series that are remembered; those that were not read for longest make room."""
_MAX_OBJECTS: Final = 16384
_LARGEST: Final = (1 << 63) - 1
"""What an integer point of OTLP can hold."""
_BELOW_ZERO: Final = "Cel"
"""The unit whose values may be negative."""


class Series(Counter):
    """A counter, and the tick in which it was last read."""

    __slots__ = ("tick",)

    def __init__(self) -> None:
        super().__init__()
        self.tick = -1


_Place = tuple[Metric, Attributes, str, bool, Series]
"""A metric, attributes, the metric's name, whether it is a counter, and the series."""


class Points:
    """Turns the readings of each tick into points."""

    def __init__(self) -> None:
        self.left_out = 0
        """Points of the last tick for which there was no room."""
        self._tick = 0
        self._series: dict[_Key, Series] = {}
        self._objects: dict[tuple[str, int], tuple[Attributes, Series]] = {}
        """Series by metric and attributes object; the object is held so that its id is not reused."""
        self._places: list[_Place | None] = []
        """Series by position in the last tick: the next tick mostly has the same series at the same position."""

    def __len__(self) -> int:
        return len(self._series)

    def convert(self, readings: Sequence[Reading]) -> tuple[dict[str, list[Point]], int]:
        """Points by metric name, and how many readings were unsound: NaN, infinite, too large, negative.

        Only a temperature may be below zero. A counter that continues over restarts may become too large.
        """
        points: dict[str, list[Point]] = {}
        places, is_long = self._places, len(readings) > MAX_POINTS
        del places[len(readings) :]
        places += [None] * (len(readings) - len(places))
        self._tick = tick = self._tick + 1
        self.left_out = unsound = 0
        for at, (metric, value, attributes) in enumerate(readings):
            if not 0 <= value < ABOVE and not _is_sound(value, metric.unit):
                unsound += 1
                continue
            place = places[at]
            if place is None or place[0] is not metric or place[1] is not attributes:
                place = places[at] = self._locate(metric, attributes)
            _, _, name, is_counter, series = place
            row = points.get(name)
            if row is None:
                row = points[name] = []
            if series.tick == tick:
                continue
            series.tick = tick
            if is_counter:
                if value >= series.last:
                    series.last = value
                    value += series.offset  # noqa: PLW2901 - avoids a call for nearly all
                else:
                    value = series.advance(value)  # noqa: PLW2901
                if value >= ABOVE:
                    unsound += 1
                    continue
            if is_long and len(row) >= MAX_POINTS:
                self.left_out += 1
            else:
                row.append((value, attributes))
        return points, unsound

    def clear(self) -> None:
        """Forgets all series."""
        self._series.clear()
        self._objects.clear()
        self._places.clear()

    def _locate(self, metric: Metric, attributes: Attributes) -> _Place:
        known = self._objects.get((metric.name, id(attributes)))
        series = self._find(metric.name, attributes) if known is None else known[1]
        return metric, attributes, metric.name, metric.instrument == "counter", series

    def _find(self, name: str, attributes: Attributes) -> Series:
        key = (name, frozenset(attributes.items()))
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= MAX_SERIES:
                self._make_room()
            series = self._series[key] = Series()
        if len(self._objects) >= _MAX_OBJECTS:
            self._objects.clear()
        self._objects[name, id(attributes)] = (attributes, series)
        return series

    def _make_room(self) -> None:
        """Forgets the half that was not read for longest, so that this happens rarely."""
        oldest = sorted(self._series, key=lambda key: self._series[key].tick)[: MAX_SERIES // 2]
        for key in oldest:
            del self._series[key]
        self._objects.clear()
        self._places[:] = [None] * len(self._places)


def _is_sound(value: float, unit: str) -> bool:
    if value < 0 and unit != _BELOW_ZERO:
        return False
    return -_LARGEST <= value <= _LARGEST if isinstance(value, int) else math.isfinite(value)
