"""What is kept of the finite numbers of a column."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml._values import EXACT_FLOAT
from otel_ml._values.equality import count_texts
from otel_ml.quality.summaries._buckets import Buckets, to_keys, to_numbers
from otel_ml.quality.summaries._heavy import HeavySketch
from otel_ml.quality.summaries._weighted import WeightedNumbers
from otel_ml.quality.summaries._wholes import WholeSample

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

_DENSE: Final = 65_536
"""Whole numbers whose range is smaller are counted in a table."""
_HEAVY: Final = 0.01
"""A bucket that holds this share of the numbers is searched for a single number that makes it heavy."""


class NumberSummary:
    """Buckets of the numbers, a sketch of the heavy ones, and the whole numbers.

    Args:
        buckets: All numbers, as floats.
        heavy: None as long as the buckets keep every number.
        wholes: None if a number has a fraction, or is a float so large that it has no room for one.
    """

    __slots__ = ("_heavy", "buckets", "wholes")

    def __init__(self, buckets: Buckets, heavy: HeavySketch | None, wholes: WholeSample | None) -> None:
        self.buckets = buckets
        self._heavy = heavy
        self.wholes = wholes

    @classmethod
    def of(cls, numbers: Array) -> NumberSummary:
        """Counts an array of whole numbers or of finite floats."""
        values, counts = _count(numbers)
        wholes = _whole_numbers(values)
        keys = to_keys(values.astype(np.float64))
        sample = None if wholes is None else WholeSample.of(wholes, counts)
        if values.dtype.kind != "f" and len(keys):  # large whole numbers share a float
            starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
            keys, counts = keys[starts], np.add.reduceat(counts, starts)
        buckets = Buckets.of(keys, counts)
        return cls(buckets, HeavySketch.of(keys, counts) if buckets.shift else None, sample)

    def merge(self, other: NumberSummary) -> NumberSummary:
        """Returns the summary of the numbers of both."""
        buckets = self.buckets.merge(other.buckets)
        both = self.wholes is not None and other.wholes is not None
        return NumberSummary(
            buckets,
            self._sketch().merge(other._sketch()) if buckets.shift else None,
            self.wholes.merge(other.wholes) if both and self.wholes and other.wholes else None,
        )

    def _sketch(self) -> HeavySketch:
        return HeavySketch.of(self.buckets.lows, self.buckets.counts) if self._heavy is None else self._heavy

    def __len__(self) -> int:
        """Numbers, with repetitions."""
        return int(self.buckets.counts.sum())

    @property
    def is_whole(self) -> bool:
        """Whether all are whole numbers."""
        return self.wholes is not None

    @property
    def is_exact(self) -> bool:
        """Whether no number is so large that floats skip whole numbers beside it."""
        lows, highs = self.buckets.lows, self.buckets.highs
        if not len(lows):
            return True
        least, greatest = to_numbers(np.array((lows[0], highs[-1]))).tolist()
        return bool(least > -EXACT_FLOAT and greatest < EXACT_FLOAT)

    def repeats(self) -> bool:
        """Whether a number occurs twice, as far as the sample of whole numbers tells."""
        counts = self.buckets.counts if self.wholes is None else self.wholes.counts
        return bool((counts > 1).any())

    def count_texts(self) -> Counter[str] | None:
        """Returns the canonical texts of the numbers and their counts; None if that is no longer known."""
        if self.wholes is not None and self.wholes.is_complete:
            return count_texts(zip(self.wholes.values(), self.wholes.counts.tolist(), strict=True))
        if self.buckets.shift or (self.wholes is not None and not self.is_exact):
            return None
        values = to_numbers(self.buckets.lows).tolist()
        return count_texts(zip(values, self.buckets.counts.tolist(), strict=True))

    def weighted(self) -> WeightedNumbers:
        """Returns the numbers in order and their counts.

        A bucket of several numbers counts as its least and its greatest one, half each, and as the heavy ones in it.
        """
        buckets = self.buckets
        lows, highs, counts = buckets.lows, buckets.highs, buckets.counts
        if not buckets.shift:
            return WeightedNumbers(to_numbers(lows), counts, is_whole=self.is_whole)
        heavy, held = self._find_heavy()
        rest = counts - held
        is_wide = lows < highs
        keys = np.concatenate((lows, highs[is_wide], np.array([key for key, _ in heavy], np.int64)))
        weights = np.concatenate(
            (np.where(is_wide, (rest + 1) // 2, rest), rest[is_wide] // 2, np.array([n for _, n in heavy], np.int64))
        )
        order = np.argsort(keys, kind="stable")
        keys, weights = keys[order], weights[order]
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        return WeightedNumbers(to_numbers(keys[starts]), np.add.reduceat(weights, starts), is_whole=self.is_whole)

    def _find_heavy(self) -> tuple[list[tuple[int, int]], Array]:
        """Returns the keys and counts of heavy numbers beside others, and how much of each bucket they hold."""
        lows, highs, counts = self.buckets.lows, self.buckets.highs, self.buckets.counts
        held = np.zeros(len(counts), np.int64)
        found: list[tuple[int, int]] = []
        least = max(2, int(_HEAVY * len(self)))
        for place in np.flatnonzero((counts >= least) & (lows < highs)).tolist():
            for key, count in self._sketch().find(int(lows[place]), int(highs[place]), least):
                room = int(counts[place] - held[place])
                if room >= least:
                    found.append((key, min(count, room)))
                    held[place] += min(count, room)
        return found, held

    def content(self) -> dict[str, Any]:
        """Returns values of JSON."""
        return {
            **self.buckets.content(),
            **({} if self._heavy is None else {"heavy": self._heavy.content()}),
            **({} if self.wholes is None else {"wholes": self.wholes.content()}),
        }

    @classmethod
    def from_content(cls, content: Any) -> NumberSummary:
        """Reads what `content` made; raises a ValueError, a TypeError or a KeyError for anything else."""
        heavy, wholes = content.get("heavy"), content.get("wholes")
        return cls(
            Buckets.from_content(content),
            None if heavy is None else HeavySketch.from_content(heavy),
            None if wholes is None else WholeSample.from_content(wholes),
        )


def _count(numbers: Array) -> tuple[Array, Array]:
    """Returns the distinct numbers in order and their counts."""
    code = numbers.dtype.kind
    numbers = numbers.astype({"i": np.int64, "u": np.uint64, "f": np.float64}[code], copy=False)
    if code != "f" and len(numbers) and int(numbers.max()) - int(numbers.min()) < _DENSE:
        low = numbers.min()
        times = np.bincount((numbers - low).astype(np.int64))
        places = np.flatnonzero(times)
        return places.astype(numbers.dtype) + low, times[places]
    values, counts = np.unique(numbers + 0.0 if code == "f" else numbers, return_counts=True)  # -0.0 is 0.0
    return values, counts


def _whole_numbers(values: Array) -> Array | None:
    """Returns numbers as whole numbers; None if one has a fraction, or is a float without room for one."""
    if values.dtype.kind != "f":
        return values
    if len(values) and not -EXACT_FLOAT < float(values[0]) <= float(values[-1]) < EXACT_FLOAT:
        return None
    wholes = values.astype(np.int64)
    return wholes if bool((wholes == values).all()) else None
