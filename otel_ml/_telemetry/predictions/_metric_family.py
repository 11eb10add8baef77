"""The cells of all models as one family of metrics."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from otel_ml import semconv
from otel_ml._telemetry.predictions import _points
from otel_ml._telemetry.predictions.cells import CellSet, ModelIdentity

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import ScopeMetrics

    from otel_ml._telemetry.metrics._points import Window

MODELS_KEPT: Final = 64
"""Models with cells of their own; further ones share one set under `semconv.OTHER`."""


class PredictionFamily:
    """The prediction metrics of every model in this process."""

    def __init__(self) -> None:
        self._sets: dict[ModelIdentity, CellSet] = {}
        self._lock = threading.Lock()

    def all_cells(self) -> list[CellSet]:
        """Returns the cells of every model so far."""
        return list(self._sets.values())

    def cells(self, identity: ModelIdentity) -> CellSet:
        """Returns the cells of one model, created on first use; beyond `MODELS_KEPT` all models share one set."""
        with self._lock:
            found = self._sets.get(identity)
            if found is None:
                if len(self._sets) >= MODELS_KEPT:
                    identity = ModelIdentity(semconv.OTHER, semconv.OTHER, semconv.OTHER)
                found = self._sets.setdefault(identity, CellSet(identity))
            return found

    def collect(self, window: Window, *, take_exemplars: bool) -> ScopeMetrics | None:
        folded = [(cells.identity, cells.fold(take_exemplars=take_exemplars)) for cells in self.all_cells()]
        return _points.scope_metrics(folded, window)

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()
        for cells in self._sets.values():
            cells.reset_after_fork()
