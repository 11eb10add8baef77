"""How well scores rank the positives above the negatives: AUC with its interval, and average precision."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from otel_ml._figures.intervals import NONE, Estimate, logit

_MANY: Final = 10_000
"""Scores from which on numpy is used if it is there: it is ten times as fast, and takes 0.1 s to import."""


class Ranking(NamedTuple):
    """The figures of the scores of one class against the rest."""

    auc: Estimate
    """Ties count half. Without positives or without negatives it is None."""
    average_precision: Estimate
    """The mean of the precision at the score of each positive; without positives it is None."""
    moves: array[float]
    """By how much each prediction moves the AUC; the sum of the squares is its variance. Empty without an AUC."""


class ComparedScores(NamedTuple):
    """Scores compared with those of the other side."""

    twice: int
    """Pairs in which the positive is above the negative, counted twice, and once if both are equal."""
    precisions: float
    """Sum of the precisions at the scores of the positives."""
    shares: array[float]
    """Of each prediction how many of the other side are on the right side of it; equal ones count half."""


def rank(scores: array[float], is_positive: bytes) -> Ranking:
    """Ranks scores.

    Sources: AUC and its variance as of DeLong, DeLong and Clarke-Pearson (1988); average precision as in scikit-learn,
    without interpolation.

    Args:
        scores: One for each prediction.
        is_positive: 1 for a positive, 0 for a negative.
    """
    positives = sum(is_positive)
    negatives = len(scores) - positives
    if not positives:
        return Ranking(NONE, NONE, array("d"))
    found = compare(scores, is_positive)
    precision = found.precisions / positives
    # the standard error of Boyd, Eng and Page (2013), as of a share of the positives
    average = Estimate(precision, logit(precision, math.sqrt(max(0.0, precision * (1 - precision)) / positives)))
    if not negatives:
        return Ranking(NONE, average, array("d"))
    value = found.twice / (2 * positives * negatives)
    weights = [1 / math.sqrt(size * (size - 1)) if size > 1 else 0.0 for size in (negatives, positives)]
    others = (positives, negatives)
    moves = array(
        "d",
        [(part / others[side] - value) * weights[side] for part, side in zip(found.shares, is_positive, strict=True)],
    )
    error = math.sqrt(math.fsum(move * move for move in moves))
    has_interval = positives > 1 and negatives > 1
    return Ranking(Estimate(value, logit(value, error) if has_interval else None), average, moves)


def compare(scores: array[float], is_positive: bytes, *, many: int = _MANY) -> ComparedScores:
    """Compares the scores of positives and negatives.

    Args:
        scores: One for each prediction.
        is_positive: 1 for a positive, 0 for a negative.
        many: Scores from which on numpy is used.
    """
    if len(scores) >= many:
        try:
            from otel_ml._figures.array_ranks import compare_arrays
        except ImportError:
            pass
        else:
            return ComparedScores(*compare_arrays(scores, is_positive))
    order = sorted(range(len(scores)), key=scores.__getitem__)
    above, below = sum(is_positive), 0  # positives that are not below the present score, negatives that are
    negatives = len(scores) - above
    shares = array("d", bytes(len(scores) * scores.itemsize))
    twice, start = 0, 0
    precisions: list[float] = []
    while start < len(order):
        score, end = scores[order[start]], start + 1
        while end < len(order) and scores[order[end]] == score:
            end += 1
        hits = sum(is_positive[row] for row in order[start:end])
        misses = end - start - hits
        twice += hits * (2 * below + misses)
        if hits:
            precisions.append(hits * above / (above + negatives - below))
        for row in order[start:end]:
            shares[row] = below + misses / 2 if is_positive[row] else above - hits / 2
        above, below, start = above - hits, below + misses, end
    return ComparedScores(twice, math.fsum(precisions), shares)


def macro_auc(classes: Sequence[Ranking]) -> Estimate:
    """Returns the mean AUC of classes that were ranked over the same predictions, by the sum of their moves."""
    known = [each for each in classes if each.auc.value is not None]
    if not known:
        return NONE
    value = math.fsum(each.auc.value or 0.0 for each in known) / len(known)
    if any(each.auc.interval is None for each in known):
        return Estimate(value)
    moves = map(sum, zip(*(each.moves for each in known), strict=True))
    error = math.sqrt(math.fsum(move * move for move in moves)) / len(known)
    return Estimate(value, logit(value, error))


def macro_average_precision(classes: Sequence[Ranking]) -> Estimate:
    """Returns the mean average precision of the classes that have positives; it has no interval."""
    values = [each.average_precision.value for each in classes if each.average_precision.value is not None]
    return Estimate(math.fsum(values) / len(values)) if values else NONE
