"""Chooses the bins of a numeric column. Needs numpy; called at fit only.

No edge lies on a value of the data as single precision would move it: an edge is halfway between two values, or, among
whole numbers, a whole number. A value that holds a bin's worth of the reference has a bin of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.quality._feature import EXACT_SINGLE, RARE, SCORE_BINS, SINGLE_PRECISION

if TYPE_CHECKING:
    import numpy as np

    from otel_ml.quality.summaries import WeightedNumbers

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Counts = np.ndarray[Any, np.dtype[np.int64]]

_ROUNDING: Final = 1e-12
"""Arithmetic changes a number by less than this part of it: ``3 * 0.1`` is not 0.3."""
_FREQUENT: Final = 0.001
"""An edge moves if at least this share of the values lies on it."""
_DIGITS: Final = 17
_COARSE: Final = 2
"""Significant digits of the edges of a sensitive column."""


class Cut(NamedTuple):
    """An edge between two bins, and the number that stands for it in labels."""

    edge: float
    shown: float
    above: bool = False
    """Whether the number in the label belongs to the bin below."""


class NumericBins(NamedTuple):
    """Inner edges in ascending order, and a label for each bin."""

    edges: tuple[float, ...]
    labels: tuple[str, ...]


def distinct_values(numbers: WeightedNumbers) -> tuple[Floats, Counts]:
    """Returns the distinct values in order and their counts.

    Fractions that differ by rounding only are one value, and so is a fraction beside itself in single precision.
    """
    import numpy as np

    values, counts = numbers.values, numbers.counts
    if not len(values) or numbers.is_whole or bool((values == values.round()).all()):
        return values, counts
    starts = np.flatnonzero(np.concatenate(([True], values[1:] - values[:-1] > _ROUNDING * abs(values[1:]))))
    return _join_singles(values[starts], np.add.reduceat(counts, starts))


def _join_singles(values: Floats, counts: Counts) -> tuple[Floats, Counts]:
    """Joins each value that single precision represents with those that it stands for, which give it the name."""
    import numpy as np

    with np.errstate(over="ignore"):
        singles = values.astype(np.float32).astype(np.float64)
    is_single = singles == values
    is_equal = (singles[1:] == singles[:-1]) & (singles[1:] != 0)
    starts = np.flatnonzero(np.concatenate(([True], ~is_equal)))
    is_joined = np.logical_or.reduceat(is_single, starts)
    sizes = np.diff(starts, append=len(values))
    if not bool((is_joined & (sizes > 1)).any()):
        return values, counts
    starts = np.flatnonzero(np.concatenate(([True], ~(is_equal & np.repeat(is_joined, sizes)[1:]))))
    sizes = np.diff(starts, append=len(values))
    named = starts + (is_single[starts] & (sizes > 1))
    return values[named], np.add.reduceat(counts, starts)


class _Column:
    """The distinct values of a column, how often each occurs, and which of them are heavy."""

    def __init__(self, numbers: WeightedNumbers, bins: int) -> None:
        import numpy as np

        self.numbers = numbers
        self.values, self.counts = distinct_values(numbers)
        self.starts = np.concatenate(([0], np.cumsum(self.counts)))
        is_heavy = (self.counts * bins >= len(numbers)) & (self.counts >= RARE)
        self.heavy: list[int] = np.flatnonzero(is_heavy).tolist()
        self.is_whole = numbers.is_whole and bool((abs(self.values) < EXACT_SINGLE).all())

    def segments(self) -> Iterable[tuple[int, int]]:
        """Yields first and last position of the distinct values between two heavy ones."""
        for left, right in pairwise([-1, *self.heavy, len(self.values)]):
            if right - left > 1:
                yield left + 1, right

    def quantiles(self, first: int, last: int, bins: int) -> list[float]:
        """Returns the inner edges of a segment, whose number of bins is its share of the values that are not heavy.

        A bin has at least a fifth of the values that it would have without heavy ones.
        """
        import numpy as np

        start, end = int(self.starts[first]), int(self.starts[last])
        size, total = end - start, len(self.numbers)
        rest = total - int(self.counts[self.heavy].sum())
        count = min(round((bins - len(self.heavy)) * size / rest), size * 5 * bins // total)
        if count < 2:
            return []
        found = np.unique(self.numbers.quantiles(start, end, [step / count for step in range(1, count)]))
        inner: list[float] = found[found > float(self.numbers.quantiles(start, end, [0])[0])].tolist()
        return inner


def quantile_bins(numbers: WeightedNumbers, bins: int) -> NumericBins:
    """Returns bins that each hold about as many values, and one for each heavy value."""
    column = _Column(numbers, bins)
    cuts = [cut for position in column.heavy for cut in _cuts_around(column.values, position)]
    for first, last in column.segments():
        edges = _quantile_edges(column, first, last, bins)
        cuts += [Cut(edge, edge) for edge in edges]
    return _label_bins(cuts)


def bins_by_value(numbers: WeightedNumbers, bins: int) -> NumericBins:
    """Returns one bin for each distinct value, with edges halfway between them."""
    column = _Column(numbers, bins)
    cuts = [cut for position in column.heavy for cut in _cuts_around(column.values, position)]
    for first, last in column.segments():
        for lower, upper in pairwise(column.values[first:last].tolist()):
            edge = _between(lower, upper)
            cuts.append(Cut(edge, edge))
    return _label_bins(cuts)


def bins_between(edges: Iterable[float]) -> NumericBins:
    """Returns the bins between edges that are given."""
    return _label_bins(Cut(edge, edge) for edge in edges)


def score_bins() -> NumericBins:
    """Returns uniform bins for a score in 0..1.

    Each edge is a little lower than its label, so that a score such as 0.35 is in the same bin in single precision.
    """
    bounds = (round(step / SCORE_BINS, 10) for step in range(1, SCORE_BINS))
    return _label_bins((Cut(bound * (1 - SINGLE_PRECISION), bound) for bound in bounds), ("[0", "1]"))


def coarse_edges(numbers: WeightedNumbers, bins: int) -> tuple[float, ...]:
    """Returns the edges of a sensitive column: two significant digits, more only where two bins would become one.

    A heavy value has a bin of its own, but its edges lie halfway to its neighbours.
    """
    column = _Column(numbers, bins)
    values: list[float] = column.values.tolist()
    places = sorted({place for one in column.heavy for place in (one, one + 1) if 0 < place < len(values)})
    halves = {values[place - 1] / 2 + values[place] / 2: (values[place - 1], values[place]) for place in places}
    inner = [edge for segment in column.segments() for edge in column.quantiles(*segment, bins)]
    edges = sorted({*halves, *(edge for edge in inner if edge > values[0])})
    for digits in range(_COARSE, _DIGITS):
        rounded = [_rounded(edge, digits) for edge in edges]
        is_ascending = all(left < right for left, right in pairwise([values[0], *rounded]))
        is_between = all(
            halves[edge][0] < near <= halves[edge][1]
            for edge, near in zip(edges, rounded, strict=True)
            if edge in halves
        )
        if is_ascending and is_between and (not rounded or rounded[-1] <= values[-1]):
            lower = [_below_frequent(column, edge) for edge in rounded]
            is_apart = all(left < right for left, right in pairwise([values[0], *lower]))
            return tuple(lower if is_apart else rounded)
    return tuple(edges)


def _below_frequent(column: _Column, edge: float) -> float:
    """Returns an edge, a little lower if single precision would move many values across it."""
    if column.is_whole:
        return edge
    room = abs(edge) * SINGLE_PRECISION
    numbers = column.numbers
    beside = numbers.count_below(edge + room, inclusive=True) - numbers.count_below(edge - room)
    return edge - room if beside >= _FREQUENT * len(numbers) else edge


def _cuts_around(values: Floats, position: int) -> tuple[Cut, Cut]:
    """Returns the edges of a bin for one value: no neighbour is in it, the same value in single precision is."""
    import numpy as np

    value = float(values[position])
    around = values[max(position - 1, 0) : position + 2].tolist()
    gap = min((right - left for left, right in pairwise(around)), default=1.0)
    room = min(abs(value) * SINGLE_PRECISION, gap / 4) if value else gap * SINGLE_PRECISION
    upper = max(value + room, float(np.nextafter(value, np.inf)))
    return Cut(value - room, value), Cut(upper, value, above=True)


def _quantile_edges(column: _Column, first: int, last: int, bins: int) -> list[float]:
    """Returns the quantiles of a segment, rounded as far as the bins hardly change, and off the values."""
    found = column.quantiles(first, last, bins)
    if not found:
        return []
    values = column.values[first:last]
    near = min(right - left for left, right in pairwise([float(values[0]), *found])) / 100
    edge_of = _whole_edge if column.is_whole else _edge_off_values
    return sorted({edge_of(values, edge, near) for edge in found})


def _whole_edge(values: Floats, quantile: float, near: float) -> float:
    place = min(max(int(values.searchsorted(quantile)), 1), len(values) - 1)
    whole = float(values[place])
    for digits in range(3, _DIGITS):
        rounded = _rounded(whole, digits)
        if abs(rounded - whole) <= near and values[0] < rounded <= values[-1]:
            return rounded
    return whole


def _edge_off_values(values: Floats, quantile: float, near: float) -> float:
    rounded = next(
        (one for digits in range(3, _DIGITS) if abs((one := _rounded(quantile, digits)) - quantile) <= near), quantile
    )
    room = abs(rounded) * SINGLE_PRECISION
    place = int(values.searchsorted(rounded - room))
    is_free = place == int(values.searchsorted(rounded + room, side="right"))
    if is_free and 0 < place < len(values):
        return rounded
    place = min(max(place, 1), len(values) - 1)
    lower, upper = float(values[place - 1]), float(values[place])
    is_dense = upper - lower <= room and values[0] < rounded <= values[-1]
    return rounded if is_dense else _between(lower, upper)


def _between(lower: float, upper: float) -> float:
    """Returns a number with few digits about halfway; single precision moves neither value across it if avoidable."""
    middle = lower / 2 + upper / 2
    room = min(max(abs(lower), abs(upper)) * SINGLE_PRECISION, (upper - lower) / 4)
    for digits in range(_COARSE, _DIGITS):
        rounded = _rounded(middle, digits)
        if lower + room < rounded < upper - room:
            return rounded
    return middle if middle > lower else upper


def _rounded(number: float, digits: int) -> float:
    return float(f"{number:.{digits}g}")


def _label_bins(cuts: Iterable[Cut], ends: tuple[str, str] = ("(-inf", "inf)")) -> NumericBins:
    """Returns the edges in order, and labels that are readable and ordered as text, such as ``07 [25, 32)``."""
    ordered = sorted({cut.edge: cut for cut in sorted(cuts, reverse=True)}.values())
    labels = []
    for position, (left, right) in enumerate(pairwise([None, *ordered, None])):
        opening = ends[0] if left is None else f"{'(' if left.above else '['}{left.shown:.15g}"
        closing = ends[1] if right is None else f"{right.shown:.15g}{']' if right.above else ')'}"
        labels.append(f"{position:02d} {opening}, {closing}")
    return NumericBins(tuple(cut.edge for cut in ordered), tuple(labels))
