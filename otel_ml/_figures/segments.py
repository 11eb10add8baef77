"""Whether one segment of a column differs from the rest by more than noise, and how fairly segments are treated.

All figures are of counts and sums that add up over replicas. The recording rules repeat these formulas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from otel_ml._distances import psi_noise

_LIMIT: Final = (3.09025, 0.29659, -0.01153, 0.00057)
"""The coefficients of the polynomial in `noise_limit`."""
LEAST_ERRORS: Final = 10
"""Errors of a regression that a segment, and the rest of its column, must have: the normal limit of a mean of fewer is
too low."""


class Share(NamedTuple):
    """How many predictions of a segment there are, and how many of them have something in common."""

    part: float
    whole: float

    @property
    def value(self) -> float | None:
        """The share in 0..1; None without predictions."""
        return self.part / self.whole if self.whole else None


class Errors(NamedTuple):
    """Absolute errors of a regression: how many, their sum, and the sum of their squares."""

    size: float
    total: float
    squares: float


class Contrast(NamedTuple):
    """A segment, and the rest of its column."""

    segment: str
    value: float
    rest: float
    z: float
    """Standard deviations by which the segment is above the rest."""
    limit: float
    """What z exceeds by chance in one of 1,000 windows, over all segments of the column."""

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the segment is above the rest by more than chance explains."""
        return self.z > self.limit


class SegmentOutcomes(NamedTuple):
    """Labelled predictions of one segment by outcome: the positive class predicted or not, true or not."""

    tp: float = 0.0
    fp: float = 0.0
    fn: float = 0.0
    tn: float = 0.0

    @property
    def selected(self) -> Share:
        """The predictions of the positive class."""
        return Share(self.tp + self.fp, sum(self))

    @property
    def true_positives(self) -> Share:
        """Those of the actual positives that were predicted as positive."""
        return Share(self.tp, self.tp + self.fn)

    @property
    def false_positives(self) -> Share:
        """Those of the actual negatives that were predicted as positive."""
        return Share(self.fp, self.fp + self.tn)


def noise_limit(segments: int) -> float:
    """Returns the z that chance exceeds in one of 1,000 windows, for the largest z of so many segments.

    The normal quantile of ``1 - 0.001 / segments`` (Bonferroni), as a polynomial of ``ln(segments)`` that PromQL can
    compute. It is right within 0.0001 for up to 20 segments.
    """
    powers = math.log(segments)
    return sum(factor * powers**position for position, factor in enumerate(_LIMIT))


def share_z(segment: Share, rest: Share) -> float | None:
    """Returns by how many standard deviations the share of a segment is above that of the rest; None without rows.

    The signed root of the likelihood-ratio statistic of two proportions (Wilks 1938): the root of
    ``scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")``. Unlike the pooled z, it keeps
    to its limit with few rows and with shares near 0 or 1: of clean windows with 2 to 12 segments, at most 1.8 in
    1,000 are beyond `noise_limit`, where the pooled z has up to 190.
    """
    if not segment.whole or not rest.whole:
        return None
    common = (segment.part + rest.part) / (segment.whole + rest.whole)
    deviance = 2 * math.fsum(
        observed * math.log(observed / expected)
        for side in (segment, rest)
        for observed, expected in (
            (side.part, side.whole * common),
            (side.whole - side.part, side.whole * (1 - common)),
        )
        if observed > 0
    )
    is_above = segment.part * rest.whole > rest.part * segment.whole
    return math.copysign(math.sqrt(max(deviance, 0.0)), 1 if is_above else -1)


def mean_z(segment: Errors, rest: Errors) -> float | None:
    """Returns by how many standard errors the mean of a segment is above that of the rest; None with few errors.

    Welch's statistic, where neither variance is below that of the column: of few errors the variance is often too low.
    Of clean windows at most one in 1,000 is beyond `noise_limit`, also if a few errors are much larger than the others.
    """
    if min(segment.size, rest.size) < LEAST_ERRORS:
        return None
    column = _variance(Errors(*map(sum, zip(segment, rest, strict=True))))
    error = math.sqrt(sum(max(_variance(side), column) / side.size for side in (segment, rest)))
    return (segment.total / segment.size - rest.total / rest.size) / error if error else 0.0


def compare_shares(shares: Mapping[str, Share]) -> dict[str, Contrast]:
    """Returns the share of each segment beside that of the rest; none unless two segments have rows."""
    known = {name: share for name, share in shares.items() if share.whole}
    if len(known) < 2:
        return {}
    part, whole = (math.fsum(column) for column in zip(*known.values(), strict=True))
    limit = noise_limit(len(known))
    found = {}
    for name, share in known.items():
        rest = Share(part - share.part, whole - share.whole)
        z = share_z(share, rest) or 0.0
        found[name] = Contrast(name, share.part / share.whole, rest.part / rest.whole, z, limit)
    return found


def highest_share(shares: Mapping[str, Share]) -> Contrast | None:
    """Returns the segment whose share is most surely above that of the rest; None unless two segments have rows."""
    return max(compare_shares(shares).values(), key=lambda one: one.z, default=None)


def lowest_share(shares: Mapping[str, Share]) -> Contrast | None:
    """Returns the segment whose share is most surely below that of the rest, such as its accuracy."""
    found = highest_share({name: Share(share.whole - share.part, share.whole) for name, share in shares.items()})
    return found and found._replace(value=1 - found.value, rest=1 - found.rest)


def is_any_beyond_noise(shares: Mapping[str, Share]) -> bool:
    """Whether the share of some segment is above or below that of the rest by more than noise."""
    found = (highest_share(shares), lowest_share(shares))
    limit = noise_limit(2 * max(1, sum(share.whole > 0 for share in shares.values())))
    return any(one is not None and one.z > limit for one in found)


def compare_means(errors: Mapping[str, Errors]) -> dict[str, Contrast]:
    """Returns the mean error of each segment beside that of the rest; without segments that have too few errors."""
    known = {name: each for name, each in errors.items() if each.size}
    column = Errors(*map(math.fsum, zip(*known.values(), strict=True))) if known else Errors(0, 0, 0)
    found = {}
    for name, each in known.items():
        rest = Errors(*(total - part for total, part in zip(column, each, strict=True)))
        z = mean_z(each, rest)
        if z is not None:
            mean, of_rest = each.total / each.size, rest.total / rest.size
            found[name] = Contrast(name, mean, of_rest, z, noise_limit(len(known)))
    return found


def highest_mean(errors: Mapping[str, Errors]) -> Contrast | None:
    """Returns the segment whose mean error is most surely above that of the rest; None if none has enough errors."""
    return max(compare_means(errors).values(), key=lambda one: one.z, default=None)


def score_shift(segment: Sequence[float], rest: Sequence[float]) -> float | None:
    """Returns the population stability index of a segment's scores against those of the rest; None without scores.

    ``sum (p - q) ln(p / q)`` over the bins that the column has. Both sides are smoothed towards the shares of the
    column, as in `otel_ml._distances`: ``(count + k share) / (total + k)`` with ``k`` the number of bins.

    Args:
        segment: Scores in each bin.
        rest: Those of the other segments of the column.
    """
    shares, (own, others) = _column_shares(segment, rest), (sum(segment), sum(rest))
    if not own or not others:
        return None
    bins = sum(share > 0 for share in shares)
    pairs = [
        ((left + bins * share) / (own + bins), (right + bins * share) / (others + bins))
        for left, right, share in zip(segment, rest, shares, strict=True)
        if share
    ]
    return math.fsum((p - q) * math.log(p / q) for p, q in pairs)


def score_shift_noise(segment: Sequence[float], rest: Sequence[float], segments: int) -> float | None:
    """Returns what the shift of some segment of a column exceeds by chance in about one of 1,000 windows.

    In simulated windows it was 0 to 3 of 1,000, and up to 10 where bins have about 10 scores in a segment.

    Args:
        segment: Scores in each bin.
        rest: Those of the other segments of the column.
        segments: Segments that have scores.
    """
    shares = [share for share in _column_shares(segment, rest) if share]
    smaller, larger = sorted((sum(segment), sum(rest)))
    return psi_noise(shares, smaller, larger, noise_limit(segments))


def ratio(shares: Mapping[str, Share]) -> float | None:
    """Returns the lowest share over the highest; None unless two segments have rows, or if all shares are 0.

    Of selection rates: `demographic_parity_ratio` of Fairlearn. The four-fifths rule asks for at least 0.8.
    """
    values = _values(shares)
    return min(values) / max(values) if len(values) > 1 and max(values) else None


def difference(shares: Mapping[str, Share]) -> float | None:
    """Returns the highest share minus the lowest; None unless two segments have rows.

    Of the true and of the false positive rates; the larger of the two is `equalized_odds_difference` of Fairlearn,
    which takes the rate of a segment without a positive (or negative) label as 0. Here such a segment has no rate.
    """
    values = _values(shares)
    return max(values) - min(values) if len(values) > 1 else None


def _values(shares: Mapping[str, Share]) -> list[float]:
    return [share.part / share.whole for share in shares.values() if share.whole]


def _column_shares(segment: Sequence[float], rest: Sequence[float]) -> list[float]:
    total = sum(segment) + sum(rest)
    return [(left + right) / total for left, right in zip(segment, rest, strict=True)] if total else []


def _variance(errors: Errors) -> float:
    """Returns the unbiased variance, not below 0."""
    spread = errors.squares - errors.total**2 / errors.size
    return max(spread, 0.0) / (errors.size - 1)
