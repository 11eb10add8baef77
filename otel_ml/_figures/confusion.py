"""Figures from counts of predicted and actual classes, of tasks with one class or with a set of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from otel_ml._figures.intervals import NONE, Estimate, around, share

Outcome = tuple[frozenset[str], frozenset[str]]
"""The predicted and the actual classes of a prediction: one on each side, or several."""


class ClassCounts(NamedTuple):
    """How often a class was predicted rightly, predicted wrongly, and missed."""

    tp: int
    fp: int
    fn: int

    def precision(self) -> Estimate:
        return share(self.tp, self.tp + self.fp)

    def recall(self) -> Estimate:
        return share(self.tp, self.tp + self.fn)

    def f1(self) -> Estimate:
        """Returns F1 with the interval of the share J = tp / (tp + fp + fn), since F1 is 2 J / (1 + J)."""
        value, interval = share(self.tp, self.tp + self.fp + self.fn)
        if value is None or interval is None:
            return NONE
        low, high = (2 * end / (1 + end) for end in interval)
        return Estimate(2 * self.tp / (2 * self.tp + self.fp + self.fn), (low, high))


class _Slopes(NamedTuple):
    """By how much one more of each count changes a figure."""

    tp: float
    fp: float
    fn: float


def count_classes(outcomes: Mapping[Outcome, int], classes: Collection[str]) -> dict[str, ClassCounts]:
    """Returns the counts of each class, from outcomes and how often they occurred."""
    counts = {name: [0, 0, 0] for name in classes}
    for (predicted, actual), times in outcomes.items():
        for position, names in enumerate((predicted & actual, predicted - actual, actual - predicted)):
            for name in names:
                counts[name][position] += times
    return {name: ClassCounts(*of_class) for name, of_class in counts.items()}


def macro(outcomes: Mapping[Outcome, int], counts: Mapping[str, ClassCounts], figure: str) -> Estimate:
    """Returns the mean of a figure over the classes; a class without the figure counts as 0, as in scikit-learn.

    The interval is that of the delta method: what each outcome moves the mean by, in the counts of all classes that
    take part in it. It is None if no outcome moves it, as when all predictions are right.

    Args:
        outcomes: How often each outcome occurred.
        counts: The same, by class.
        figure: ``precision``, ``recall`` or ``f1``.
    """
    if not counts:
        return NONE
    read: Callable[[ClassCounts], Estimate] = getattr(ClassCounts, figure)
    value = math.fsum(read(of_class).value or 0.0 for of_class in counts.values()) / len(counts)
    slopes = {name: SLOPES[figure](of_class) for name, of_class in counts.items()}
    variance = math.fsum(times * _moves(outcome, slopes) ** 2 for outcome, times in outcomes.items())
    error = math.sqrt(variance) / len(counts)
    return Estimate(value, around(value, error, 0.0, 1.0) if error else None)


def micro(counts: Mapping[str, ClassCounts]) -> dict[str, float | None]:
    """Returns precision, recall and F1 of the counts of all classes together."""
    total = ClassCounts(*map(sum, zip(*counts.values(), strict=True))) if counts else ClassCounts(0, 0, 0)
    return {figure: getattr(total, figure)().value for figure in SLOPES}


def weighted(counts: Mapping[str, ClassCounts]) -> dict[str, float | None]:
    """Returns the means of precision, recall and F1 over the classes, each weighted by how often it was true."""
    total = sum(of_class.tp + of_class.fn for of_class in counts.values())
    return {
        figure: math.fsum((c.tp + c.fn) * (getattr(c, figure)().value or 0.0) for c in counts.values()) / total
        if total
        else None
        for figure in SLOPES
    }


def _moves(outcome: Outcome, slopes: Mapping[str, _Slopes]) -> float:
    predicted, actual = outcome
    parts = (predicted & actual, predicted - actual, actual - predicted)
    return math.fsum(slopes[name][position] for position, names in enumerate(parts) for name in names)


def _precision_slopes(counts: ClassCounts) -> _Slopes:
    predicted = counts.tp + counts.fp
    return _Slopes(counts.fp / predicted**2, -counts.tp / predicted**2, 0.0) if predicted else _FLAT


def _recall_slopes(counts: ClassCounts) -> _Slopes:
    actual = counts.tp + counts.fn
    return _Slopes(counts.fn / actual**2, 0.0, -counts.tp / actual**2) if actual else _FLAT


def _f1_slopes(counts: ClassCounts) -> _Slopes:
    wrong = counts.fp + counts.fn
    both = (2 * counts.tp + wrong) ** 2
    return _Slopes(2 * wrong / both, -2 * counts.tp / both, -2 * counts.tp / both) if both else _FLAT


_FLAT: Final = _Slopes(0.0, 0.0, 0.0)
SLOPES: Final[dict[str, Callable[[ClassCounts], _Slopes]]] = {
    "precision": _precision_slopes,
    "recall": _recall_slopes,
    "f1": _f1_slopes,
}
"""The figures that each class has."""
