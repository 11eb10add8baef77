"""The metric reader of own mode, and the preferences it collects with."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from time import monotonic
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
    MetricExportResult,
    MetricReader,
    MetricsData,
)
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation

from otel_ml import _guard, _process
from otel_ml._export import retry
from otel_ml._telemetry._suppress import suppress_here, suppressed
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.metrics._schedule import Schedule
from otel_ml._telemetry.metrics._store import View
from otel_ml.config import EXPLICIT

TICK: Final = 0.5
"""Seconds between two looks at the predictions so far."""
CARDINALITY: Final = 20_000
"""Attribute sets an instrument may have: feature bins need far more than the SDK's 2,000."""

_KINDS: Final = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)


class Preferences(NamedTuple):
    """How a reader collects: seconds for one collection and export, and the SDK's preferences by instrument."""

    timeout: float
    temporality: dict[type, AggregationTemporality]
    aggregation: dict[type, Aggregation]


class Reader(MetricReader):
    """Collects on its own thread and hands the result to an exporter.

    Unlike the SDK's periodic reader it survives any exception of a callback, an aggregation or the exporter.

    Args:
        exporter: Gets each collection.
        view: Adds the folded cells.
        interval: Seconds between two collections; some are early (`Schedule`).
        preferences: How to collect.
        count: Returns the predictions so far.
    """

    def __init__(
        self,
        exporter: MetricExporter,
        view: View,
        *,
        interval: float,
        preferences: Preferences,
        count: Callable[[], int],
    ) -> None:
        super().__init__(
            preferred_temporality=preferences.temporality, preferred_aggregation=preferences.aggregation, **limits()
        )
        self._exporter = exporter
        self._view = view
        self._interval = interval
        self._count = count
        self._schedule = Schedule(interval, monotonic())
        self._timeout = preferences.timeout
        self._changed = threading.Condition()
        self._requested = 0
        self._done = 0
        self._stopping = False
        self._abandoned = False
        self._failures = 0
        """Exports that failed since the last one that did not."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread; without it only `flush` collects."""
        with self._changed:
            if self._thread is None and not self._stopping:
                self._thread = _process.spawn("otel-ml-reader", self._run)

    def flush(self, deadline: float) -> bool:
        """Collects and exports once on the reader's thread; returns True when the export succeeded in time."""
        self.start()
        with self._changed:
            if self._thread is None:
                return self._stopping
            self._requested += 1
            wanted = self._requested
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._done >= wanted, max(0.0, deadline - monotonic()))
            return done and not self._failures

    def stop(self, deadline: float) -> None:
        """Collects and exports a last time, then ends the thread."""
        with self._changed:
            is_first, self._stopping = not self._stopping, True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(max(0.0, deadline - monotonic()))
        elif is_first:
            self._collect_here(deadline)

    def _collect_here(self, deadline: float) -> None:
        """Collects and exports on the caller's thread: the system has refused the reader's."""
        timeout = max(0.0, min(self._timeout, deadline - monotonic()))
        with suppressed():
            _guard.call("reader.collect", self.collect, timeout_millis=timeout * 1000)

    def abandon(self) -> None:
        """In a forked child: ends the parent's thread, which goes on here if it is a greenlet; it exports no more."""
        self._abandoned = True

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self.flush(monotonic() + timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000, **_kwargs: Any) -> None:
        self.stop(monotonic() + timeout_millis / 1000)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_kwargs: Any) -> None:
        yield_to_service()
        merged = _guard.call("reader.fold", self._view.merge, metrics_data)
        yield_to_service()
        data = metrics_data if merged is None else merged
        failed = self._exporter.export(data, timeout_millis=timeout_millis) is MetricExportResult.FAILURE
        self._failures = self._failures + 1 if failed else 0
        if not failed:
            self._view.confirm()

    def _run(self) -> None:
        suppress_here()
        stopping = False
        while not stopping:
            with self._changed:
                self._wait()
                stopping = self._stopping
                requested = self._requested
            if self._abandoned:
                return
            self._schedule.collected(monotonic(), self._count_now())
            _guard.call("reader.collect", self.collect, timeout_millis=self._timeout * 1000)
            with self._changed:
                self._done = max(self._done, requested)
                self._changed.notify_all()

    def _wait(self) -> None:
        """Waits until a collection is due or asked for; after an export that failed, until the next attempt."""
        if self._failures:
            pause = retry.pause(self._failures - 1, getattr(self._exporter, "retry_after", None))
            self._changed.wait_for(self._is_wanted, min(self._interval, pause))
            return
        while not self._is_wanted() and not self._schedule.is_due(monotonic(), self._count_now()):
            self._changed.wait(min(TICK, self._interval))

    def _count_now(self) -> int:
        return _guard.call("reader.count", self._count) or 0

    def _is_wanted(self) -> bool:
        return self._stopping or self._requested > self._done


def limits() -> dict[str, Any]:
    """Returns the cardinality limit as reader keywords, if this SDK has it (from 1.45.2 on)."""
    if "cardinality_limits" not in inspect.signature(MetricReader.__init__).parameters:
        return {}
    return {"cardinality_limits": dict.fromkeys(_KINDS, CARDINALITY)}


def aggregation(preference: str) -> dict[type, Aggregation]:
    """Returns OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION for the SDK's instruments."""
    return {} if preference == EXPLICIT else {Histogram: ExponentialBucketHistogramAggregation()}


def temporality(preference: str) -> dict[type, AggregationTemporality]:
    """Returns OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE by instrument, as specified."""
    kinds: tuple[type, ...] = ()
    if preference == "delta":
        kinds = (Counter, Histogram, ObservableCounter)
    elif preference == "lowmemory":
        kinds = (Counter, Histogram)
    return dict.fromkeys(kinds, AggregationTemporality.DELTA)
