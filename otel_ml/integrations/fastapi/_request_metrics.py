"""The metrics of requests: by instruments of the OTel API, or in the cells of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from opentelemetry import metrics, trace
from opentelemetry.context import Context

from otel_ml import _instruments, semconv
from otel_ml._telemetry import ports
from otel_ml._telemetry.histograms import Exemplar
from otel_ml._telemetry.requests.cells import ActiveKey, RequestCellSet, RequestKey, active_attributes


class RequestMetrics(Protocol):
    """The metrics of requests: how many are in flight, and how long they take."""

    def begin(self, key: ActiveKey, context: Context) -> Callable[[], object]:
        """Counts a request in flight; returns the function that counts its end."""

    def record(self, key: RequestKey, seconds: float, context: Context) -> None:
        """Records the duration of a finished request."""


class InstrumentMetrics:
    """Uses instruments of the OTel API."""

    def __init__(self, meter: metrics.Meter) -> None:
        self._duration: metrics.Histogram = _instruments.create(meter, semconv.HTTP_SERVER_REQUEST_DURATION)
        self._active: metrics.UpDownCounter = _instruments.create(meter, semconv.HTTP_SERVER_ACTIVE_REQUESTS)

    def begin(self, key: ActiveKey, context: Context) -> Callable[[], object]:
        attributes = active_attributes(*key)
        self._active.add(1, attributes, context)
        return lambda: self._active.add(-1, attributes, context)

    def record(self, key: RequestKey, seconds: float, context: Context) -> None:
        self._duration.record(seconds, key.attributes(), context)


class CellMetrics:
    """Uses the cells of the engine."""

    def __init__(self, engine: ports.Engine, requests: RequestCellSet) -> None:
        self._engine = engine
        self._requests = requests

    def begin(self, key: ActiveKey, context: Context) -> Callable[[], object]:  # noqa: ARG002
        return self._requests.mine().begin(key).end

    def record(self, key: RequestKey, seconds: float, context: Context) -> None:
        cell = self._requests.cell(self._requests.mine(), key)
        bucket = cell.record(seconds)
        span = trace.get_current_span(context)
        span_context = span.get_span_context()
        if self._engine.exemplars and span_context.trace_flags.sampled:
            now, trace_id, span_id = self._engine.clock.time_ns(), span_context.trace_id, span_context.span_id
            if cell.offer(bucket, Exemplar(seconds, now, trace_id, span_id)):
                span.set_attribute(semconv.EXEMPLAR, True)
