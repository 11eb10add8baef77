"""The whole numbers of a column, exactly: all of them if they are few, otherwise a sample of the distinct ones.

A number is in the sample if the first bits of its hash are 0; their number, the level, is the least one with which the
sample is small enough. It depends on the numbers alone, and the count of a number in the sample is exact. So a sample
in which no number repeats says that hardly any number of the column does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

MOST_WHOLES: Final = 2**14
_SIXTY_FOUR: Final = 2**64


class WholeSample:
    """Distinct whole numbers of 64 bits, signed or not, in the order of sign and bits, and how often each occurs.

    Args:
        level: First bits of the hash of a number that are 0 if the number is kept.
        bits: The numbers modulo 2**64.
        negative: Which of them are below 0.
        counts: How often each occurs.
    """

    __slots__ = ("bits", "counts", "level", "negative")

    def __init__(self, level: int, bits: Array, negative: Array, counts: Array) -> None:
        self.level = level
        self.bits = bits
        self.negative = negative
        self.counts = counts

    @classmethod
    def of(cls, numbers: Array, counts: Array) -> WholeSample:
        """Returns the sample of distinct whole numbers in ascending order."""
        negative = numbers < 0
        bits = numbers.astype(np.int64).view(np.uint64) if numbers.dtype.kind == "i" else numbers.astype(np.uint64)
        order = np.argsort(negative, kind="stable")
        return cls(0, bits[order], negative[order], counts[order]).limited()

    @property
    def is_complete(self) -> bool:
        """Whether all whole numbers of the column are in it."""
        return not self.level

    def values(self) -> list[int]:
        """Returns the numbers in the sample."""
        pairs = zip(self.bits.tolist(), self.negative.tolist(), strict=True)
        return [bits - _SIXTY_FOUR if negative else bits for bits, negative in pairs]

    def merge(self, other: WholeSample) -> WholeSample:
        """Returns the sample of the numbers of both."""
        level = max(self.level, other.level)
        mine, theirs = self.kept(level), other.kept(level)
        bits, negative, counts = (
            np.concatenate(parts)
            for parts in ((mine.bits, theirs.bits), (mine.negative, theirs.negative), (mine.counts, theirs.counts))
        )
        order = np.lexsort((bits, negative))
        bits, negative, counts = bits[order], negative[order], counts[order]
        if len(bits):
            is_new = np.concatenate(([True], (bits[1:] != bits[:-1]) | (negative[1:] != negative[:-1])))
            starts = np.flatnonzero(is_new)
            bits, negative, counts = bits[starts], negative[starts], np.add.reduceat(counts, starts)
        return WholeSample(level, bits, negative, counts).limited()

    def limited(self) -> WholeSample:
        """Returns the same, with a greater level if there are too many numbers."""
        found = self
        while len(found.bits) > MOST_WHOLES:
            found = found.kept(found.level + 1)
        return found

    def kept(self, level: int) -> WholeSample:
        """Returns the part of the sample at a greater level."""
        if level == self.level:
            return self
        places = np.flatnonzero(_mixed(self.bits) >> np.uint64(64 - level) == 0)
        return WholeSample(level, self.bits[places], self.negative[places], self.counts[places])

    def content(self) -> dict[str, Any]:
        """Returns values of JSON."""
        return {"level": self.level, "values": self.values(), "counts": self.counts.tolist()}

    @classmethod
    def from_content(cls, content: Any) -> WholeSample:
        """Reads what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        values, counts = content["values"], np.array(content["counts"], np.int64)
        if not len(values) == len(counts) <= MOST_WHOLES:
            raise ValueError("a sample with too many numbers, or with another number of counts")
        bits = np.array([value % _SIXTY_FOUR for value in values], np.uint64)
        return cls(int(content["level"]), bits, np.array([value < 0 for value in values], bool), counts)


def _mixed(bits: Array) -> Array:
    """Returns the hashes of whole numbers: the last step of SplitMix64."""
    found = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashes: Array = found ^ (found >> np.uint64(31))
    return hashes
