"""A model handle tied to the engine or to the OTel API: everything that is prepared once and used per prediction."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from otel_ml import _guard, _process, semconv
from otel_ml._telemetry.ports import State
from otel_ml.prediction._gauges import ModelGauges
from otel_ml.prediction._prediction import NoopPrediction, Prediction

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Tracer

    from otel_ml.prediction._model import Model


class Unbound:
    """What a model handle is tied to while telemetry is off, or where it could not be bound: to nothing."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state
        """The state for which it was made; None before the first."""

    def predict(self, model: Model, features: Any, given_id: Any) -> Prediction:  # noqa: ARG002
        """A prediction without effect."""
        return NoopPrediction(model, None, given_id)

    def begin(self, model: Model, features: Any) -> Prediction:  # noqa: ARG002
        """The same."""
        return NoopPrediction(model)

    def record_load(self, seconds: float) -> None:
        """Nothing is recorded."""

    def note_unrecognised(self) -> None:
        """Nothing is counted."""


class Binding(Unbound):
    """What both modes share. A new one is made whenever another engine comes into force."""

    def __init__(self, model: Model, state: State) -> None:
        super().__init__(state)
        self.attributes = model.attributes
        self.span_name: str = semconv.PREDICT_SPAN.format(model=model.name)
        self.meter = state.engine.meter(semconv.SCOPE) if state.engine else metrics.get_meter(semconv.SCOPE)
        self.tracer: Tracer = state.engine.tracer(semconv.SCOPE) if state.engine else trace.get_tracer(semconv.SCOPE)
        shared = _shared(state, self.meter)
        labels = shared.labels_of((model.name, model.version, model.role))
        self.class_label = labels.classes_of(model.classes).of
        self.error_label = labels.errors.of
        self.stage_label = labels.stages.of
        self._load_duration = shared.load_duration
        shared.add(model)

    def predict(self, model: Model, features: Any, given_id: Any) -> Prediction:
        """A prediction that has not started yet. The model is not kept here, so that both end together."""
        raise NotImplementedError

    def begin(self, model: Model, features: Any) -> Prediction:
        """A prediction that has begun and is current. Does not raise."""
        prediction = _guard.call("prediction.create", self.predict, model, features, None) or NoopPrediction(model)
        prediction.begin()
        return prediction

    def record_load(self, seconds: float) -> None:
        """Records how long it took to load the model."""
        self._load_duration.record(seconds, self.attributes)

    def count_stage(self, name: str, seconds: float, context: Context) -> None:
        """Adds to the stage's duration."""
        raise NotImplementedError

    def note_unrecognised(self) -> None:
        """Counts a result in which no prediction was recognised."""
        raise NotImplementedError


_lock = threading.Lock()
_current: tuple[State, ModelGauges] | None = None


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


_process.in_child("prediction.fork", _renew_lock)


def _shared(state: State, meter: Meter) -> ModelGauges:
    """The instruments that all models of one engine share: a second observable of one name would be lost."""
    global _current
    with _lock:
        if _current is None or not _current[0].is_of(state):
            _current = (state, ModelGauges(meter))
        return _current[1]
