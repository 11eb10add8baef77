"""A series: one attribute set that is exported with another value, or other buckets, at every collection."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias


class ObservedSeries:
    """The attributes of one series, made once by the room that counts it.

    The engine recognises a series by its identity: it encodes the attributes once, and knows what it has exported.
    """

    __slots__ = ("__weakref__", "attributes", "encoded")

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = attributes
        self.encoded = b""
        """The attributes in a data point of OTLP; set by the engine's encoder."""


Observed: TypeAlias = tuple[ObservedSeries, float]
"""A series and its value now."""


class ObservedBuckets:
    """The values of one series by bucket, for a histogram."""

    __slots__ = ("bounds", "counts", "maximum", "minimum", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0
        self.minimum = float("inf")
        self.maximum = float("-inf")

    def add(self, values: Iterable[float]) -> None:
        """Adds values."""
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            self.total += value
            self.minimum = min(self.minimum, value)
            self.maximum = max(self.maximum, value)

    def copy(self) -> ObservedBuckets:
        """Returns the buckets as they are now."""
        made = ObservedBuckets(self.bounds)
        made.counts = list(self.counts)
        made.total, made.minimum, made.maximum = self.total, self.minimum, self.maximum
        return made


ObservedHistogram: TypeAlias = tuple[ObservedSeries, ObservedBuckets]
"""A series and its buckets now."""
