"""Instruments that all models of one meter share: load and train timestamps, and the counts of their features."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from otel_ml import _instruments, semconv
from otel_ml.prediction._labels import ModelLabels
from otel_ml.quality import FeatureInstruments

if TYPE_CHECKING:
    from otel_ml.prediction._model import Model


MODELS_KEPT = 64
"""Identities with labels of their own."""


class ModelGauges:
    """Observes the models that still exist."""

    def __init__(self, meter: Meter) -> None:
        self._models: weakref.WeakSet[Model] = weakref.WeakSet()
        self._labels: dict[tuple[str, str, str], ModelLabels] = {}
        self._features: FeatureInstruments | None = None
        self._meter = meter
        self.load_duration: Histogram = _instruments.create(meter, semconv.MODEL_LOAD_DURATION)
        _instruments.create(meter, semconv.MODEL_LOAD_TIMESTAMP, self._observe(lambda model: model.loaded_at))
        _instruments.create(meter, semconv.MODEL_TRAIN_TIMESTAMP, self._observe(lambda model: model.trained_at))

    def labels_of(self, identity: tuple[str, str, str]) -> ModelLabels:
        """The labels of all handles of one identity; beyond `MODELS_KEPT` identities share one set of them."""
        known = self._labels.get(identity)
        if known is None and len(self._labels) < MODELS_KEPT:
            known = self._labels.setdefault(identity, ModelLabels())
        return known if known is not None else self._labels.setdefault((semconv.OTHER, "", ""), ModelLabels())

    def add(self, model: Model) -> None:
        """Includes a model from the next collection on."""
        self._models.add(model)
        if model.monitor is not None:
            if self._features is None:
                self._features = FeatureInstruments(self._meter)
            self._features.add(model.monitor)

    def _observe(self, reading: Callable[[Model], float | None]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(_: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(value, model.attributes)
                for model in list(self._models)
                if (value := reading(model)) is not None
            ]

        return callback
