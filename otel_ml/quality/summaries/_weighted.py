"""Numbers in ascending order, each with its count: what bins are chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Counts = np.ndarray[Any, np.dtype[np.int64]]


class WeightedNumbers:
    """Distinct numbers in ascending order and their counts.

    Args:
        values: The numbers.
        counts: How often each occurs.
        is_whole: Whether all are whole numbers.
    """

    def __init__(self, values: Floats, counts: Counts, *, is_whole: bool) -> None:
        self.values = values
        self.counts = counts
        self.is_whole = is_whole
        self.starts: Counts = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
        """How many numbers lie before each distinct one; last, how many there are."""

    @classmethod
    def of(cls, numbers: Any) -> WeightedNumbers:
        """Counts an array of numbers."""
        values, counts = np.unique(np.asarray(numbers, np.float64), return_counts=True)
        return cls(values, counts, is_whole=bool((values == values.round()).all()))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def count_below(self, bound: float, *, inclusive: bool = False) -> int:
        """Returns how many numbers are less than a bound, or equal to it."""
        return int(self.starts[self.values.searchsorted(bound, side="right" if inclusive else "left")])

    def quantiles(self, first: int, last: int, fractions: Sequence[float]) -> Floats:
        """Returns the quantiles of the numbers from rank `first` to before rank `last`, as `numpy.quantile` does."""
        ranks = (last - first - 1) * np.asarray(fractions, np.float64)
        lower = np.floor(ranks)
        share = ranks - lower
        below = self._by_rank(first + lower.astype(np.int64))
        above = self._by_rank(np.minimum(first + lower.astype(np.int64) + 1, last - 1))
        step = above - below
        return np.where(share >= 0.5, above - step * (1 - share), below + step * share)

    def _by_rank(self, ranks: Counts) -> Floats:
        return self.values[self.starts.searchsorted(ranks, side="right") - 1]

    def count_bins(self, edges: Sequence[float]) -> list[int]:
        """Returns how many numbers lie in each bin ``edges[i-1] <= number < edges[i]``."""
        bounds = self.starts[self.values.searchsorted(np.asarray(edges, np.float64))]
        found: list[int] = np.diff(bounds, prepend=0, append=len(self)).tolist()
        return found
