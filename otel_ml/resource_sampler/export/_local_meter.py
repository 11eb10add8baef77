"""A meter without an SDK: it keeps the histograms of a sampler that exports by itself."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.metrics import Histogram, NoOpMeter

from otel_ml import semconv

MAX_SERIES: Final = 256
"""Series per histogram; values of further series are not recorded."""


class Cell:
    """One series of a histogram."""

    def __init__(self, attributes: Mapping[str, Any], buckets: int) -> None:
        self.attributes = dict(attributes)
        self.counts = [0] * buckets
        self.sum = 0.0


class LocalHistogram(Histogram):
    """Counts values by bucket; upper bounds are inclusive, as OTLP has it."""

    def __init__(self, name: str, unit: str, description: str, bounds: Sequence[float]) -> None:
        self.name, self.unit, self.description = name, unit, description
        self.bounds = tuple(bounds)
        self._lock = threading.Lock()
        self._cells: dict[frozenset[tuple[str, Any]], Cell] = {}

    def record(
        self,
        amount: float,
        attributes: Mapping[str, Any] | None = None,
        context: Any = None,  # noqa: ARG002 - the API's
    ) -> None:
        """Counts one value."""
        key = frozenset((attributes or {}).items())
        with self._lock:
            cell = self._cells.get(key)
            if cell is None:
                if len(self._cells) >= MAX_SERIES:
                    return
                cell = self._cells[key] = Cell(attributes or {}, len(self.bounds) + 1)
            cell.counts[bisect_left(self.bounds, amount)] += 1
            cell.sum += amount

    def cells(self) -> list[tuple[Mapping[str, Any], tuple[int, ...], float]]:
        """Returns attributes, bucket counts and sum of each series."""
        with self._lock:
            return [(cell.attributes, tuple(cell.counts), cell.sum) for cell in self._cells.values()]


class LocalMeter(NoOpMeter):
    """Keeps histograms; its other instruments do nothing, since all else that a sampler emits are readings."""

    def __init__(self) -> None:
        super().__init__(semconv.SCOPE)
        self.histograms: dict[str, LocalHistogram] = {}

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> Histogram:
        """Returns the histogram of this name, the same one each time."""
        bounds = explicit_bucket_boundaries_advisory or semconv.TICK_BUCKETS
        return self.histograms.setdefault(name, LocalHistogram(name, unit, description, bounds))
