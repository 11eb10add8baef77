"""Each joined label as mergeable counts of live performance and as an event on the prediction's trace."""

from __future__ import annotations

import json
import math
import threading
from typing import TYPE_CHECKING, Final

from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel_ml import _guard, _instruments, semconv
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._records import Joined, State, is_correct
from otel_ml.ground_truth._scores import BOOLEAN_PAIRS

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.metrics import Histogram, Meter

MODELS: Final = 8
"""Models with counts of their own; labels of further ones are joined and stored, but not counted."""
CLASSES: Final = 20
"""Classes of one model with a name of their own."""
PAIRS: Final = 1900
"""Pairs of predicted and actual class over all models; the SDK merges attribute sets beyond 2,000 into one."""
SCORE_BINS: Final = 50
"""Uniform bins of the score: the AUC from them is within 0.0003 of the exact one on census data."""


class _ModelCounts:
    """The classes of one model seen so far; every pair of them is exported from the moment both are known."""

    def __init__(self, prediction: LoggedPrediction) -> None:
        self.attributes = {
            semconv.MODEL_NAME: prediction.model,
            semconv.MODEL_VERSION: prediction.version,
            semconv.MODEL_ROLE: prediction.role,
        }
        self.classes: set[str] = set()


class Evaluator:
    """Adds to ``ml.eval.*`` after the store has committed a join, and emits ``ml.label``."""

    def __init__(self, meter: Meter, logger: Logger) -> None:
        self._lock = threading.RLock()
        self._logger = logger
        self._models: dict[tuple[str, str, str], _ModelCounts] = {}
        self._pairs = 0
        self._outcomes, self._score_bins, self._labels, self._count, self._absolute, self._squared = (
            _instruments.create(meter, metric)
            for metric in (
                semconv.EVAL_OUTCOMES,
                semconv.EVAL_SCORE_BIN_COUNT,
                semconv.EVAL_LABELS,
                semconv.EVAL_PREDICTIONS,
                semconv.EVAL_ABSOLUTE_ERROR,
                semconv.EVAL_SQUARED_ERROR,
            )
        )
        self._lag: Histogram = _instruments.create(meter, semconv.EVAL_LABEL_LAG)

    def reset_after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock, and all series start again at 0."""
        self._lock = threading.RLock()
        self._models = {}
        self._pairs = 0

    @_guard.guarded("ground_truth.expect")
    def expect(self, prediction: LoggedPrediction) -> None:
        """Starts at 0 the series that this prediction's label will add to: Prometheus cannot see a first increase."""
        with self._lock:
            model = self._model(prediction)
            if model is not None and prediction.predicted is not None and prediction.task != "regression":
                self._class(model, prediction.predicted, prediction)

    @_guard.guarded("ground_truth.state")
    def count_state(self, state: State, prediction: LoggedPrediction | None) -> None:
        """Counts the state of a label; the model of a waiting one is not known."""
        with self._lock:
            model = None if prediction is None else self._model(prediction)
            attributes = {} if model is None else model.attributes
            self._labels.add(1, {**attributes, semconv.EVAL_LABEL_STATE: state})

    @_guard.guarded("ground_truth.join")
    def count_joined(self, joined: Joined) -> None:
        """Counts a labelled prediction and emits its event."""
        self.count_state("matched", joined.prediction)
        with self._lock:
            model = self._model(joined.prediction)
            if model is not None:
                self._count_joined(model, joined)
        _guard.call("ground_truth.event", self._emit, joined)

    def _count_joined(self, model: _ModelCounts, joined: Joined) -> None:
        prediction, label = joined
        self._lag.record(max(label.labeled_at - prediction.predicted_at, 0.0), model.attributes)
        if prediction.task == "regression":
            if prediction.value is not None and label.number is not None:
                error = prediction.value - label.number
                if not math.isfinite(error * error):
                    _guard.warn_once("ground_truth.error", "otel-ml: errors without a finite square are not counted")
                    return
                self._count.add(1, model.attributes)
                self._absolute.add(abs(error), model.attributes)
                self._squared.add(error * error, model.attributes)
            return
        actual = self._class(model, label.label, prediction)
        if prediction.predicted is not None:
            predicted = self._class(model, prediction.predicted, prediction)
            if predicted == actual and prediction.predicted != label.label:
                # both classes are beyond the bound: the pair must not look like a correct prediction
                predicted = semconv.UNSEEN
            self._outcomes.add(1, _pair(model, predicted, actual))
        if prediction.task == "binary" and prediction.score is not None:
            if 0 <= prediction.score <= 1:
                position = min(int(prediction.score * SCORE_BINS), SCORE_BINS - 1)
                self._score_bins.add(1, _score_bin(model, actual, position))
            else:
                _guard.warn_once("ground_truth.score", "otel-ml: scores outside 0..1 are not counted for the live AUC")

    def _model(self, prediction: LoggedPrediction) -> _ModelCounts | None:
        key = (prediction.model, prediction.version, prediction.role)
        known = self._models.get(key)
        if known is not None:
            return known
        if len(self._models) >= MODELS:
            _guard.warn_once(
                "ground_truth.models",
                f"otel-ml: labels of more than {MODELS} models in one process are not counted live",
            )
            return None
        known = self._models[key] = _ModelCounts(prediction)
        if prediction.task == "regression":
            for counter in (self._count, self._absolute, self._squared):
                counter.add(0, known.attributes)
        elif prediction.task == "binary" and prediction.positive is not None:
            pair = next((pair for pair in BOOLEAN_PAIRS if prediction.positive in pair), (prediction.positive,))
            for name in pair:
                self._class(known, name, prediction)
        for state in ("matched", "duplicate", "revised"):
            self._labels.add(0, {**known.attributes, semconv.EVAL_LABEL_STATE: state})
        return known

    def _class(self, model: _ModelCounts, name: str, prediction: LoggedPrediction) -> str:
        """Returns the name under which a class is counted; the series of a new one start at 0."""
        if name in model.classes:
            return name
        new_pairs = 2 * len(model.classes) + 1
        if len(model.classes) >= CLASSES or self._pairs + new_pairs > PAIRS:
            return semconv.OTHER
        self._pairs += new_pairs
        for other in model.classes:
            self._outcomes.add(0, _pair(model, name, other))
            self._outcomes.add(0, _pair(model, other, name))
        self._outcomes.add(0, _pair(model, name, name))
        model.classes.add(name)
        if prediction.task == "binary":
            for position in range(SCORE_BINS):
                self._score_bins.add(0, _score_bin(model, name, position))
        return name

    def _emit(self, joined: Joined) -> None:
        prediction, label = joined
        regression = prediction.task == "regression"
        attributes: dict[str, str | bool] = {
            semconv.MODEL_NAME: prediction.model,
            semconv.MODEL_VERSION: prediction.version,
            semconv.MODEL_ROLE: prediction.role,
            semconv.PREDICTION_ID: prediction.id,
            semconv.LABEL_VALUE: label.label,
        }
        correct = is_correct(prediction, label)
        if correct is not None:
            attributes[semconv.LABEL_CORRECT] = correct
        body = {
            "prediction": prediction.value if regression else prediction.predicted,
            "label": label.number if regression else label.label,
        }
        self._logger.emit(
            timestamp=int(label.labeled_at * 1e9),
            context=_trace_context(prediction),
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=json.dumps(body, ensure_ascii=False),
            attributes=attributes,
            event_name=semconv.LABEL_EVENT,
        )


def _trace_context(prediction: LoggedPrediction) -> Context:
    """Returns a context in which the prediction's span is current, so that the event belongs to it."""
    flags = TraceFlags(TraceFlags.SAMPLED if prediction.sampled else TraceFlags.DEFAULT)
    span = SpanContext(prediction.trace_id, prediction.span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(span), Context())


def _pair(model: _ModelCounts, predicted: str, actual: str) -> dict[str, str]:
    return {**model.attributes, semconv.EVAL_PREDICTED: predicted, semconv.EVAL_ACTUAL: actual}


def _score_bin(model: _ModelCounts, actual: str, position: int) -> dict[str, str]:
    return {**model.attributes, semconv.EVAL_ACTUAL: actual, semconv.EVAL_BIN: f"{position:02d}"}
