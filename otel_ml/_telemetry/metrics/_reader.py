"""Metric readers that add the folded cells of all models to what the SDK has collected."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import replace
from time import monotonic, time_ns
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from otel_ml import _guard, _process, semconv
from otel_ml._telemetry._suppress import suppress_here
from otel_ml._telemetry._yielding import stand_back
from otel_ml._telemetry.predictions import _points
from otel_ml._telemetry.predictions.cells import CellSet, Folded, Identity
from otel_ml._telemetry.requests import _points as _request_points
from otel_ml._telemetry.requests.cells import RequestCellSet
from otel_ml.config import EXPLICIT

CARDINALITY: Final = 20_000
"""Attribute sets an instrument may have: bins of features go far beyond the SDK's 2,000."""
MODELS_KEPT: Final = 64
"""Handles with cells of their own; further ones share one set under `semconv.OTHER`."""

_KINDS: Final = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)

Merge = Callable[[MetricsData], MetricsData]


class CellStore:
    """The cells of all models and of the HTTP requests of this process, and the resource that they are reported under.

    Attributes:
        requests: The cells of the HTTP requests.
    """

    def __init__(self, resource: Resource, now_ns: Callable[[], int] = time_ns) -> None:
        self.resource = resource
        self._now_ns = now_ns
        self._start_ns = now_ns()
        self._sets: dict[Identity, CellSet] = {}
        self.requests = RequestCellSet()
        self._lock = threading.Lock()

    def all_cells(self) -> list[CellSet]:
        """The cells of every model so far."""
        return list(self._sets.values())

    def cells(self, identity: Identity) -> CellSet:
        """The cells of one model; beyond `MODELS_KEPT` all share one set."""
        with self._lock:
            found = self._sets.get(identity)
            if found is None:
                if len(self._sets) >= MODELS_KEPT:
                    identity = Identity(semconv.OTHER, semconv.OTHER, semconv.OTHER)
                found = self._sets.setdefault(identity, CellSet(identity))
            return found

    def view(self, *, take_exemplars: bool = True, delta: bool = False) -> Merge:
        """How one reader sees the cells: it adds their points to what the SDK has collected.

        Args:
            take_exemplars: Exemplars go to one reader only.
            delta: Whether counters and histograms are what has been added since this view was last used.
        """
        deltas = _points.Deltas() if delta else None

        def merged(data: MetricsData) -> MetricsData:
            scopes = self._scopes(take_exemplars=take_exemplars)
            entries = [replace(entry, resource=self.resource) for entry in data.resource_metrics]
            if not entries:
                entries = [ResourceMetrics(self.resource, [], self.resource.schema_url)]
            if scopes:
                ours = scopes if deltas is None else [deltas.of(scope) for scope in scopes]
                entries[0] = replace(entries[0], scope_metrics=[*entries[0].scope_metrics, *ours])
            return MetricsData(entries)

        return merged

    def reset_after_fork(self, resource: Resource) -> None:
        """The child starts at zero, under its own instance id."""
        self.resource = resource
        self._start_ns = self._now_ns()
        self._lock = threading.Lock()
        for cells in self._sets.values():
            cells.reset_after_fork()
        self.requests.reset_after_fork()

    def _scopes(self, *, take_exemplars: bool) -> list[ScopeMetrics]:
        folded: list[tuple[Identity, Folded]] = [
            (cells.identity, cells.fold(take_exemplars=take_exemplars)) for cells in list(self._sets.values())
        ]
        requests = self.requests.fold(take_exemplars=take_exemplars)
        window = _points.Window(self._start_ns, self._now_ns())
        found = (_points.scope_metrics(folded, window), _request_points.scope_metrics(requests, window))
        return [scope for scope in found if scope is not None]


class Preferences(NamedTuple):
    """How a reader collects: seconds for one collection and export, and the SDK's preferences by instrument."""

    timeout: float
    temporality: dict[type, AggregationTemporality]
    aggregation: dict[type, Aggregation]


class Reader(MetricReader):
    """Collects on its own thread every interval and hands the result to an exporter.

    Unlike the SDK's periodic reader it survives any exception of a callback, an aggregation or the exporter.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        merge: Merge,
        *,
        interval: float,
        preferences: Preferences,
    ) -> None:
        super().__init__(
            preferred_temporality=preferences.temporality, preferred_aggregation=preferences.aggregation, **limits()
        )
        self._exporter = exporter
        self._merge = merge
        self._interval = interval
        self._timeout = preferences.timeout
        self._changed = threading.Condition()
        self._asked = 0
        self._answered = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread; without it only `flush` collects."""
        with self._changed:
            if self._thread is None and not self._stopping:
                self._thread = _process.spawn("otel-ml-reader", self._run)

    def flush(self, deadline: float) -> bool:
        """Collects and exports once on the reader's thread; False when the monotonic deadline passes first."""
        self.start()
        with self._changed:
            if self._thread is None:
                return True
            self._asked += 1
            wanted = self._asked
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._answered >= wanted, max(0.0, deadline - monotonic()))

    def stop(self, deadline: float) -> None:
        """A last collection and export, then the thread ends."""
        with self._changed:
            self._stopping = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(max(0.0, deadline - monotonic()))

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self.flush(monotonic() + timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000, **_kwargs: Any) -> None:
        self.stop(monotonic() + timeout_millis / 1000)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_kwargs: Any) -> None:
        stand_back()
        merged = _guard.call("reader.fold", self._merge, metrics_data)
        stand_back()
        self._exporter.export(metrics_data if merged is None else merged, timeout_millis=timeout_millis)

    def _run(self) -> None:
        suppress_here()
        stopping = False
        while not stopping:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._asked > self._answered, self._interval)
                stopping = self._stopping
                answers = self._asked
            _guard.call("reader.collect", self.collect, timeout_millis=self._timeout * 1000)
            with self._changed:
                self._answered = max(self._answered, answers)
                self._changed.notify_all()


def limits() -> dict[str, Any]:
    """The cardinality limit as reader keywords, where this SDK knows it (from 1.45.2 on)."""
    if "cardinality_limits" not in inspect.signature(MetricReader.__init__).parameters:
        return {}
    return {"cardinality_limits": dict.fromkeys(_KINDS, CARDINALITY)}


def aggregation(preference: str) -> dict[type, Aggregation]:
    """OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION for the SDK's instruments."""
    return {} if preference == EXPLICIT else {Histogram: ExponentialBucketHistogramAggregation()}


def temporality(preference: str) -> dict[type, AggregationTemporality]:
    """OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE by instrument; source: specification, OTLP exporter."""
    kinds: tuple[type, ...] = ()
    if preference == "delta":
        kinds = (Counter, Histogram, ObservableCounter)
    elif preference == "lowmemory":
        kinds = (Counter, Histogram)
    return dict.fromkeys(kinds, AggregationTemporality.DELTA)
