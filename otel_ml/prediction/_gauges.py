"""Instruments that all models of one meter share: load and train timestamps, and the counts of their features."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from otel_ml import _instruments, semconv
from otel_ml.prediction._metric_attributes import ModelLabels
from otel_ml.prediction._spec import ModelSpec
from otel_ml.quality import FeatureInstruments, FeatureMonitor

MODELS_KEPT = 64
"""Identities with labels of their own."""


class ModelGauges:
    """Observes the models that still exist."""

    def __init__(self, meter: Meter) -> None:
        self._models: weakref.WeakSet[ModelSpec] = weakref.WeakSet()
        self._labels: dict[tuple[str, str, str], ModelLabels] = {}
        self._features: FeatureInstruments | None = None
        self._meter = meter
        self.load_duration: Histogram = _instruments.create(meter, semconv.MODEL_LOAD_DURATION)
        _instruments.create(meter, semconv.MODEL_LOAD_TIMESTAMP, self._observe(lambda spec: spec.loaded_at))
        _instruments.create(meter, semconv.MODEL_TRAIN_TIMESTAMP, self._observe(lambda spec: spec.trained_at))

    def labels(self, identity: tuple[str, str, str]) -> ModelLabels:
        """Returns the labels of all handles of one identity; identities beyond `MODELS_KEPT` share one set."""
        known = self._labels.get(identity)
        if known is None and len(self._labels) < MODELS_KEPT:
            known = self._labels.setdefault(identity, ModelLabels())
        return known if known is not None else self._labels.setdefault((semconv.OTHER, "", ""), ModelLabels())

    def add(self, spec: ModelSpec, monitor: FeatureMonitor | None) -> None:
        """Includes a model from the next collection on, for as long as it exists."""
        self._models.add(spec)
        if monitor is not None:
            if self._features is None:
                self._features = FeatureInstruments(self._meter)
            self._features.add(monitor)

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
