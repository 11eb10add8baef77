"""Counters that continue when their source restarts, wraps, steps back or is replaced."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._source import Gap, Reading

MAX_SERIES: Final = 4096
"""Series that `ContinuedCounters` remembers; the one that was not read for longest makes room."""
ABOVE: Final = 2.0**63
"""The first number that an integer point of OTLP cannot hold; as a float it is compared with another in a tenth of the
time."""
_JITTER: Final = 0.99
"""A fall by less than a hundredth is no restart: iowait time steps back a little, and drivers read parts of a sum at
different moments."""
_SMALL_FALL: Final = 3
"""Seconds or counts by which the kernel's sums step back and come up again."""

DEVICE_COUNTERS: Final = frozenset({semconv.CONTAINER_DISK_IO})
"""Counters of a container whose devices can be replaced under it."""

_Key = tuple[str, frozenset[tuple[str, str | int]]]


class Counter:
    """One cumulative counter: the value read now, plus the counts before restarts."""

    __slots__ = ("last", "offset", "owner")

    def __init__(self, owner: Hashable = None) -> None:
        self.last: float = 0
        """The last raw value."""
        self.offset: float = 0
        """The counts before restarts."""
        self.owner = owner
        """Whose counter it is."""

    def advance(self, raw: float, *, bits: int = 64) -> float:
        """The value to report for a raw one; it never falls.

        A fall is a wrap if the counter is narrower than 64 bits and was in its upper half. A small step back holds the
        last value. Any other fall is a restart at zero.
        """
        if raw < self.last:
            if bits < 64 and raw < 1 << (bits - 1) <= self.last < 1 << bits:
                self.offset += 1 << bits
            elif raw >= self.last * _JITTER:
                raw = self.last
            else:
                self.offset += self.last
        self.last = raw
        return raw + self.offset

    def resume(self, raw: float) -> float:
        """The value to report for a raw one of a source that reports its restarts: a fall holds the last value.

        After a large fall, as when steal time of a moved machine starts lower, counting continues from the lower value.
        """
        if raw < self.last:
            if raw >= self.last * _JITTER or self.last - raw <= _SMALL_FALL:
                raw = self.last
            else:
                self.offset += self.last - raw
        self.last = raw
        return raw + self.offset

    def hold(self, raw: float) -> float:
        """The highest raw value so far, for a sum from which parts can disappear."""
        self.last = max(self.last, raw)
        return self.last

    def switch(self, owner: Hashable) -> None:
        """Restarts at zero if this is another owner: its counter may be higher than the last one was."""
        if owner != self.owner:
            self.owner = owner
            self.offset += self.last
            self.last = 0

    def rebase(self, owner: Hashable, raw: float) -> float:
        """The value to report where another owner's counter may take over: what that counted before is not added."""
        if owner != self.owner:
            self.owner = owner
            self.offset += self.last - raw
        self.last = raw
        return raw + self.offset


class ContinuedCounters:
    """Counters of a boot, process or container: the count of the owner is added to those of its predecessors.

    Only the owner shows that a counter restarted: under one owner a fall holds the last value. `DEVICE_COUNTERS` are
    passed on as they are, since the device behind a name can be another one.
    """

    def __init__(self) -> None:
        self._series: dict[_Key, Counter] = {}

    def __len__(self) -> int:
        return len(self._series)

    def apply(self, items: Iterable[Reading | Gap], owner: Callable[[], Hashable]) -> Iterator[Reading | Gap]:
        """Yields the items with their counters continued; asks for the owner after each item was read."""
        for item in items:
            if isinstance(item, Gap) or item.metric.instrument != "counter":
                yield item
            else:
                value = self._advance(item, owner())
                yield item if value == item.value else Reading(item.metric, value, item.attributes)

    def _advance(self, reading: Reading, owner: Hashable) -> float:
        raw = reading.value
        if not 0 <= raw < ABOVE:  # unsound: it becomes no point
            return raw
        key = (reading.metric.name, frozenset(reading.attributes.items()))
        counter = self._series.pop(key, None) or Counter(owner)
        if len(self._series) >= MAX_SERIES:
            del self._series[next(iter(self._series))]
        self._series[key] = counter
        counter.switch(owner)
        if reading.metric in DEVICE_COUNTERS:
            counter.last = raw
            return raw + counter.offset
        return counter.resume(raw)


class DeviceCounters:
    """Counters of a driver, by device and series, that never fall whatever the driver does to its own.

    In a new generation every counter has restarted at 0, also if it is higher by now. A new generation is known by the
    driver's version, or by a fall of the energy counter, which cannot wrap.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Counter] = {}
        self._resets: dict[str, int] = {}

    def detect_reset(self, key: tuple[str, str], raw: float) -> None:
        """Takes a fall of this series as a reset of its whole device."""
        known = self._series.get(key)
        if known is not None and raw < known.last * _JITTER:
            self._resets[key[0]] = self._resets.get(key[0], 0) + 1

    def advance(self, key: tuple[str, str], raw: float, *, bits: int, generation: int) -> float:
        """The value to report for a raw one."""
        generation += self._resets.get(key[0], 0)
        counter = self._series.get(key)
        if counter is None:
            counter = self._series[key] = Counter(generation)
        counter.switch(generation)
        return counter.advance(raw, bits=bits)
