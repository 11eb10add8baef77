"""Instruments that all models of one meter share: load and train timestamps, and the counts of their features."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from otel_ml import _instruments, semconv
from otel_ml._telemetry.ports import State
from otel_ml.prediction._spec import ModelSpec
from otel_ml.prediction.binding._guest_counts import GuestCounts, ModelCounts
from otel_ml.prediction.binding._metric_attributes import ModelLabels
from otel_ml.quality import FeatureInstruments, FeatureMonitor

GUEST_SERIES = 1900
"""Bins of features in guest mode: the SDK merges the 2,000th and later attribute sets of an instrument into one."""
OWN_SERIES = 20_000
"""Bins of features in own mode."""


class ModelGauges:
    """Observes the models that still exist, under the limits of a state."""

    def __init__(self, meter: Meter, state: State) -> None:
        self._models: weakref.WeakSet[ModelSpec] = weakref.WeakSet()
        self._labels: dict[tuple[str, str, str], tuple[ModelLabels, weakref.WeakSet[ModelSpec]]] = {}
        self._others = ModelLabels()
        self._features: FeatureInstruments | None = None
        self._counts: GuestCounts | None = None
        self._meter = meter
        self._state = state
        self.load_duration: Histogram = _instruments.create(meter, semconv.MODEL_LOAD_DURATION)
        _instruments.create(meter, semconv.MODEL_LOAD_TIMESTAMP, self._observe(lambda spec: spec.loaded_at))
        _instruments.create(meter, semconv.MODEL_TRAIN_TIMESTAMP, self._observe(lambda spec: spec.trained_at))

    def labels(self, spec: ModelSpec) -> ModelLabels:
        """Returns the labels of all handles of one identity; models beyond the limit share one set."""
        identity = (spec.name, spec.version, spec.role)
        if identity not in self._labels and len(self._labels) >= self._state.limits.models:
            unused = next((known for known, (_, specs) in self._labels.items() if not specs), None)
            if unused is None:
                return self._others
            del self._labels[unused]
        labels, specs = self._labels.setdefault(identity, (ModelLabels(), weakref.WeakSet()))
        specs.add(spec)
        return labels

    def renew(self, state: State) -> None:
        """Takes the limits of another state that counts into the same meter."""
        self._state = state
        if self._features is not None:
            self._features.limit(state.limits.models, self._series())

    def counts(self, spec: ModelSpec) -> ModelCounts:
        """Returns the counts of guest mode for a model."""
        if self._counts is None:
            self._counts = GuestCounts(self._meter, self._state.limits.models)
        return self._counts.get(spec)

    def add(self, spec: ModelSpec, monitor: FeatureMonitor | None) -> None:
        """Includes a model from the next collection on, for as long as it exists."""
        self._models.add(spec)
        if monitor is not None:
            if self._features is None:
                self._features = self._feature_instruments()
            self._features.add(monitor)

    def notes(self) -> list[str]:
        """Returns lines for `otel-ml doctor`."""
        return [] if self._features is None else self._features.notes()

    def _feature_instruments(self) -> FeatureInstruments:
        engine = self._state.engine
        features = FeatureInstruments(models=self._state.limits.models, series=self._series())
        if engine is None:
            features.create(self._meter)
        else:
            engine.observe(features)
        return features

    def _series(self) -> int:
        return self._state.limits.feature_series or (GUEST_SERIES if self._state.engine is None else OWN_SERIES)

    def _observe(
        self, reading: Callable[[ModelSpec], float | None]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(_: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(value, spec.attributes)
                for spec in list(self._models)
                if (value := reading(spec)) is not None
            ]

        return callback
