"""Whether one version of a model is better than another: differences, tests, and the verdict.

The verdict may be read at any time and as often as wanted. An ordinary test may not: read every minute, it calls two
equal versions different sooner or later. So the difference must leave a boundary within which that of equal versions
stays for ever with a probability of 99 %: the normal mixture of Robbins (1970), "Statistical methods related to the law
of the iterated logarithm". For pairs with one right and one wrong prediction it is exact, since they are tosses of a
coin; for other differences it holds for large samples (Waudby-Smith and others 2024, "Time-uniform central limit theory
and asymptotic confidence sequences"). The recording rules have the same formulas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from otel_ml import semconv
from otel_ml._figures.intervals import Interval, Z, share

LEVEL: Final = 0.01
"""Share of comparisons of equal versions that are ever called better or worse, however often they are read."""
MIXTURE: Final = 50
"""Where the boundary is tightest: near twelve times as many pairs."""
POWER: Final = 0.9
POWER_Z: Final = 1.2815515655446004
"""The normal quantile of the power."""
DIFFERENCE: Final = 0.02
"""The difference of a share that is looked for, unless another one is stated: two points."""
ERROR_DIFFERENCE: Final = 0.1
"""The same for a mean error: a tenth of the baseline's."""
LEAST: Final = 100
"""Pairs, or labels on each side, below which a difference is not judged, except by the exact boundary."""
LEAST_OF_KIND: Final = 10
"""Right, and wrong, predictions to expect on each side before two shares are judged: fewer are far from normal."""
EXACT: Final = 25
"""Discordant pairs below which the p-value of McNemar's test is exact."""
PAIRED_SHARE: Final = 0.5
"""Versions are compared by pairs if at least this share of the labelled predictions of one of them is in one."""
_START: Final = 3.6
"""The boundary between 300 and 2,000 pairs, from which the number that is needed is computed."""
BETTER, WORSE, NO_DIFFERENCE, NOT_ENOUGH = semconv.PAIR_VERDICTS


class Difference(NamedTuple):
    """How two versions differ, and what follows from it."""

    value: float | None
    """The figure of the challenger minus that of the baseline; None without data."""
    interval: Interval
    """The 95 % interval, for one look."""
    p_value: float | None
    """For one look."""
    z: float | None
    """By how many standard errors the challenger is better; below 0 it is worse."""
    boundary: float | None
    """What `z` must exceed, up or down."""
    needed: float | None
    """Pairs, or labels of the challenger, with which the stated difference is found with a probability of 90 %."""
    verdict: str


UNKNOWN: Final = Difference(None, None, None, None, None, None, NOT_ENOUGH)


def boundary(information: float) -> float:
    """Returns how many standard errors a difference may be away from 0 without being one.

    Args:
        information: Discordant pairs, or pairs of which the mean difference is, or of two samples the reciprocal of
            ``1 / n + 1 / m``.
    """
    return math.sqrt((1 + MIXTURE / information) * (math.log1p(information / MIXTURE) - 2 * math.log(LEVEL)))


def needed(variance: float, difference: float, rate: float = 1.0) -> float:
    """Returns the pairs with which a difference crosses the boundary with a probability of 90 %.

    Args:
        variance: Of one pair.
        difference: The difference that is looked for.
        rate: Information of one pair, as in `boundary`.
    """
    first = variance * ((_START + POWER_Z) / difference) ** 2
    return variance * ((boundary(max(first * rate, LEAST)) + POWER_Z) / difference) ** 2


def mcnemar(only_baseline: int, only_challenger: int) -> float:
    """Returns the two-sided p-value of McNemar's test: exact, or from 25 discordant pairs on the normal approximation
    with continuity correction (Edwards 1948).
    """
    discordant = only_baseline + only_challenger
    if discordant < EXACT:
        few = min(only_baseline, only_challenger)
        return min(1.0, math.ldexp(sum(math.comb(discordant, hits) for hits in range(few + 1)), 1 - discordant))
    corrected = max(abs(only_baseline - only_challenger) - 1, 0)
    return _two_sided(corrected / math.sqrt(discordant))


def compare_pairs(outcomes: Sequence[float], difference: float = DIFFERENCE) -> Difference:
    """Compares the shares of right predictions of two versions under the same ids.

    The interval is that of Bonett and Price (2012): adjusted Wald.

    Args:
        outcomes: Pairs in which both are right, only the baseline, only the challenger, and none.
        difference: The difference that is looked for.
    """
    _, only_baseline, only_challenger, _ = outcomes
    count, discordant = sum(outcomes), only_baseline + only_challenger
    if not count:
        return UNKNOWN
    up, down = (only_challenger + 1) / (count + 2), (only_baseline + 1) / (count + 2)
    spread = Z * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    z = (only_challenger - only_baseline) / math.sqrt(discordant) if discordant else 0.0
    limit = boundary(discordant) if discordant else math.inf
    rate = (discordant + 1) / (count + 2)
    enough = needed(rate, difference, rate)
    return Difference(
        (only_challenger - only_baseline) / count,
        (max(up - down - spread, -1.0), min(up - down + spread, 1.0)),
        mcnemar(round(only_baseline), round(only_challenger)),
        z,
        limit,
        enough,
        judge(z, limit, is_enough=count >= enough),
    )


def compare_shares(
    right: tuple[float, float], counts: tuple[float, float], difference: float = DIFFERENCE
) -> Difference:
    """Compares the shares of right predictions of two versions under different ids, by two proportions.

    The interval is that of Newcombe (1998, method 10), from Wilson's.

    Args:
        right: Right predictions of baseline and challenger.
        counts: Labelled predictions of both.
        difference: The difference that is looked for.
    """
    if not all(counts):
        return UNKNOWN
    (low, high), (other_low, other_high) = (
        share(*one).interval or (0.0, 1.0) for one in zip(right, counts, strict=True)
    )
    baseline, challenger = (part / whole for part, whole in zip(right, counts, strict=True))
    value, pooled = challenger - baseline, sum(right) / sum(counts)
    information = 1 / (1 / counts[0] + 1 / counts[1])
    variance = pooled * (1 - pooled)
    z = value / math.sqrt(variance / information) if variance else 0.0
    # with the shares smoothed by one right and one wrong prediction, since without a wrong one nothing varies
    smoothed = (sum(right) + 1) / (sum(counts) + 2)
    least = max(LEAST, LEAST_OF_KIND / min(smoothed, 1 - smoothed))
    limit = boundary(information) if min(counts) >= least else math.inf
    enough = max(needed(smoothed * (1 - smoothed), difference) / information, least / min(counts)) * counts[1]
    return Difference(
        value,
        (
            value - math.hypot(challenger - other_low, high - baseline),
            value + math.hypot(other_high - challenger, baseline - low),
        ),
        _two_sided(z),
        z,
        limit,
        enough,
        judge(z, limit, is_enough=counts[1] >= enough),
    )


def compare_errors(
    count: float, total: float, squares: float, baseline: float, difference: float = ERROR_DIFFERENCE
) -> Difference:
    """Compares the absolute errors of two versions under the same ids.

    Args:
        count: Pairs.
        total: Sum of the differences of the errors, challenger minus baseline.
        squares: Sum of their squares.
        baseline: Sum of the errors of the baseline.
        difference: The difference that is looked for, as a share of the baseline's mean error.
    """
    if count < 2:
        return UNKNOWN
    mean = total / count
    variance = max(squares / count - mean * mean, 0.0) * count / (count - 1)
    error = math.sqrt(variance / count)
    z = -mean / error if error else 0.0
    limit = boundary(count) if count >= LEAST else math.inf
    enough = max(needed(variance, difference * baseline / count), LEAST) if baseline else math.inf
    return Difference(
        mean,
        (mean - Z * error, mean + Z * error),
        _two_sided(z),
        z,
        limit,
        enough,
        judge(z, limit, is_enough=count >= enough),
    )


def judge(z: float, limit: float, *, is_enough: bool) -> str:
    """Returns the verdict.

    Args:
        z: By how many standard errors the challenger is better.
        limit: The boundary.
        is_enough: Whether there are as many pairs as are needed to find the stated difference.
    """
    if abs(z) > limit:
        return BETTER if z > 0 else WORSE
    return NO_DIFFERENCE if is_enough else NOT_ENOUGH


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))
