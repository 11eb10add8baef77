"""The counts of one model: what its task counts of a label."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from otel_ml import semconv
from otel_ml._logged_prediction import LoggedModel, LoggedPrediction
from otel_ml._observed_series import ObservedBuckets, ObservedSeries
from otel_ml._values.equality import find_pair, find_positive, respell
from otel_ml._values.labels import read_gains, read_items
from otel_ml.ground_truth._records import Pair, Settled, StoredLabel, declared_class, is_correct
from otel_ml.ground_truth._vocabulary import VocabularyCheck
from otel_ml.ground_truth.live._errors import ErrorCounts, LabelBinCounts, RankingCounts
from otel_ml.ground_truth.live._estimated import EstimateCounts
from otel_ml.ground_truth.live._outcomes import CLASSES, OutcomeCounts, SetCounts
from otel_ml.ground_truth.live._pairs import PairCounts
from otel_ml.ground_truth.live._scores import ScoreCounts
from otel_ml.ground_truth.live._segments import SegmentCounts
from otel_ml.ground_truth.live._series import Count, LabelSeries
from otel_ml.semconv import Metric

_T = TypeVar("_T")
CLASS_TASKS: Final = frozenset({"binary", "multiclass", "other"})
"""Tasks whose labels are one class."""


class Expected(NamedTuple):
    """What is known of stored predictions of one model before their labels."""

    model: LoggedModel
    predicted: Collection[str]
    """Their classes; empty for a task without classes."""
    has_scores: bool
    has_probabilities: bool
    segments: Collection[tuple[str, str]] = ()
    """Their segment columns and segments."""


class TaskCounts:
    """Counts of one model. What a task counts starts at 0 with its first prediction.

    Args:
        series: Where the series are kept.
        is_known: Whether they are of one model, not of those that are counted together.
    """

    def __init__(self, series: LabelSeries, *, is_known: bool) -> None:
        self.series = series
        self.is_known = is_known
        self.in_use = True
        """Whether anything was counted since the last collection."""
        self._check = VocabularyCheck() if is_known else None
        """None once it is done."""
        self.lags = ObservedBuckets(semconv.EVAL_LABEL_LAG.buckets or ())
        """Seconds from prediction to label."""
        self.lag_series = ObservedSeries(series.attributes)
        self._groups: dict[Callable[..., Any], Any] = {}
        self._counts: dict[tuple[str, ...], Count] = {}
        for state in ("matched", "duplicate", "revised") if is_known else ():
            self.count_state(state, None, 0)

    def count_state(self, state: str, reason: str | None, times: int = 1) -> None:
        """Counts labels by what became of them."""
        more = {semconv.EVAL_LABEL_STATE: state}
        if reason is not None:
            more[semconv.EVAL_LABEL_REASON] = reason
        self._add(semconv.EVAL_LABELS, more, times)

    def count_refused(self, reason: str, times: int) -> None:
        """Counts predictions that were not stored."""
        self._add(semconv.TRUTH_REFUSED, {semconv.REFUSAL_REASON: reason}, times)

    def expect(self, expected: Expected) -> None:
        """Starts at 0 the series that the labels of these predictions will add to."""
        task, classes = expected.model.task, expected.model.classes or ()
        if task in CLASS_TASKS:
            self._expect_classes(expected, classes)
        elif task == "multilabel":
            self._group(SetCounts).expect(classes)
        elif task == "regression":
            self._group(ErrorCounts)
        elif task == "ranking":
            self._group(RankingCounts)
        if expected.has_probabilities and classes and task in {"multiclass", "multilabel"}:
            self._group(ScoreCounts).expect(expected.model.model, classes)
        if expected.model.label_bins is not None:
            self._group(LabelBinCounts).expect(expected.model.label_bins)
        if expected.segments:
            positive = _positive(task, expected.model.positive, [*classes, *expected.predicted])
            self._group(SegmentCounts).expect(expected.segments, task, has_positive=positive is not None)
        if expected.model.calibration is not None:
            self._group(EstimateCounts).expect(expected.model.calibration)

    def count_first(self, settled: Settled) -> None:
        """Counts a prediction with its first label."""
        prediction, label = settled.prediction, settled.label
        task = prediction.task
        if task == "regression":
            if prediction.value is not None and label.number is not None:
                self._group(ErrorCounts).add(prediction.value, label.number)
        elif task == "ranking":
            if prediction.predicted is not None:
                self._group(RankingCounts).add(_items(prediction.predicted), _gains(label.label))
        elif task == "multilabel":
            self._count_set(prediction, _items(label.label))
        else:
            self._count_class(prediction, label)
        label_bins, calibration = settled.reference
        if label_bins is not None:
            self._group(LabelBinCounts).add(label_bins, label.label, label.number)
        if calibration is not None:
            self._group(EstimateCounts).add(calibration, prediction)
        if prediction.segments:
            self._count_segments(prediction.segments, prediction, label)

    def _expect_classes(self, expected: Expected, classes: Sequence[str]) -> None:
        model = expected.model
        names = [*classes] if len(classes) <= CLASSES else []
        names += [declared_class(name, model.task, classes) or name if classes else name for name in expected.predicted]
        positive = _positive(model.task, model.positive, names)
        if positive is not None:
            names += [positive, *(respell(each, positive) for each in find_pair([positive]) or ())]
            if expected.has_scores:
                self._group(ScoreCounts).expect(model.model, [positive])
        self._group(OutcomeCounts).expect(names)

    def count_pair(self, pair: Pair) -> None:
        """Counts a prediction beside that of a baseline under the same id."""
        if self.is_known:
            self._group(PairCounts).add(pair)

    def _count_class(self, prediction: LoggedPrediction, label: StoredLabel) -> None:
        actual, predicted = label.label, prediction.predicted
        if predicted is not None:
            self._group(OutcomeCounts).add(predicted, actual)
            if self._check is not None:
                self._check.add(prediction, predicted, actual)
                self._check = None if self._check.is_done else self._check
        if prediction.task == "binary" and prediction.score is not None:
            positive = _positive("binary", prediction.positive, [actual] if predicted is None else [predicted, actual])
            if positive is not None:
                self._group(ScoreCounts).add_binary(positive, prediction.score, is_actual=actual == positive)
        elif prediction.task == "multiclass" and prediction.probabilities is not None and prediction.classes:
            scores = self._group(ScoreCounts)
            scores.add_multiclass(prediction.model, prediction.classes, prediction.probabilities, actual)

    def _count_set(self, prediction: LoggedPrediction, actual: Collection[str]) -> None:
        classes = prediction.classes or ()
        if prediction.predicted is not None:
            self._group(SetCounts).add(_items(prediction.predicted), actual, classes)
        if prediction.probabilities is not None and classes:
            self._group(ScoreCounts).add_multilabel(prediction.model, classes, prediction.probabilities, actual)

    def _count_segments(self, segments: Mapping[str, str], prediction: LoggedPrediction, label: StoredLabel) -> None:
        counts, task = self._group(SegmentCounts), prediction.task
        if task == "regression":
            if prediction.value is not None and label.number is not None:
                counts.add_error(segments, prediction.value - label.number)
        elif task != "ranking" and prediction.predicted is not None:
            counts.add_outcome(segments, _outcome(prediction, label))

    def _group(self, kind: Callable[[LabelSeries], _T]) -> _T:
        """Returns the counts of a kind, which start at 0 when they are first needed."""
        found = self._groups.get(kind)
        if found is None:
            found = self._groups[kind] = kind(self.series)
        made: _T = found
        return made

    def _add(self, metric: Metric, more: dict[str, str], times: int) -> None:
        key = (metric.name, *more.values())
        found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = self.series.count(metric, more)
        found.add(times)


def _positive(task: str, declared: str | None, names: Collection[str]) -> str | None:
    """Returns the positive class of a binary model, if it is known."""
    return declared or find_positive(names) if task == "binary" else None


def _outcome(prediction: LoggedPrediction, label: StoredLabel) -> str:
    """Returns the outcome by which a prediction of a segment is counted."""
    predicted, actual = prediction.predicted or "", label.label
    positive = _positive(prediction.task, prediction.positive, [predicted, actual])
    if positive is None:
        return "correct" if is_correct(prediction, label) else "wrong"
    if actual == positive:
        return "tp" if predicted == positive else "fn"
    return "fp" if predicted == positive else "tn"


def _items(text: str) -> tuple[str, ...]:
    """Returns the classes of a set or the items of a ranking; any other text is one of them."""
    found = read_items(text)
    return (text,) if found is None else found


def _gains(text: str) -> dict[str, float]:
    """Returns the gains of the relevant items; a text without gains is the only relevant item."""
    found = read_gains(text)
    return {text: 1.0} if found is None else found
