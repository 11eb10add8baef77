"""Live performance as counts that can be merged: those of all stores of a process that count on one meter."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from opentelemetry.metrics import CallbackOptions, Observation

from otel_ml import _guard, _instruments, _process, semconv
from otel_ml._observed_series import Observed, ObservedHistogram
from otel_ml._values import NAMES_SHOWN, few_names
from otel_ml.ground_truth.live._series import LabelSeries
from otel_ml.ground_truth.live._task_counts import Expected, TaskCounts

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter

    from otel_ml._logged_prediction import LoggedModel, LoggedPrediction
    from otel_ml.ground_truth._records import Pair, Settled

GUEST_MODELS: Final = 256
"""Models that have counts of their own on a meter of the SDK, which never forgets one."""
GUEST_SERIES: Final = 1900
"""Series of one instrument on such a meter: the SDK merges attribute sets beyond 2,000 into one."""
_STEP: Final = 500
"""Labels that are counted at once: a collection waits for them."""
_COUNTERS: Final = (
    semconv.EVAL_OUTCOMES,
    semconv.EVAL_CLASS_OUTCOMES,
    semconv.EVAL_SCORE_BIN_COUNT,
    semconv.EVAL_SCORE_SUM,
    semconv.EVAL_LABELS,
    semconv.EVAL_PREDICTIONS,
    semconv.EVAL_ABSOLUTE_ERROR,
    semconv.EVAL_SQUARED_ERROR,
    semconv.EVAL_SQUARED_ERROR_SQUARES,
    semconv.EVAL_ERROR_BIN,
    semconv.EVAL_BRIER_SCORE,
    semconv.EVAL_BRIER_SCORE_SQUARES,
    semconv.EVAL_LOG_LOSS,
    semconv.EVAL_LOG_LOSS_SQUARES,
    semconv.EVAL_EXACT_MATCHES,
    semconv.EVAL_NDCG,
    semconv.EVAL_NDCG_SQUARES,
    semconv.EVAL_RECIPROCAL_RANK,
    semconv.EVAL_RECIPROCAL_RANK_SQUARES,
    semconv.EVAL_HITS,
    semconv.EVAL_LABEL_BIN,
    semconv.EVAL_SEGMENT_OUTCOMES,
    semconv.EVAL_SEGMENT_PREDICTIONS,
    semconv.EVAL_SEGMENT_ABSOLUTE_ERROR,
    semconv.EVAL_SEGMENT_SQUARED_ERROR,
    semconv.EVAL_ESTIMATE_PREDICTIONS,
    semconv.EVAL_ESTIMATE_CORRECT,
    semconv.EVAL_ESTIMATE_CORRECT_VARIANCE,
    semconv.EVAL_ESTIMATE_MISSED,
    semconv.EVAL_ESTIMATE_MISSED_VARIANCE,
    semconv.PAIR_OUTCOMES,
    semconv.PAIR_PREDICTIONS,
    semconv.PAIR_ABSOLUTE_ERROR,
    semconv.PAIR_ERROR_DIFFERENCE,
    semconv.PAIR_ERROR_DIFFERENCE_SQUARES,
    semconv.PAIR_PREDICTION_DIFFERENCE,
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


class LabelCounts:
    """Counts by model. Thread-safe; the sums are kept here, and read when they are exported.

    On a meter of own mode a model without labels since the last export makes room when others need it: it is
    forgotten, and starts at 0 if it comes back. A model in use keeps its counts; one that finds all places in use is
    counted as `semconv.OTHER`. Other meters read the sums through observable counters and never forget a model.
    """

    def __init__(self, meter: Meter) -> None:
        self._lock = threading.RLock()
        self._models: dict[Identity, TaskCounts] = {}
        self._folded: dict[Identity, None] = {}
        self._taken: dict[str, int] = {}
        """Series of the metrics that have many, on a meter that never forgets one."""
        self._lag: Histogram | None = None
        """None where the lags are kept here too."""
        own = cast("OwnMeter", meter) if getattr(meter, "observe", None) is not None else None
        self._forgets = own is not None
        self._limit = GUEST_MODELS if own is None else own.max_models
        if own is not None:
            own.observe(self)
        else:
            self._lag = _instruments.create(meter, semconv.EVAL_LABEL_LAG)
            for metric in _COUNTERS:
                _instruments.create(meter, metric, self._callback(metric))
        _process.in_child("ground_truth.counts.fork", self._reset_after_fork)

    def expect(self, expected: Expected) -> None:
        """Starts at 0 the series that the labels of these predictions will add to."""
        with self._lock:
            found = self._model(_identity(expected.model))
            if found.is_known:
                found.expect(expected)

    def count_unsettled(self, state: str, reason: str | None, times: int = 1) -> None:
        """Counts labels without a prediction: their model is not known."""
        with self._lock:
            self._model(_UNKNOWN).count_state(state, reason, times)

    def count_refused(self, prediction: LoggedPrediction | None, reason: str, times: int = 1) -> None:
        """Counts predictions of one model that were not stored."""
        with self._lock:
            self._model(_identity(prediction)).count_refused(reason, times)

    def count_settled(self, settled: Iterable[Settled]) -> None:
        """Counts what labels have done to predictions: the states, and what first labels add."""
        groups: dict[tuple[Identity, str, str | None], list[Settled]] = {}
        for one in settled:
            groups.setdefault((_identity(one.prediction), one.state, one.reason), []).append(one)
        for (identity, state, reason), group in groups.items():
            for start in range(0, len(group), _STEP):
                step = group[start : start + _STEP]
                with self._lock:
                    model = self._model(identity)
                    model.count_state(state, reason, len(step))
                    if state == "matched":
                        self._count_first(model, step)

    def _count_first(self, model: TaskCounts, settled: Sequence[Settled]) -> None:
        lags = [max(one.label.labeled_at - one.prediction.predicted_at, 0.0) for one in settled]
        if self._lag is None:
            model.lags.add(lags)
        else:
            for lag in lags:
                self._lag.record(lag, model.series.attributes)
        for one in settled:
            _guard.call_two("ground_truth.join", TaskCounts.count_first, model, one)

    def count_pairs(self, pairs: Sequence[Pair]) -> None:
        """Counts predictions beside those of another version under the same id."""
        for start in range(0, len(pairs), _STEP):
            with self._lock:
                for pair in pairs[start : start + _STEP]:
                    _guard.call_two(
                        "ground_truth.pair",
                        TaskCounts.count_pair,
                        self._model(_identity(pair.challenger.prediction)),
                        pair,
                    )

    def read(self) -> Iterator[tuple[semconv.Metric, Iterable[Observed] | Iterable[ObservedHistogram]]]:
        """Yields the values of each metric now."""
        for metric in _COUNTERS:
            yield metric, self._observed(metric)
        with self._lock:
            lags = [(model.lag_series, model.lags.copy()) for model in self._models.values() if any(model.lags.counts)]
        yield semconv.EVAL_LABEL_LAG, lags

    def release(self) -> None:
        """Forgets the models for which there is no room, of those that were exported and not used since."""
        with self._lock:
            too_many = max(0, self._named() - self._limit)
            unused = [one for one, model in self._models.items() if not model.in_use and one not in _SHARED]
            for identity in unused[:too_many]:
                del self._models[identity]
            for model in self._models.values():
                model.in_use = False

    def _observed(self, metric: semconv.Metric) -> list[Observed]:
        with self._lock:
            return [observed for model in self._models.values() for observed in model.series.read(metric)]

    def _callback(self, metric: semconv.Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Returns the callback of an observable counter."""

        def observe() -> list[Observation]:
            return [Observation(value, series.attributes) for series, value in self._observed(metric)]

        return lambda _: _guard.call("ground_truth.collect", observe) or []

    def _model(self, identity: Identity) -> TaskCounts:
        """Returns the counts of a model; the one that was not used for longest comes first."""
        known = self._models.pop(identity, None)
        if known is None and identity != _UNKNOWN and self._is_full():
            self._fold(identity)
            identity = _OTHER
            known = self._models.pop(identity, None)
        if known is None:
            series = LabelSeries(identity.attributes(), self._has_room)
            known = TaskCounts(series, is_known=identity not in _SHARED)
        self._models[identity] = known
        known.in_use = True
        return known

    def _has_room(self, metric: semconv.Metric, new: int) -> bool:
        """Takes room for new series of a metric; a meter that forgets needs no other bound than that on models."""
        if self._forgets:
            return True
        taken = self._taken.get(metric.name, 0) + new
        if taken > GUEST_SERIES:
            _guard.warn_once(
                f"ground_truth.series.{metric.name}",
                f"otel-ml: {metric.name} has no room for further models or classes: the SDK of this process keeps "
                f"2,000 series of a metric and never forgets one; with otel_ml.configure() there is no such limit",
            )
            return False
        self._taken[metric.name] = taken
        return True

    def _named(self) -> int:
        return len(self._models.keys() - _SHARED)

    def _is_full(self) -> bool:
        """Whether as many models are in use as may be. Others wait for the next collection, within a bound."""
        named = self._named()
        if named < self._limit or not self._forgets:
            return named >= self._limit
        used = sum(model.in_use for identity, model in self._models.items() if identity not in _SHARED)
        return used >= self._limit or named >= 2 * self._limit

    def _fold(self, identity: Identity) -> None:
        if len(self._folded) > NAMES_SHOWN or identity in self._folded:
            return
        self._folded[identity] = None
        names = few_names([" ".join(filter(None, one)) for one in self._folded])
        advice = (
            f"raise max_models ({semconv.ENV_MAX_MODELS})"
            if self._forgets
            else "the SDK of this process never forgets one"
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
        self._taken = {}


def _identity(of: LoggedPrediction | LoggedModel | None) -> Identity:
    return _UNKNOWN if of is None else Identity(of.model, of.version, of.role)


_counts: weakref.WeakKeyDictionary[Meter, LabelCounts] = weakref.WeakKeyDictionary()
_counts_lock = threading.Lock()


def counts_on(meter: Meter) -> LabelCounts:
    """Returns the counts on a meter: several stores of a process add to the same ones."""
    with _counts_lock:
        found = _counts.get(meter)
        if found is None:
            found = _counts[meter] = LabelCounts(meter)
        return found
