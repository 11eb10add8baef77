"""Probabilities of labelled predictions: in bins by class, and the sums of what is computed from each prediction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from otel_ml import _guard, semconv
from otel_ml._figures import bins, single
from otel_ml.ground_truth.live._series import Bins, LabelSeries, SumBins


class ScoreCounts:
    """Scores of a binary model; probabilities of the declared classes of a multiclass or a multilabel one."""

    def __init__(self, series: LabelSeries) -> None:
        self._series = series
        self._classes: dict[str, _ClassBins | None] = {}
        """None for a class without room for its bins."""
        self._predictions = series.count(semconv.EVAL_PREDICTIONS)
        self._brier_score = MeanSums(series, semconv.EVAL_BRIER_SCORE, semconv.EVAL_BRIER_SCORE_SQUARES)
        self._log_loss = MeanSums(series, semconv.EVAL_LOG_LOSS, semconv.EVAL_LOG_LOSS_SQUARES)

    def expect(self, model: str, classes: Sequence[str]) -> None:
        """Starts at 0 the bins of the classes that have some: the positive one of a binary model, else all."""
        self._with_bins(model, classes)

    def add_binary(self, positive: str, score: float, *, is_actual: bool) -> None:
        """Counts the probability of the positive class."""
        if not single.is_probability(score):
            _guard.warn_once(
                "ground_truth.score",
                "otel-ml: scores outside 0..1 are not counted for the live AUC, calibration, Brier score and log loss; "
                "give probabilities",
            )
            return
        self._add_means(
            single.brier_score(score, is_actual=is_actual),
            single.log_loss(score, is_actual=is_actual),
        )
        self._make([positive])
        found = self._classes[positive]
        if found is not None:
            found.add(score, is_actual=is_actual)

    def add_multiclass(self, model: str, classes: Sequence[str], probabilities: Sequence[float], actual: str) -> None:
        """Counts the probability of each class, of which one is true."""
        if actual not in classes:
            return
        if len(probabilities) != len(classes) or not single.is_distribution(probabilities):
            _warn_of_probabilities(model, "are not one for each declared class, in 0..1 and with the sum 1")
            return
        place = classes.index(actual)
        self._add_means(
            single.multiclass_brier_score(probabilities, place),
            single.multiclass_log_loss(probabilities, place),
        )
        for position, found in self._with_bins(model, classes):
            found.add(probabilities[position], is_actual=position == place)

    def add_multilabel(
        self, model: str, classes: Sequence[str], probabilities: Sequence[float], actual: Collection[str]
    ) -> None:
        """Counts the probability of each class, of which any number is true."""
        if len(probabilities) != len(classes) or not all(map(single.is_probability, probabilities)):
            _warn_of_probabilities(model, "are not one for each declared class, in 0..1")
            return
        places = {position for position, name in enumerate(classes) if name in actual}
        self._add_means(
            single.multilabel_brier_score(probabilities, places),
            single.multilabel_log_loss(probabilities, places),
        )
        for position, found in self._with_bins(model, classes):
            found.add(probabilities[position], is_actual=position in places)

    def _add_means(self, brier_score: float, log_loss: float) -> None:
        self._predictions.add()
        self._brier_score.add(brier_score)
        self._log_loss.add(log_loss)

    def _with_bins(self, model: str, classes: Sequence[str]) -> Iterable[tuple[int, _ClassBins]]:
        """Returns the bins of each class with its position; none of a model with too many classes."""
        if len(classes) > bins.BINNED_CLASSES:
            _guard.warn_few(
                "ground_truth.class_bins",
                model,
                f"otel-ml: model {model!r} has {len(classes)} classes: its live AUC and calibration need bins of each "
                f"class and are only counted for up to {bins.BINNED_CLASSES}; compute_metrics has them",
                "otel-ml: further models have too many classes for their live AUC and calibration",
            )
            return ()
        self._make(classes)
        found = [self._classes[name] for name in classes]
        return [(position, each) for position, each in enumerate(found) if each is not None]

    def _make(self, names: Iterable[str]) -> None:
        """Starts the bins of new classes: of all of them or of none, since a mean over some classes would mislead."""
        new = [name for name in names if name not in self._classes]
        if not new:
            return
        has_room = len(self._classes) + len(new) <= bins.BINNED_CLASSES and self._series.has_room(
            semconv.EVAL_SCORE_BIN_COUNT, 2 * bins.SCORE_BINS * len(new)
        )
        for name in new:
            self._classes[name] = _ClassBins(self._series, name) if has_room else None


class MeanSums:
    """Sum and sum of squares of a figure of single predictions: its mean, and the interval of the mean."""

    __slots__ = ("_squares", "_sum")

    def __init__(self, series: LabelSeries, metric: semconv.Metric, squares: semconv.Metric) -> None:
        self._sum = series.sum(metric)
        self._squares = series.sum(squares)

    def add(self, value: float) -> None:
        self._sum.add(value)
        self._squares.add(value * value)


class _ClassBins:
    """Bins of the probability of one class, and the sum of the probabilities in each."""

    __slots__ = ("_actual", "_other", "_sums")

    def __init__(self, series: LabelSeries, name: str) -> None:
        about, labels = {semconv.EVAL_CLASS: name}, (semconv.EVAL_BIN, bins.SCORE_LABELS)
        metric, flag = semconv.EVAL_SCORE_BIN_COUNT, semconv.EVAL_IS_ACTUAL
        self._actual = series.bins(metric, labels, {**about, flag: "true"}, Bins)
        self._other = series.bins(metric, labels, {**about, flag: "false"}, Bins)
        self._sums = series.bins(semconv.EVAL_SCORE_SUM, labels, about, SumBins)

    def add(self, score: float, *, is_actual: bool) -> None:
        position = bins.score_bin(score)
        (self._actual if is_actual else self._other).add(position)
        self._sums.add(position, max(score, 0.0))


def _warn_of_probabilities(model: str, problem: str) -> None:
    _guard.warn_few(
        "ground_truth.probabilities",
        model,
        f"otel-ml: model {model!r}: probabilities that {problem} are not counted for its live AUC, calibration, Brier "
        "score and log loss",
        "otel-ml: further models have probabilities that are not counted",
    )
