"""Counters of a process or a container that is replaced by another one: they go on where those of the last one were."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

from otel_ml.resource_sampler._source import Gap, Reading

MAX_SERIES: Final = 1024
"""Series that are remembered; the one that was not read for longest makes room."""
_ABOVE: Final = 2.0**63
"""What an integer point of OTLP cannot hold."""

_Key = tuple[str, frozenset[tuple[str, str | int]]]


class Continued:
    """Adds what a counter counts for a new owner to what it had counted for the owners before.

    Only who owns a counter tells that it began again: it may be higher than the last one was. A fall under one owner
    is passed on as it is.
    """

    def __init__(self) -> None:
        self._series: dict[_Key, tuple[Hashable, float, float]] = {}
        """Owner, last raw value and what was counted for the owners before."""

    def __len__(self) -> int:
        return len(self._series)

    def over(self, items: Iterable[Reading | Gap], owner: Callable[[], Hashable]) -> Iterator[Reading | Gap]:
        """The items, with their counters continued; the owner is asked for after each was read."""
        for item in items:
            if isinstance(item, Gap) or item.metric.instrument != "counter":
                yield item
            else:
                value = self._advance(item, owner())
                yield item if value == item.value else Reading(item.metric, value, item.attributes)

    def _advance(self, reading: Reading, owner: Hashable) -> float:
        raw = reading.value
        if not 0 <= raw < _ABOVE:  # unsound: no point comes of it
            return raw
        key = (reading.metric.name, frozenset(reading.attributes.items()))
        before, last, offset = self._series.pop(key, (owner, raw, 0))
        if before != owner:
            offset += last
        if len(self._series) >= MAX_SERIES:
            del self._series[next(iter(self._series))]
        self._series[key] = (owner, raw, offset)
        return raw + offset
