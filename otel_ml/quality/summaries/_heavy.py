"""Finds numbers that hold a large share of a column among others that are close to them.

A dyadic count-min sketch (Cormode and Muthukrishnan, 2005): for each level, the keys without their last bits are
counted in the cells of a hash table. Only sums are kept, so that the order of the numbers does not matter. From a
bucket that holds much, the search goes down level by level to the single number that makes it heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from otel_ml.quality.summaries._buckets import Keys

_STEP: Final = 6
_LEVELS: Final = tuple(range(42, -1, -_STEP))
"""Last bits of a key that each level ignores."""
_BITS: Final = 12
"""A level has 2**12 cells."""
_FACTORS: Final = tuple(np.uint64(pow(0x9E3779B97F4A7C15, 2 * position + 1, 2**64)) for position in range(len(_LEVELS)))
"""Odd factors of multiply-shift hashing."""


class HeavySketch:
    """Counts of keys in the cells of each level."""

    __slots__ = ("cells",)

    def __init__(self, cells: Keys) -> None:
        self.cells = cells

    @classmethod
    def of(cls, keys: Keys, counts: Keys) -> HeavySketch:
        """Returns the sketch of distinct keys and their counts."""
        weights = None if len(counts) and counts.max() == 1 else counts
        cells = [np.bincount(_places(keys >> shift, level), weights, 1 << _BITS) for level, shift in enumerate(_LEVELS)]
        return cls(np.array(cells).astype(np.int64))

    def merge(self, other: HeavySketch) -> HeavySketch:
        """Returns the sketch of the numbers of both."""
        return HeavySketch(self.cells + other.cells)

    def find(self, low: int, high: int, least: int) -> list[tuple[int, int]]:
        """Returns keys from `low` to `high` that have at least a number of values, and that number, heaviest first.

        The number can be too high by what shares the cells, about a 4,000th of the column.
        """
        prefixes: Keys = np.arange(low >> _LEVELS[0], (high >> _LEVELS[0]) + 1, dtype=np.int64)
        counts = np.full(len(prefixes), np.iinfo(np.int64).max)
        for level, shift in enumerate(_LEVELS):
            if level:
                prefixes = ((prefixes << _STEP)[:, None] + np.arange(1 << _STEP)).ravel()
                counts = np.repeat(counts, 1 << _STEP)
            counts = np.minimum(counts, self.cells[level][_places(prefixes, level)])
            is_possible = (counts >= least) & (prefixes >= low >> shift) & (prefixes <= high >> shift)
            prefixes, counts = prefixes[is_possible], counts[is_possible]
        found = zip(prefixes.tolist(), counts.tolist(), strict=True)
        return sorted(found, key=lambda one: (-one[1], one[0]))

    def content(self) -> list[list[int]]:
        """Returns the cells of each level."""
        found: list[list[int]] = self.cells.tolist()
        return found

    @classmethod
    def from_content(cls, content: Any) -> HeavySketch:
        """Reads what `content` made; raises a ValueError or a TypeError for anything else."""
        cells = np.array(content, np.int64)
        if cells.shape != (len(_LEVELS), 1 << _BITS):
            raise ValueError("a sketch of another size")
        return cls(cells)


def _places(prefixes: Keys, level: int) -> Keys:
    places: Keys = ((prefixes.view(np.uint64) * _FACTORS[level]) >> np.uint64(64 - _BITS)).view(np.int64)
    return places
