"""Scores of one labelled prediction, as scikit-learn defines them; their means over many are the figures.

Classes are positions in the list of probabilities.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array

RANKS: Final = 10
"""First places of a ranking that are looked at."""
SUM_TOLERANCE: Final = 0.02
"""How far from 1 the sum of the probabilities of a multiclass model may be; they are often rounded."""
LOWEST: Final = -1e-3
"""A probability a little below 0 is one: floats of half precision, and sums of shares, are rounded."""
HIGHEST: Final = 1.0 - LOWEST
"""As above 1."""
THRESHOLD: Final = 0.5
"""A probability above it predicts its class, if nothing else decides."""
LARGEST_ERROR: Final = 1e70
"""A larger error of a regression is in no figure: the squares of many squared errors have to add up."""


def is_probability(value: float) -> bool:
    """Whether a number is in 0..1, or beyond it by rounding only."""
    return LOWEST <= value <= HIGHEST


def are_probabilities(values: Array) -> Array:
    """Returns which numbers of an array are in 0..1, or beyond it by rounding only."""
    found: Array = (values >= LOWEST) & (values <= HIGHEST)
    return found


def is_distribution(probabilities: Sequence[float]) -> bool:
    """Whether the probabilities of all classes are in 0..1 and sum to 1, apart from rounding."""
    return all(map(is_probability, probabilities)) and abs(sum(probabilities) - 1.0) <= SUM_TOLERANCE


def brier_score(probability: float, *, is_actual: bool) -> float:
    """Returns the Brier score of a binary model, from the probability of its positive class."""
    return (probability - is_actual) ** 2


def log_loss(probability: float, *, is_actual: bool) -> float:
    """Returns the log loss of a binary model in nats, from the probability of its positive class."""
    return _surprise(probability if is_actual else 1.0 - probability)


def multiclass_brier_score(probabilities: Sequence[float], actual: int) -> float:
    """Returns the sum of the squared differences over all classes."""
    return sum((each - (position == actual)) ** 2 for position, each in enumerate(probabilities))


def multiclass_log_loss(probabilities: Sequence[float], actual: int) -> float:
    """Returns the log loss in nats."""
    return _surprise(probabilities[actual])


def multilabel_brier_score(probabilities: Sequence[float], actual: Collection[int]) -> float:
    """Returns the mean over the classes of the Brier score of each."""
    scores = (brier_score(each, is_actual=position in actual) for position, each in enumerate(probabilities))
    return sum(scores) / len(probabilities)


def multilabel_log_loss(probabilities: Sequence[float], actual: Collection[int]) -> float:
    """Returns the mean over the classes of the log loss of each, in nats."""
    losses = (log_loss(each, is_actual=position in actual) for position, each in enumerate(probabilities))
    return sum(losses) / len(probabilities)


def ndcg(items: Sequence[str], gains: Mapping[str, float]) -> float:
    """Returns NDCG@10 of a ranking, with linear gains; 0 without a relevant item."""
    ideal = sorted(gains.values(), reverse=True)
    best = ideal[0] if ideal else 0.0
    if best <= 0:
        return 0.0
    found = [gains.get(item, 0.0) / best for item in islice(items, RANKS)]  # so that no sum of gains overflows
    return _discounted(found) / _discounted([gain / best for gain in ideal[:RANKS]])


def reciprocal_rank(items: Sequence[str], gains: Mapping[str, float]) -> float:
    """Returns 1 over the place of the first relevant item; 0 if none is among the first 10."""
    places = (place for place, item in enumerate(islice(items, RANKS), 1) if gains.get(item, 0.0) > 0)
    return 1.0 / next(places, math.inf)


def is_hit(items: Sequence[str], gains: Mapping[str, float]) -> bool:
    """Whether a relevant item is among the first 10."""
    return any(gains.get(item, 0.0) > 0 for item in islice(items, RANKS))


def _surprise(probability: float) -> float:
    epsilon = sys.float_info.epsilon
    return -math.log(min(max(probability, epsilon), 1.0 - epsilon))


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains[:RANKS], 1))
