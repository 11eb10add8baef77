"""How spans, log records and metrics of the SDK reach our senders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, SynchronousMultiSpanProcessor

from otel_ml import _guard
from otel_ml._telemetry._queues import RecordQueue
from otel_ml._telemetry._suppress import is_suppressed
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.delivery._delivery import Delivery
from otel_ml._telemetry.delivery._sender import Sender
from otel_ml._telemetry.otlp import _encoding, _framing, _repair
from otel_ml._telemetry.otlp._framing import Encoded
from otel_ml._telemetry.otlp._series_encoding import encode_series
from otel_ml._telemetry.sdk._guarded_plugins import GuardedSpanProcessor
from otel_ml._telemetry.series_points import SeriesPoints

T = TypeVar("T")

Flush = Callable[[float], bool]
"""Flushes within a monotonic deadline."""

_NO_RESOURCE: Final = Resource.get_empty()


class _QueueProcessor(Generic[T]):
    """A processor that queues records for the worker and never ends the engine."""

    def __init__(self, queue: RecordQueue[T], flush: Flush) -> None:
        self._queue = queue
        self._flush = flush

    def shutdown(self) -> None:
        """Only flushes: `Telemetry.shutdown` ends the engine, not the shutdown of a provider."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 5_000) -> bool:
        """Exports what is queued."""
        return self._flush(monotonic() + timeout_millis / 1000)


class SdkSpanProcessor(_QueueProcessor[ReadableSpan], SpanProcessor):
    """Queues ended SDK spans for the worker."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass

    @_guard.guarded("sdk.span")
    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self._queue.offer(_repair.limit_span(span))


class SdkLogProcessor(_QueueProcessor[ReadableLogRecord], LogRecordProcessor):
    """Queues SDK log records for the worker, except those that our own threads and log lines make."""

    @_guard.guarded("sdk.log")
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        if is_suppressed() or _guard.is_reporting():
            return
        record = ReadableLogRecord(
            log_record=log_record.log_record,
            resource=log_record.resource,  # type: ignore[arg-type]
            instrumentation_scope=log_record.instrumentation_scope,
            limits=log_record.limits,
        )
        self._queue.offer(_repair.limit_log(record))


class SpanProcessors(SynchronousMultiSpanProcessor):
    """The provider's list of span processors; it guards those that are not ours and reports when one is added."""

    def __init__(self, on_foreign: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._on_foreign = on_foreign
        self.has_foreign = False
        """Whether one of them is not ours and has to be flushed and shut down."""

    def add_own(self, span_processor: SpanProcessor) -> None:
        """Adds one of our own processors."""
        super().add_span_processor(span_processor)

    def add_sdk(self, span_processor: SpanProcessor) -> None:
        """Adds a processor of the SDK that the settings ask for."""
        self.has_foreign = True
        super().add_span_processor(span_processor)

    def hand_over(self, successor: SpanProcessors) -> None:
        """Forwards every span to the processors of another provider from now on."""
        self._span_processors = (successor,)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        self.has_foreign = True
        super().add_span_processor(GuardedSpanProcessor(span_processor))
        self._on_foreign(type(span_processor).__name__)


class SenderMetricExporter(MetricExporter):
    """Encodes a collection, known series with our encoder and the rest with the SDK's, and delivers it.

    Args:
        delivery: Makes one attempt before `export` returns. Points that the receiver did not answer for stay in flight
            until those of the next collection take their place.
        temporality: The SDK's preference by instrument.
        sender: Queues the points instead; for differences, which no later collection repeats.
    """

    def __init__(
        self, delivery: Delivery, temporality: dict[type, AggregationTemporality], sender: Sender | None = None
    ) -> None:
        super().__init__(preferred_temporality=temporality)
        self._delivery = delivery
        self._sender = sender
        self._waiting = 0
        """Points of the last collection that have no final answer."""

    @property
    def retry_after(self) -> float | None:
        """Seconds that the receiver asked to wait when it last said "later"."""
        return self._delivery.retry_after

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002
        **_kwargs: Any,
    ) -> MetricExportResult:
        encoded = self._encode(metrics_data)
        count = _framing.count(encoded)
        self._delivery.book.produce(max(0, count - self._waiting))
        self._delivery.book.drop("retry_exhausted", max(0, self._waiting - count))
        if self._sender is not None:
            self._sender.put(encoded)
            self._sender.push()
            return MetricExportResult.SUCCESS
        self._waiting = count
        left = self._delivery.deliver(encoded) if encoded else []
        self._waiting = _framing.count(left)
        if left and self._delivery.is_stopping:
            self._delivery.book.drop("shutdown", self._waiting)
            self._waiting = 0
        return MetricExportResult.FAILURE if left else MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002
        """Does nothing: nothing is queued here."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_kwargs: Any) -> None:
        """Does nothing: the engine closes the connection."""

    def _encode(self, data: MetricsData) -> list[Encoded]:
        encoded: list[Encoded] = []
        for scope, metric in _metrics(data):
            yield_to_service()
            one = _guard.call("worker.encode.metrics", _encode_metric, scope, metric)
            if one is None:
                self._delivery.book.drop_unqueued("invalid", len(metric.data.data_points))
            else:
                encoded += one
        return encoded


def _metrics(data: MetricsData) -> Iterator[tuple[ScopeMetrics, Metric]]:
    return (
        (scope, metric) for entry in data.resource_metrics for scope in entry.scope_metrics for metric in scope.metrics
    )


def _encode_metric(scope: ScopeMetrics, metric: Metric) -> list[Encoded]:
    """Encodes one metric without the resource, which is part of the envelope."""
    if isinstance(metric.data.data_points, SeriesPoints):
        name, version, schema_url = scope.scope.name, scope.scope.version or "", scope.scope.schema_url or ""
        return [encode_series(_encoding.encode_scope(name, version, schema_url), metric)]
    return _encoding.encode_sdk_metrics(
        MetricsData([ResourceMetrics(_NO_RESOURCE, [replace(scope, metrics=[metric])], "")])
    )
