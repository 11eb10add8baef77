"""What was expected of labelled predictions before their labels came, to be compared with what the labels say."""

from __future__ import annotations

from otel_ml import semconv
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth.live._series import Count, LabelSeries, Sum


class EstimateCounts:
    """The same sums that a service exports of all its predictions, of those with a label."""

    def __init__(self, series: LabelSeries) -> None:
        self._series = series
        self._classes: dict[str, _ExpectedSums | None] = {}
        """None for a class without room."""

    def expect(self, calibration: Calibration) -> None:
        """Starts at 0 the sums of the classes."""
        for name in calibration.classes:
            self._sums(name, is_averaged=not calibration.is_binary or name == calibration.classes[-1])

    def add(self, calibration: Calibration, prediction: LoggedPrediction) -> None:
        """Counts one prediction; one without a class, or without its probabilities, is left out."""
        place = None if prediction.predicted is None else calibration.place(prediction.predicted)
        chances = calibration.chances(prediction.score, prediction.probabilities)
        if place is None or chances is None:
            return
        self.expect(calibration)
        for position, (name, chance) in enumerate(zip(calibration.classes, chances, strict=True)):
            found = self._classes[name]
            if found is not None:
                found.add(chance, is_predicted=position == place)

    def _sums(self, name: str, *, is_averaged: bool) -> None:
        if name not in self._classes:
            has_room = self._series.has_room(semconv.EVAL_ESTIMATE_PREDICTIONS, 1)
            self._classes[name] = _ExpectedSums(self._series, name, is_averaged=is_averaged) if has_room else None


class _ExpectedSums:
    """The sums of one class; those that a negative class misses are of no figure."""

    __slots__ = ("_correct", "_missed", "_predictions")

    def __init__(self, series: LabelSeries, name: str, *, is_averaged: bool) -> None:
        about = {semconv.PREDICTION_CLASS: name}

        def pair(metric: semconv.Metric, variance: semconv.Metric) -> tuple[Sum, Sum]:
            return series.sum(metric, about), series.sum(variance, about)

        self._predictions: Count = series.count(semconv.EVAL_ESTIMATE_PREDICTIONS, about)
        self._correct = pair(semconv.EVAL_ESTIMATE_CORRECT, semconv.EVAL_ESTIMATE_CORRECT_VARIANCE)
        self._missed: tuple[Sum, Sum] | None = None
        if is_averaged:
            self._missed = pair(semconv.EVAL_ESTIMATE_MISSED, semconv.EVAL_ESTIMATE_MISSED_VARIANCE)

    def add(self, chance: float, *, is_predicted: bool) -> None:
        """Counts one prediction.

        Args:
            chance: How likely the class is the true one.
            is_predicted: Whether it is the predicted one.
        """
        if is_predicted:
            self._predictions.add()
        sums = self._correct if is_predicted else self._missed
        if sums is not None:
            sums[0].add(chance)
            sums[1].add(chance * (1 - chance))
