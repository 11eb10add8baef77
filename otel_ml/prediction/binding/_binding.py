"""A model bound to the engine or to the OTel API: what is prepared once and used for every prediction."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from otel_ml import _guard, _process, semconv
from otel_ml._telemetry import ports
from otel_ml._telemetry.ports import State
from otel_ml.prediction._noop import NoopPrediction, arrive
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._outcome import Segments
from otel_ml.prediction._policy import ModelPolicy
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction.binding._gauges import ModelGauges
from otel_ml.prediction.binding._omissions import message
from otel_ml.prediction.boundary._feature_batch import FeatureBatch
from otel_ml.prediction.boundary._responses import open_result
from otel_ml.prediction.boundary._result_names import keys_of
from otel_ml.prediction.segments._reader import SegmentReader

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Tracer


class Unbound:
    """The binding of a model before its first state, and where binding failed: it records nothing."""

    arrive = staticmethod(arrive)
    """Rebuilds a prediction of another process from its ids."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state
        """The state for which it was made; None before the first."""

    def predict(self, features: Any, given_id: Any) -> Prediction:  # noqa: ARG002
        """Returns a prediction without effect."""
        return NoopPrediction(given_id)

    def begin(self, features: Any) -> Prediction:  # noqa: ARG002
        """Returns a prediction without effect."""
        return NoopPrediction()

    def record_load(self, seconds: float) -> None:
        """Does nothing."""

    def count_unrecognised(self, result: Any = None) -> None:
        """Does nothing."""

    def count_omissions(self, reason: str, count: int = 1) -> None:
        """Does nothing."""


class Binding(Unbound):
    """The parts that both modes share. Each change of the engine makes a new binding."""

    # Class attributes: more entries in the instance would make the hot path slower.
    segment_reader: SegmentReader | None = None
    """Finds the segments of rows; None for a model without segment columns."""
    combination: Segments | None = None
    """The segments of all predictions of this binding; None if they differ, or for a model without segments."""

    def __init__(self, state: State, policy: ModelPolicy, observers: Observers) -> None:
        super().__init__(state)
        self.spec = spec = policy.spec
        self.policy = policy
        self.observers = observers
        self.monitor = observers.monitor
        self.wants_features = observers.monitor is not None or policy.captures_undeclared
        """Whether anything uses the features."""
        self.attributes = spec.attributes
        self.span_name: str = semconv.PREDICT_SPAN.format(model=spec.name)
        self.meter = state.engine.meter(semconv.SCOPE) if state.engine else metrics.get_meter(semconv.SCOPE)
        self.tracer: Tracer = state.engine.tracer(semconv.SCOPE) if state.engine else trace.get_tracer(semconv.SCOPE)
        shared = self._gauges = _shared(state, self.meter)
        labels = shared.labels(spec)
        self.class_label = labels.classes(spec.name, spec.classes).admit
        self.error_label = labels.errors.admit
        self.stage_label = labels.stages.admit
        if policy.columns is not None and spec.segment_columns:
            admit = [labels.segments(name).admit for name in spec.segments]
            self.segment_reader = SegmentReader(spec.segment_columns, policy.columns, admit)
        self._load_duration = shared.load_duration
        shared.add(spec, observers.monitor)

    def predict(self, features: Any, given_id: Any) -> Prediction:
        """Makes a prediction that has not begun."""
        raise NotImplementedError

    def begin(self, features: Any) -> Prediction:
        """Makes a prediction that has begun and is current. Does not raise."""
        prediction = _guard.call("prediction.create", self.predict, features, None) or NoopPrediction()
        prediction._begin()
        return prediction

    def segment_class(self, label: str | None) -> str | None:
        """Returns the class under which a segment counts a prediction; None if the task is not binary."""
        return None if label is None or not self.spec.is_binary else self.class_label(label)

    def segment_classes(self) -> tuple[str | None, ...]:
        """Returns the classes that each segment counts from 0 on."""
        return tuple(map(self.class_label, self.spec.counted_classes)) if self.spec.is_binary else (None,)

    def observe_features(self, batch: FeatureBatch, segments: Sequence[Segments] | None) -> None:
        """Counts the features of some rows of a large batch."""
        _guard.call("quality.observe", self.observers.observe_features, batch, segments)

    def record_load(self, seconds: float) -> None:
        """Records how long it took to load the model."""
        self._load_duration.record(seconds, self.attributes)

    def count_stage(self, name: str, seconds: float, context: Context) -> None:
        """Adds to the stage's duration."""
        raise NotImplementedError

    def count_unrecognised(self, result: Any = None) -> None:
        """Counts a result from which no prediction was read, and logs once what to do."""
        _guard.call("prediction.unrecognised", self._count_unrecognised)
        name, keys = self.spec.name, keys_of(open_result(result))
        _guard.warn_once(
            f"unrecognised:{name}",
            f"otel-ml: no prediction was recognised in a result of model {name!r} ({keys}). Understood "
            "are keys with the words prediction, label, class, output or result, and probability, score or confidence: "
            "name them so, pass output=..., batch=True if it is one prediction for each row, or call set_output() (see "
            "the page 'What is understood'). Repeats are only counted, in otelml.unrecognised.outputs",
        )

    def _count_unrecognised(self) -> None:
        raise NotImplementedError

    def count_omissions(self, reason: str, count: int = 1) -> None:
        """Counts what telemetry leaves out of a prediction, by one of `semconv.OMISSION_REASONS`, and logs it once."""
        _guard.call("prediction.omissions", self._add_omissions, reason, count)
        _guard.warn_once(f"omission:{reason}:{self.spec.name}", message(self.spec.name, reason))

    def _add_omissions(self, reason: str, count: int) -> None:
        raise NotImplementedError


_lock = threading.Lock()
_current: tuple[State, ModelGauges] | None = None


def _reset_after_fork() -> None:
    global _lock
    _lock = threading.Lock()


_process.in_child("prediction.fork", _reset_after_fork)


def _shared(state: State, meter: Meter) -> ModelGauges:
    """Returns the instruments that all models of one engine share; the SDK drops a second observable of one name."""
    global _current
    with _lock:
        if _current is None or not _current[0].shares_engine(state):
            _current = (state, ModelGauges(meter, state))
        elif _current[0] is not state:
            _current = (state, _current[1])
            _current[1].renew(state)
        return _current[1]


def _notes() -> list[str]:
    return [] if _current is None else _current[1].notes()


ports.on_notes(_notes)
