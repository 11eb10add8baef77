"""Counts and exact sums under names, which add up to the same result in any order and partition.

A float is a whole number of units of ``2 ** -1126``, so a sum of floats is a sum of whole numbers and rounds once, at
the end: the result is that of `math.fsum` over all values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array

Key = tuple[str, ...]

_UNIT: Final = 1126
"""The mantissa of the smallest float has its last bit here, with 53 bits in each."""
_HALF: Final = 26
_CHUNK: Final = 2**18
"""Values summed in one step: the sum of so many halves of a mantissa is exact in a float, and memory stays small."""


def exact_sums(values: Array, groups: Array, count: int) -> list[int]:
    """Returns the sum of the finite floats of each group, in units; `groups` has a position below `count` for each."""
    totals = [0] * count
    for start in range(0, len(values), _CHUNK):
        _add_chunk(totals, values[start : start + _CHUNK], groups[start : start + _CHUNK])
    return totals


def _add_chunk(totals: list[int], values: Array, groups: Array) -> None:
    import numpy as np

    mantissas, exponents = np.frexp(values)
    least = int(exponents.min())
    width = int(exponents.max()) - least + 1
    whole = (mantissas * 2.0**53).astype(np.int64)
    places = groups.astype(np.int64) * width + (exponents - least)
    high, low = whole >> _HALF, whole & (2**_HALF - 1)
    sums = [np.bincount(places, part, len(totals) * width).astype(np.int64) for part in (high, low)]
    for place in np.flatnonzero(sums[0] | sums[1]).tolist():
        group, step = divmod(place, width)
        amount = (int(sums[0][place]) << _HALF) + int(sums[1][place])
        totals[group] += amount << (least + step - 53 + _UNIT)


def exact_value(total: int) -> float:
    """Returns a sum as the nearest float."""
    return total / (1 << _UNIT)


class Tally:
    """Whole numbers and sums, each under a key."""

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.sums: Counter[Key] = Counter()
        """In units of `exact_sums`."""

    def count(self, times: int, *key: str) -> None:
        """Adds to a count; nothing is kept of 0."""
        if times:
            self.counts[key] += times

    def add(self, total: int, *key: str) -> None:
        """Adds to a sum."""
        if total:
            self.sums[key] += total

    def add_all(self, values: Array, *key: str) -> None:
        """Adds all values to one sum."""
        import numpy as np

        if len(values):
            self.add(exact_sums(values, np.zeros(len(values), np.int64), 1)[0], *key)

    def value(self, *key: str) -> float:
        """Returns a sum as a float."""
        return exact_value(self.sums[key])

    def merge(self, other: Tally) -> None:
        """Adds what another one has counted."""
        self.counts.update(other.counts)
        self.sums.update(other.sums)

    def content(self) -> dict[str, Any]:
        """Returns values of JSON, in a fixed order."""
        return {
            "counts": [[*key, times] for key, times in sorted(self.counts.items()) if times],
            "sums": [[*key, f"{total:x}"] for key, total in sorted(self.sums.items()) if total],
        }

    @classmethod
    def from_content(cls, content: Any) -> Tally:
        """Reads what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        found = cls()
        found.counts.update(dict(_read(content["counts"], int)))
        found.sums.update(dict(_read(content["sums"], lambda text: int(text, 16))))
        return found


def _read(entries: Iterable[list[Any]], read: Any) -> Iterable[tuple[Key, int]]:
    for *key, value in entries:
        yield tuple(map(str, key)), read(value)
