"""Predictions while telemetry is off: nothing is recorded, but callers get the same ids and headers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, Span, get_current_span

from otel_ml import _guard
from otel_ml._telemetry import ids
from otel_ml._telemetry.ports import State
from otel_ml.prediction._noop import NoopPrediction
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction.binding._binding import Unbound

if TYPE_CHECKING:
    from otel_ml.prediction._spec import ModelSpec


class OffBinding(Unbound):
    """A model while telemetry is off."""

    def __init__(self, state: State, spec: ModelSpec) -> None:
        super().__init__(state)
        self.spec = spec

    def predict(self, features: Any, given_id: Any) -> Prediction:
        """Returns a prediction that has an id and no other effect."""
        return OffPrediction(self, features, given_id)

    def begin(self, features: Any) -> Prediction:
        """Returns a prediction that has begun and is current. Does not raise."""
        prediction = _guard.call("prediction.create", self.predict, features, None) or NoopPrediction()
        prediction._begin()
        return prediction


class OffPrediction(Prediction):
    """A prediction that has an id and records nothing: the id is a promise of the service to its callers."""

    _current: Span = INVALID_SPAN

    @_guard.guarded("prediction.start")
    def _start(self, ago: float = 0.0) -> None:  # noqa: ARG002
        """Names the prediction in the answer to the request."""
        self._features = None
        if self._began_ns >= 0:
            return
        self._began_ns = 0
        self._current = get_current_span()
        self._offer_id(otel_context.get_current())

    def set_output(self, prediction: Any = None, score: Any = None, *, batch: bool = False) -> None:
        """Does nothing."""

    def stage(self, name: str) -> AbstractContextManager[Any]:  # noqa: ARG002
        """Returns a block without effect."""
        return nullcontext()

    def _mark_first_item(self) -> None:
        """Does nothing."""

    def _finish(self, *_: Any, **__: Any) -> None:
        """Ends it without a record."""
        self._finished = True

    def _new_id(self) -> str:
        return f"{ids.RANDOM.prediction_number():032x}"

    def _span(self) -> Span:
        """Returns the span around it, so that the context of the caller is passed on as it came."""
        return self._current
