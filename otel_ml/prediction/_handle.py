"""The inner side of a `Model`: its declaration, bound again to the telemetry in force after every change."""

from __future__ import annotations

import weakref
from typing import Any

from otel_ml import _guard
from otel_ml._telemetry import ports, withholding
from otel_ml.prediction._noop import NoopPrediction
from otel_ml.prediction._observers import Observers
from otel_ml.prediction._policy import Capture, Events, ModelPolicy, settings_in_force
from otel_ml.prediction._prediction import Prediction
from otel_ml.prediction._spec import ModelSpec
from otel_ml.prediction._transfer import pack, unpack
from otel_ml.prediction.binding._binding import Unbound
from otel_ml.quality import ColumnNames


class Handle:
    """Holds the binding of one model and replaces it when the telemetry in force changes.

    Args:
        spec: The model.
        events: The model's own keyword; None means that of `configure` or the environment.
        capture: The model's own keyword, likewise.
        was_configured: Whether it comes from a process in which telemetry was configured.
    """

    def __init__(
        self, spec: ModelSpec, *, events: Events | None, capture: Capture | None, was_configured: bool = False
    ) -> None:
        self.spec = spec
        self._was_configured = was_configured
        self._asked = (events, capture)
        self._observers = Observers(spec)
        self._bound: ports.State | None = None
        self.binding = Unbound()
        """The current binding: to the engine in force, to the OTel API, or to nothing."""
        _HANDLES.add(self)
        while self.binding.state is not (state := ports.state()):  # another thread may enter one meanwhile
            self.bind(state)

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Handle:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        is_configured = ports.state().policy is not None
        return _restore, (pack(self.spec), *self._asked, self._was_configured or is_configured)

    @property
    def columns(self) -> ColumnNames | None:
        """The declared columns; None without a profile and a schema."""
        return None if self._observers.monitor is None else self._observers.monitor.names

    def predict(self, features: Any, given_id: Any) -> Prediction:
        """Makes a prediction that has not begun. Does not raise."""
        made = _guard.call("prediction.create", self.binding.predict, features, given_id)
        return made if made is not None else NoopPrediction(given_id)

    def bind(self, state: ports.State) -> None:
        """Binds the model to the state that is now in force."""
        if self._bound is not None and not state.shares_engine(self._bound):
            self._observers = Observers(self.spec)
        self._bound = state
        policy = ModelPolicy(self.spec, settings_in_force(state, *self._asked), self._observers.monitor)
        if policy.is_sensitive:
            withholding.withhold_exceptions()
        self.binding = _guard.call("model.bind", self._make_binding, policy, state) or Unbound(state)

    def _make_binding(self, policy: ModelPolicy, state: ports.State) -> Unbound:
        from otel_ml.prediction._guest import GuestBinding
        from otel_ml.prediction._off import OffBinding
        from otel_ml.prediction.own._fast_path import FastBinding, ShareBinding
        from otel_ml.prediction.own._general_path import OwnBinding
        from otel_ml.prediction.own._segment_path import SegmentBinding

        if state.mode == "off":
            return OffBinding(state, policy.spec)
        if state.engine is None:
            return GuestBinding(state, policy, self._observers, was_configured=self._was_configured)
        fast: type[FastBinding] = ShareBinding if self.spec.wants_shares else FastBinding
        if self.spec.segments:
            fast = SegmentBinding
        return (fast if state.engine.fast_spans else OwnBinding)(state, policy, self._observers, state.engine)


def _restore(
    packed: dict[str, Any], events: Events | None, capture: Capture | None, was_configured: bool = False
) -> Handle:
    """Makes a handle of what arrived from another process or from a file, bound to the telemetry in force here."""
    return Handle(unpack(packed), events=events, capture=capture, was_configured=was_configured)


_HANDLES: weakref.WeakSet[Handle] = weakref.WeakSet()


def _bind_all(state: ports.State) -> None:
    """Binds every model that exists at once: its error counter starts at 0, its reference is exported."""
    for handle in _alive():
        handle.bind(state)


def _alive() -> list[Handle]:
    while True:
        handles: list[Handle] | None = _guard.attempt(list, _HANDLES)
        if handles is not None:  # no other thread made a model meanwhile
            return handles


ports.on_enter(_bind_all)
