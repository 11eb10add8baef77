"""Pairs of predictions under one id: how often each of the two versions was right, and how they differ."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv
from otel_ml._figures import single
from otel_ml._values.equality import respell
from otel_ml.ground_truth._records import Pair, Settled, is_correct
from otel_ml.ground_truth.live._outcomes import OutcomeCounts
from otel_ml.ground_truth.live._series import Attributes, LabelSeries, Sum

BASELINES: Final = 10
"""Baselines of one challenger that are counted under their own version and role."""


class PairCounts:
    """Pairs in which a model is the challenger, by their baseline.

    Args:
        series: Where the series are kept: those of the challenger.
    """

    def __init__(self, series: LabelSeries) -> None:
        self._series = series
        self._baselines: dict[tuple[str, str], ClassPairs | ErrorPairs] = {}

    def add(self, pair: Pair) -> None:
        """Counts one pair."""
        one = pair.baseline.prediction
        baseline = one.version, one.role
        if baseline not in self._baselines and len(self._baselines) >= BASELINES:
            baseline = semconv.OTHER, semconv.OTHER
        found = self._baselines.get(baseline)
        if found is None:
            more = dict(zip((semconv.PAIR_VERSION, semconv.PAIR_ROLE), baseline, strict=True))
            kind = ErrorPairs if pair.challenger.prediction.task == "regression" else ClassPairs
            found = self._baselines[baseline] = kind(self._series, more)
        found.add(pair)


class ClassPairs:
    """Pairs of classes, or of sets of classes, which are only right or wrong."""

    def __init__(self, series: LabelSeries, baseline: Attributes) -> None:
        self._outcomes = {
            outcome: series.count(semconv.PAIR_OUTCOMES, {**baseline, semconv.PAIR_OUTCOME: outcome})
            for outcome in semconv.PAIR_OUTCOME_VALUES
        }
        names = semconv.PAIR_BASELINE, semconv.PAIR_CHALLENGER
        self._classes = OutcomeCounts(series, semconv.PAIR_PREDICTIONS, names, baseline)

    def add(self, pair: Pair) -> None:
        """Counts one pair."""
        right, other_right = (is_correct(one.prediction, one.label) for one in pair)
        if right is None or other_right is None:
            return
        name = semconv.PAIR_OUTCOME_VALUES[(0 if other_right else 1) if right else (2 if other_right else 3)]
        self._outcomes[name].add()
        left, other = (one.prediction.predicted or "" for one in pair)
        if pair.challenger.prediction.task != "multilabel":
            self._classes.add(left, respell(other, left))


class ErrorPairs:
    """Pairs of numbers."""

    def __init__(self, series: LabelSeries, baseline: Attributes) -> None:
        self._count = series.count(semconv.PAIR_PREDICTIONS, baseline)
        self._baseline = series.sum(semconv.PAIR_ABSOLUTE_ERROR, baseline)
        self._squares = series.sum(semconv.PAIR_ERROR_DIFFERENCE_SQUARES, baseline)
        self._errors, self._predictions = (
            [series.sum(metric, {**baseline, semconv.EVAL_DIRECTION: each}) for each in ("over", "under")]
            for metric in (semconv.PAIR_ERROR_DIFFERENCE, semconv.PAIR_PREDICTION_DIFFERENCE)
        )

    def add(self, pair: Pair) -> None:
        """Counts one pair; errors beyond what is counted elsewhere are left out."""
        errors = [_error(one) for one in pair]
        if not all(error is not None and abs(error) <= single.LARGEST_ERROR for error in errors):
            return
        error, other = (each or 0.0 for each in errors)
        self._count.add()
        self._baseline.add(abs(error))
        difference = abs(other) - abs(error)
        self._squares.add(difference * difference)
        _add(self._errors, difference)
        _add(self._predictions, other - error)


def _error(one: Settled) -> float | None:
    value, actual = one.prediction.value, one.label.number
    return None if value is None or actual is None else value - actual


def _add(sums: list[Sum], amount: float) -> None:
    """Adds to the sum of its direction: counters cannot fall."""
    sums[amount < 0].add(abs(amount))
