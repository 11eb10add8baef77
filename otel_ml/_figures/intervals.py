"""95 % intervals of figures: the range that holds the true figure in 95 of 100 samples of this size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import repeat
from operator import mul
from typing import Final, NamedTuple

Z: Final = 1.959963984540054
"""The normal quantile of 97.5 %."""
_TAIL: Final = 0.025
Interval = tuple[float, float] | None
"""Low and high end; None where a figure has none."""


class Estimate(NamedTuple):
    """A figure with its interval; both are None where undefined."""

    value: float | None
    interval: Interval = None


NONE: Final = Estimate(None)


def around(value: float, error: float, low: float = -math.inf, high: float = math.inf) -> Interval:
    """Returns the value with 1.96 standard errors on both sides, within the range of the figure."""
    return max(low, value - Z * error), min(high, value + Z * error)


def share(part: float, whole: float) -> Estimate:
    """Returns a share with the interval of Wilson (1927), which holds for few cases and for shares near 0 or 1 too."""
    if not whole:
        return NONE
    value = part / whole
    scale = 1 + Z * Z / whole
    middle = (value + Z * Z / (2 * whole)) / scale
    half = Z / scale * math.sqrt(value * (1 - value) / whole + Z * Z / (4 * whole * whole))
    return Estimate(value, (min(max(0.0, middle - half), value), max(min(1.0, middle + half), value)))


def mean(
    values: Sequence[float], low: float = -math.inf, high: float = math.inf, *, times: Sequence[int] | None = None
) -> Estimate:
    """Returns a mean with 1.96 standard errors on both sides; one value alone has no interval.

    Args:
        values: The values.
        low: The least that the mean can be.
        high: The most.
        times: How often each value occurs; once by default.
    """
    count = len(values) if times is None else sum(times)
    if not count:
        return NONE
    weights = repeat(1) if times is None else times
    value = math.fsum(map(mul, values, weights)) / count
    if count < 2:
        return Estimate(value)
    squares = ((each - value) ** 2 for each in values)
    variance = math.fsum(map(mul, squares, weights)) / (count - 1)
    return Estimate(value, around(value, math.sqrt(variance / count), low, high))


def mean_of_sums(
    count: float, total: float, squares: float, low: float = -math.inf, high: float = math.inf
) -> Estimate:
    """Returns what `mean` does, from how many values there are, their sum, and the sum of their squares."""
    if not count:
        return NONE
    value = total / count
    if count < 2:
        return Estimate(value)
    variance = max(squares / count - value * value, 0.0) / (count - 1)
    return Estimate(value, around(value, math.sqrt(variance), low, high))


def logit(value: float, error: float) -> Interval:
    """Returns 1.96 standard errors on both sides on the scale of log(value / (1 - value)); None at 0 and 1.

    Near 1, where AUC and average precision often are, it holds the true value more often than `around`.
    """
    if not error or not 0 < value < 1:
        return None
    middle, half = math.log(value / (1 - value)), Z * error / (value * (1 - value))
    return 1 / (1 + math.exp(half - middle)), 1 / (1 + math.exp(-half - middle))


def quantile(ordered: Sequence[float], level: float) -> Estimate:
    """Returns a quantile, interpolated as numpy's, with the interval between two order statistics.

    Of n values, the number below the true quantile is binomial: that gives the two ranks. With too few values for a
    rank on either side there is no interval.

    Args:
        ordered: The values in ascending order.
        level: The share of values below the quantile.
    """
    count = len(ordered)
    if not count:
        return NONE
    place = level * (count - 1)
    lower = math.floor(place)
    upper = min(lower + 1, count - 1)
    value = ordered[lower] + (ordered[upper] - ordered[lower]) * (place - lower)
    ranks = quantile_ranks(count, level)
    return Estimate(value, ranks and (ordered[ranks[0] - 1], ordered[ranks[1] - 1]))


def quantile_ranks(count: int, level: float) -> tuple[int, int] | None:
    """Returns the two ranks, from 1, between whose values a quantile is; None with too few values.

    The lower one is the last rank r with P(B < r) <= 2.5 %, the upper one the first with P(B < r) >= 97.5 %, where B
    is binomial.
    """
    spread = math.sqrt(count * level * (1 - level))
    start = max(0, math.floor(count * level - 9 * spread))
    below, rank, low = 0.0, start, 0
    while rank <= count and below < 1 - _TAIL:  # below is P(B < rank)
        if below <= _TAIL:
            low = rank
        below += _binomial(count, rank, level)
        rank += 1
    return (low, rank) if low and rank <= count else None


def _binomial(count: int, hits: int, level: float) -> float:
    chances = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(chances + hits * math.log(level) + (count - hits) * math.log1p(-level))
