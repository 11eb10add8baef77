"""Counts numbers in nested buckets, as fine as a limit on their number allows.

A float of 64 bits has a whole number as its key, in the same order, as radix sorts use it. A bucket is all keys that
are equal without their last bits. The number of bits, the shift, is the least one with which the buckets in use are few
enough. Since buckets are nested, it depends on the numbers alone. Below the limit, the shift is 0 and nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    Keys = np.ndarray[Any, np.dtype[np.int64]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]

MOST_BUCKETS: Final = 2**15
_GREATEST_SHIFT: Final = 63
_SIGN: Final = np.int64(2**63 - 1)


def to_keys(numbers: Floats) -> Keys:
    """Returns whole numbers in the order of the floats; -0.0 is 0.0."""
    bits = (numbers + 0.0).view(np.int64)
    keys: Keys = bits ^ (bits >> 63 & _SIGN)
    return keys


def to_numbers(keys: Keys) -> Floats:
    """Returns the floats that have these keys."""
    numbers: Floats = (keys ^ (keys >> 63 & _SIGN)).view(np.float64)
    return numbers


class Buckets:
    """Buckets in ascending order: least and greatest key in each, and how many numbers it has.

    Args:
        shift: Last bits of a key that its bucket ignores.
        lows: Least key in each bucket.
        highs: Greatest key in each bucket.
        counts: Numbers in each bucket.
    """

    __slots__ = ("counts", "highs", "lows", "shift")

    def __init__(self, shift: int, lows: Keys, highs: Keys, counts: Keys) -> None:
        self.shift = shift
        self.lows = lows
        self.highs = highs
        self.counts = counts

    @classmethod
    def of(cls, keys: Keys, counts: Keys) -> Buckets:
        """Returns the buckets of distinct keys in ascending order."""
        return cls(0, keys, keys, counts).limited()

    def merge(self, other: Buckets) -> Buckets:
        """Returns the buckets of the numbers of both."""
        lows = np.concatenate((self.lows, other.lows))
        order = np.argsort(lows, kind="stable")
        highs, counts = np.concatenate((self.highs, other.highs)), np.concatenate((self.counts, other.counts))
        return Buckets(0, lows[order], highs[order], counts[order]).joined(max(self.shift, other.shift)).limited()

    def limited(self) -> Buckets:
        """Returns the same, with a greater shift if there are too many."""
        if len(self.lows) <= MOST_BUCKETS:
            return self
        differing = (self.lows[1:] ^ self.lows[:-1]).view(np.uint64)
        few, many = _GREATEST_SHIFT, self.shift
        while few - many > 1:
            middle = (few + many) // 2
            if np.count_nonzero(differing >= np.uint64(1 << middle)) < MOST_BUCKETS:
                few = middle
            else:
                many = middle
        return self.joined(few)

    def joined(self, shift: int) -> Buckets:
        """Returns the same with a greater shift."""
        if not len(self.lows):
            return Buckets(shift, self.lows, self.highs, self.counts)
        places = self.lows >> shift
        starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
        return Buckets(
            shift, self.lows[starts], np.maximum.reduceat(self.highs, starts), np.add.reduceat(self.counts, starts)
        )

    def content(self) -> dict[str, Any]:
        """Returns values of JSON: differences from key to key, modulo 2**64, and spans from least to greatest key."""
        return {
            "shift": self.shift,
            "steps": np.diff(self.lows, prepend=np.int64(0)).tolist(),
            "spans": (self.highs - self.lows).tolist(),
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_content(cls, content: Any) -> Buckets:
        """Reads what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        lows = np.cumsum(np.array(content["steps"], np.int64))
        spans, counts = (np.array(content[name], np.int64) for name in ("spans", "counts"))
        if not len(lows) == len(spans) == len(counts) <= MOST_BUCKETS or (counts < 1).any():
            raise ValueError("buckets without numbers, or too many buckets")
        return cls(int(content["shift"]), lows, lows + spans, counts)
