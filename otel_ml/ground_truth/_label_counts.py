"""Live performance as counts that can be merged: those of all stores of a process that count on one meter."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from otel_ml import _guard, _instruments, _process, semconv
from otel_ml._equality import BOOLEAN_PAIRS
from otel_ml._observed_series import Observed, ObservedSeries
from otel_ml._values import NAMES_SHOWN, few_names
from otel_ml.ground_truth._vocabulary import VocabularyCheck

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter

    from otel_ml._logged_prediction import LoggedPrediction
    from otel_ml.ground_truth._records import Settled

CLASSES: Final = 20
"""Classes of one model with a name of their own."""
SCORE_BINS: Final = 50
"""Uniform bins of the score: the AUC from them is within 0.0003 of the exact one on census data."""
GUEST_MODELS: Final = 256
"""Models that have counts of their own on a meter of the SDK, which never forgets one."""
GUEST_SERIES: Final = 1900
"""Series of one instrument on such a meter: the SDK merges attribute sets beyond 2,000 into one."""
_COUNTERS: Final = (
    semconv.EVAL_OUTCOMES,
    semconv.EVAL_SCORE_BIN_COUNT,
    semconv.EVAL_LABELS,
    semconv.EVAL_PREDICTIONS,
    semconv.EVAL_ABSOLUTE_ERROR,
    semconv.EVAL_SQUARED_ERROR,
    semconv.TRUTH_REFUSED,
)


class Identity(NamedTuple):
    """A model as its telemetry names it; without a name it is not known."""

    name: str = ""
    version: str = ""
    role: str = ""

    def attributes(self) -> dict[str, str]:
        names = (semconv.MODEL_NAME, semconv.MODEL_VERSION, semconv.MODEL_ROLE)
        return dict(zip(names, self, strict=True)) if self != _UNKNOWN else {}


_UNKNOWN: Final = Identity()
_OTHER: Final = Identity(semconv.OTHER, semconv.OTHER, semconv.OTHER)
_SHARED: Final = frozenset({_UNKNOWN, _OTHER})


class OwnMeter(Protocol):
    """A meter of own mode: it exports the counts of a source, which may forget series."""

    max_models: int

    def observe(self, source: LabelCounts) -> None:
        """Exports the source at every collection from now on."""


class _Model:
    """The classes of one model seen so far, and in own mode its counts."""

    def __init__(self, identity: Identity) -> None:
        self.attributes = identity.attributes()
        self.classes: set[str] = set()
        self.check = None if identity in _SHARED else VocabularyCheck()
        """None once it is done."""
        self.has_bins = True
        self.in_use = True
        """Whether anything was counted since the last collection."""
        self.counts: dict[tuple[str, ...], list[Any]] = {}
        """Metric, series and sum of each series."""


class LabelCounts:
    """Counts by model. Thread-safe; the meter decides who keeps the sums.

    A meter of own mode exports the sums that are kept here. There a model without labels since the last export makes
    room when others need it: it is forgotten, and starts at 0 if it comes back. A model in use keeps its counts; one
    that finds all places in use is counted as `semconv.OTHER`. Other meters keep the sums and never forget a model.
    """

    def __init__(self, meter: Meter) -> None:
        self._lock = threading.RLock()
        self._models: dict[Identity, _Model] = {}
        self._folded: dict[Identity, None] = {}
        self._series = {semconv.EVAL_OUTCOMES.name: 0, semconv.EVAL_SCORE_BIN_COUNT.name: 0}
        """Series of the metrics that have many, on a meter that never forgets one."""
        self._lag: Histogram = _instruments.create(meter, semconv.EVAL_LABEL_LAG)
        self._limit, self._instruments = GUEST_MODELS, dict[str, Any]()
        own = cast("OwnMeter", meter) if getattr(meter, "observe", None) is not None else None
        if own is not None:
            self._limit = own.max_models
            own.observe(self)
        else:
            self._instruments = {metric.name: _instruments.create(meter, metric) for metric in _COUNTERS}
        _process.in_child("ground_truth.counts.fork", self._reset_after_fork)

    def expect(self, prediction: LoggedPrediction) -> None:
        """Starts at 0 the series that this prediction's label will add to: Prometheus cannot see a first increase."""
        with self._lock:
            model = self._model(prediction)
            if prediction.predicted is not None and prediction.task != "regression":
                self._class(model, prediction.predicted, prediction)

    def count_unsettled(self, state: str, reason: str | None, times: int = 1) -> None:
        """Counts labels without a prediction: their model is not known."""
        more = {semconv.EVAL_LABEL_STATE: state}
        if reason is not None:
            more[semconv.EVAL_LABEL_REASON] = reason
        with self._lock:
            self._add(self._model(None), semconv.EVAL_LABELS, times, more)

    def count_refused(self, prediction: LoggedPrediction | None, reason: str, times: int = 1) -> None:
        """Counts predictions of one model that were not stored."""
        with self._lock:
            self._add(self._model(prediction), semconv.TRUTH_REFUSED, times, {semconv.REFUSAL_REASON: reason})

    def count_settled(self, settled: Settled) -> None:
        """Counts what a label has done to a prediction: the state, and of a first label lag and outcome."""
        prediction, label = settled.prediction, settled.label
        with self._lock:
            model = self._model(prediction)
            more: dict[str, str] = {semconv.EVAL_LABEL_STATE: settled.state}
            if settled.reason is not None:
                more[semconv.EVAL_LABEL_REASON] = settled.reason
            self._add(model, semconv.EVAL_LABELS, 1, more)
            if settled.state != "matched":
                return
            self._lag.record(max(label.labeled_at - prediction.predicted_at, 0.0), model.attributes)
            if prediction.task == "regression":
                self._count_error(model, prediction.value, label.number)
            else:
                self._count_outcome(model, prediction, label.label)

    def _count_error(self, model: _Model, value: float | None, actual: float | None) -> None:
        if value is None or actual is None:
            return
        error = value - actual
        if not math.isfinite(error * error):
            _guard.warn_once(
                "ground_truth.error",
                "otel-ml: the error of a regression is not counted: it is too large to be squared",
            )
            return
        self._add(model, semconv.EVAL_PREDICTIONS, 1, {})
        self._add(model, semconv.EVAL_ABSOLUTE_ERROR, abs(error), {})
        self._add(model, semconv.EVAL_SQUARED_ERROR, error * error, {})

    def _count_outcome(self, model: _Model, prediction: LoggedPrediction, label: str) -> None:
        """Counts the predicted and the actual class, and the score of a binary task."""
        actual = self._class(model, label, prediction)
        if prediction.predicted is not None:
            predicted = self._class(model, prediction.predicted, prediction)
            if predicted == actual and prediction.predicted != label:
                # both classes are beyond the bound: the pair must not look like a correct prediction
                predicted = semconv.UNSEEN
            self._add(model, semconv.EVAL_OUTCOMES, 1, _pair(predicted, actual))
            if model.check is not None:
                model.check.add(prediction, prediction.predicted, label)
                if model.check.is_done:
                    model.check = None
        if prediction.task != "binary" or prediction.score is None:
            return
        if not 0 <= prediction.score <= 1:
            _guard.warn_once(
                "ground_truth.score",
                "otel-ml: scores outside 0..1 are not counted for the live AUC; give probabilities",
            )
        elif model.has_bins:
            position = min(int(prediction.score * SCORE_BINS), SCORE_BINS - 1)
            self._add(model, semconv.EVAL_SCORE_BIN_COUNT, 1, _score_bin(actual, position))

    def read(self) -> Iterator[tuple[semconv.Metric, Iterable[Observed]]]:
        """Yields the values of each metric now."""
        for metric in _COUNTERS:
            with self._lock:
                observed = [
                    (series, total)
                    for model in self._models.values()
                    for own, series, total in model.counts.values()
                    if own is metric
                ]
            yield metric, observed

    def release(self) -> None:
        """Forgets the models for which there is no room, of those that were exported and not used since."""
        with self._lock:
            too_many = max(0, self._named() - self._limit)
            unused = [one for one, model in self._models.items() if not model.in_use and one not in _SHARED]
            for identity in unused[:too_many]:
                del self._models[identity]
            for model in self._models.values():
                model.in_use = False

    def _model(self, prediction: LoggedPrediction | None) -> _Model:
        """Returns the counts of a prediction's model; the one that was not used for longest comes first."""
        identity = _UNKNOWN if prediction is None else Identity(prediction.model, prediction.version, prediction.role)
        known = self._models.pop(identity, None)
        if known is None and identity != _UNKNOWN and self._is_full():
            self._fold(identity)
            identity, prediction = _OTHER, None
            known = self._models.pop(identity, None)
        if known is None:
            known = _Model(identity)
            self._models[identity] = known
            if prediction is not None:
                self._start(known, prediction)
        self._models[identity] = known
        known.in_use = True
        return known

    def _start(self, model: _Model, prediction: LoggedPrediction) -> None:
        """Starts at 0 what is known of a model in advance."""
        if prediction.task == "regression":
            for metric in (semconv.EVAL_PREDICTIONS, semconv.EVAL_ABSOLUTE_ERROR, semconv.EVAL_SQUARED_ERROR):
                self._add(model, metric, 0, {})
        elif prediction.task == "binary" and prediction.positive is not None:
            pair = next((pair for pair in BOOLEAN_PAIRS if prediction.positive in pair), (prediction.positive,))
            for name in pair:
                self._class(model, name, prediction)
        for state in ("matched", "duplicate", "revised"):
            self._add(model, semconv.EVAL_LABELS, 0, {semconv.EVAL_LABEL_STATE: state})

    def _class(self, model: _Model, name: str, prediction: LoggedPrediction) -> str:
        """Returns the name under which a class is counted; the series of a new one start at 0."""
        if name in model.classes:
            return name
        new_pairs = 2 * len(model.classes) + 1
        if len(model.classes) >= CLASSES or not self._has_room(semconv.EVAL_OUTCOMES, new_pairs):
            return semconv.OTHER
        for other in model.classes:
            self._add(model, semconv.EVAL_OUTCOMES, 0, _pair(name, other))
            self._add(model, semconv.EVAL_OUTCOMES, 0, _pair(other, name))
        self._add(model, semconv.EVAL_OUTCOMES, 0, _pair(name, name))
        model.classes.add(name)
        if prediction.task == "binary" and model.has_bins:
            model.has_bins = self._has_room(semconv.EVAL_SCORE_BIN_COUNT, SCORE_BINS)
            for position in range(SCORE_BINS * model.has_bins):
                self._add(model, semconv.EVAL_SCORE_BIN_COUNT, 0, _score_bin(name, position))
        return name

    def _add(self, model: _Model, metric: semconv.Metric, amount: float, more: dict[str, str]) -> None:
        if self._instruments:
            self._instruments[metric.name].add(amount, {**model.attributes, **more})
            return
        key = (metric.name, *more.values())
        series = model.counts.get(key)
        if series is None:
            series = model.counts[key] = [metric, ObservedSeries({**model.attributes, **more}), 0]
        series[2] += amount

    def _has_room(self, metric: semconv.Metric, new: int) -> bool:
        """Takes room for new series of a metric; a meter that forgets needs no other bound than that on models."""
        if not self._instruments:
            return True
        if self._series[metric.name] + new > GUEST_SERIES:
            _guard.warn_once(
                f"ground_truth.series.{metric.name}",
                f"otel-ml: {metric.name} has no room for further models or classes: the SDK of this process keeps "
                f"2,000 series of a metric and never forgets one; with otel_ml.configure() there is no such limit",
            )
            return False
        self._series[metric.name] += new
        return True

    def _named(self) -> int:
        return len(self._models.keys() - _SHARED)

    def _is_full(self) -> bool:
        """Whether as many models are in use as may be. Others wait for the next collection, within a bound."""
        named = self._named()
        if named < self._limit or self._instruments:
            return named >= self._limit
        used = sum(model.in_use for identity, model in self._models.items() if identity not in _SHARED)
        return used >= self._limit or named >= 2 * self._limit

    def _fold(self, identity: Identity) -> None:
        if len(self._folded) > NAMES_SHOWN or identity in self._folded:
            return
        self._folded[identity] = None
        names = few_names([" ".join(filter(None, one)) for one in self._folded])
        advice = (
            "the SDK of this process never forgets one"
            if self._instruments
            else f"raise max_models ({semconv.ENV_MAX_MODELS})"
        )
        _guard.warn_once(
            f"ground_truth.models.{len(self._folded)}",
            f"otel-ml: more than {self._limit} models have labels at once, so the live performance of {names} "
            f"is counted as {semconv.OTHER}: {advice}",
        )

    def _reset_after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock, and all series start again at 0."""
        self._lock = threading.RLock()
        self._models = {}
        self._folded = {}
        self._series = dict.fromkeys(self._series, 0)


_counts: weakref.WeakKeyDictionary[Meter, LabelCounts] = weakref.WeakKeyDictionary()
_counts_lock = threading.Lock()


def counts_on(meter: Meter) -> LabelCounts:
    """Returns the counts on a meter: several stores of a process add to the same ones."""
    with _counts_lock:
        found = _counts.get(meter)
        if found is None:
            found = _counts[meter] = LabelCounts(meter)
        return found


def _pair(predicted: str, actual: str) -> dict[str, str]:
    return {semconv.EVAL_PREDICTED: predicted, semconv.EVAL_ACTUAL: actual}


def _score_bin(actual: str, position: int) -> dict[str, str]:
    return {semconv.EVAL_ACTUAL: actual, semconv.EVAL_BIN: f"{position:02d}"}
