"""Predicted and actual classes: pairs of one class each, and sets of classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from otel_ml import semconv
from otel_ml._figures.bins import BINNED_CLASSES
from otel_ml.ground_truth.live._series import Attributes, Count, LabelSeries
from otel_ml.semconv import Metric

CLASSES: Final = BINNED_CLASSES
"""Classes of one model that have outcomes under their own name."""
SET_CLASSES: Final = 100
"""Classes of a multilabel model with a name of their own: as many series as the pairs of 20 classes."""


class OutcomeCounts:
    """Labelled predictions by two classes: the predicted and the actual one, or those of two versions.

    Args:
        series: Where the series are kept.
        metric: What counts them.
        names: The attributes of both classes.
        more: Further attributes.
    """

    def __init__(
        self,
        series: LabelSeries,
        metric: Metric = semconv.EVAL_OUTCOMES,
        names: tuple[str, str] = (semconv.EVAL_PREDICTED, semconv.EVAL_ACTUAL),
        more: Attributes | None = None,
    ) -> None:
        self._series = series
        self._metric, self._names, self._more = metric, names, more or {}
        self._classes: set[str] = set()
        self._pairs: dict[tuple[str, str], Count] = {}

    def expect(self, names: Iterable[str]) -> None:
        """Starts at 0 the pairs of these classes."""
        for name in names:
            self._name(name)

    def add(self, predicted: str, actual: str) -> None:
        """Counts one prediction."""
        right = self._name(actual)
        left = self._name(predicted)
        if left == right and predicted != actual:
            # both classes are beyond the bound: the pair must not look like a correct prediction
            left = semconv.UNSEEN
        self._pair(left, right).add()

    def _name(self, name: str) -> str:
        """Returns the name under which a class is counted; the pairs of a new one start at 0."""
        if name in self._classes:
            return name
        new = 2 * len(self._classes) + 1
        if len(self._classes) >= CLASSES or not self._series.has_room(self._metric, new):
            return semconv.OTHER
        for other in self._classes:
            self._pair(name, other)
            self._pair(other, name)
        self._pair(name, name)
        self._classes.add(name)
        return name

    def _pair(self, predicted: str, actual: str) -> Count:
        found = self._pairs.get((predicted, actual))
        if found is None:
            more = {**self._more, self._names[0]: predicted, self._names[1]: actual}
            found = self._pairs[predicted, actual] = self._series.count(self._metric, more)
        return found


class SetCounts:
    """Labelled predictions of a multilabel model: by class whether it was predicted and whether it is true."""

    def __init__(self, series: LabelSeries) -> None:
        self._series = series
        self._exact = series.count(semconv.EVAL_EXACT_MATCHES)
        self._classes: dict[str, tuple[Count, ...] | None] = {}
        """Of each class how often it was neither, only true, only predicted, and both; None without room."""

    def expect(self, classes: Sequence[str]) -> None:
        """Starts at 0 the outcomes of the declared classes."""
        for name in classes:
            self._outcomes(name)

    def add(self, predicted: Collection[str], actual: Collection[str], classes: Sequence[str]) -> None:
        """Counts one prediction: each declared class, and whether both sets are the same."""
        if set(predicted) == set(actual):
            self._exact.add()
        for name in classes:
            outcomes = self._outcomes(name)
            if outcomes is not None:
                outcomes[2 * (name in predicted) + (name in actual)].add()

    def _outcomes(self, name: str) -> tuple[Count, ...] | None:
        if name in self._classes:
            return self._classes[name]
        if len(self._classes) >= SET_CLASSES and name != semconv.OTHER:
            return self._outcomes(semconv.OTHER)
        found = None
        if self._series.has_room(semconv.EVAL_CLASS_OUTCOMES, 4):
            found = tuple(
                self._series.count(
                    semconv.EVAL_CLASS_OUTCOMES, {semconv.EVAL_CLASS: name, semconv.EVAL_OUTCOME: outcome}
                )
                for outcome in ("tn", "fn", "fp", "tp")
            )
        self._classes[name] = found
        return found
