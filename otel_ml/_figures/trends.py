"""The linear trend of a figure over days, with its interval, and when it crosses a limit.

The interval comes from how the days scatter about the line. So it holds for what moves a figure from day to day beside
the number of labels, such as weekends. The recording rules have the same formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from otel_ml._figures.intervals import Interval, Z

LEAST_DAYS: Final = 10
"""With fewer days there is no trend."""
NULL_Z: Final = 3.5
"""A line through days without a trend is steeper than so many standard errors, in the bad direction, in 1 of 4,300
cases. Read at any time, over 14 and over 30 days and for the three figures of a binary model: in fewer than 1 of 100
weeks."""


class Trend(NamedTuple):
    """A line through the figures of some days, by least squares."""

    slope: float
    """Change a day."""
    interval: Interval
    """The 95 % interval of the slope."""
    noise: float
    """What the slope of 1 of 4,300 series without a trend exceeds in one direction."""
    level: float
    """The line now."""
    days: int


def fit(days: Sequence[float], values: Sequence[float], now: float) -> Trend | None:
    """Returns the trend; None with fewer than ten days.

    Args:
        days: When each figure was measured, in days.
        values: The figures.
        now: The present, in days.
    """
    count = len(values)
    if count < LEAST_DAYS:
        return None
    day, value = math.fsum(days) / count, math.fsum(values) / count
    spread = math.fsum((each - day) ** 2 for each in days)
    slope = math.fsum((x - day) * (y - value) for x, y in zip(days, values, strict=True)) / spread
    rest = math.fsum((y - value - slope * (x - day)) ** 2 for x, y in zip(days, values, strict=True))
    error = math.sqrt(rest / (count - 2) / spread)
    half = student(Z, count - 2) * error
    noise = student(NULL_Z, count - 2) * error
    return Trend(slope, (slope - half, slope + half), noise, value + slope * (now - day), count)


def student(z: float, freedom: int) -> float:
    """Returns the quantile of Student's distribution at the level of a normal one, to 0.4 % from 5 degrees of freedom.

    Source: Abramowitz and Stegun 26.7.5.
    """
    parts = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(part / math.pow(freedom, power) for power, part in enumerate(parts, 1))


def days_until(trend: Trend, limit: float) -> float | None:
    """Returns the days until the line crosses a limit; None if it goes the other way, or has crossed it."""
    left = (limit - trend.level) / trend.slope if trend.slope else -1.0
    return left if left >= 0 else None
