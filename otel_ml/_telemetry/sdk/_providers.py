"""The OTel providers of own mode, connected to our queues, senders and readers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator

from otel_ml import semconv
from otel_ml._telemetry._queues import RecordQueue
from otel_ml._telemetry.delivery._outbox import Outbox
from otel_ml._telemetry.delivery._sender import Sender
from otel_ml._telemetry.ids import Ids
from otel_ml._telemetry.metrics import _reader
from otel_ml._telemetry.metrics._reader import Reader
from otel_ml._telemetry.metrics._store import CellStore
from otel_ml._telemetry.otlp import _encoding, _repair
from otel_ml._telemetry.records import EventData
from otel_ml._telemetry.sdk import _exporters
from otel_ml._telemetry.sdk._guarded_plugins import GuardedSampler, LogProcessors
from otel_ml._telemetry.sdk._processors import (
    Flush,
    SdkLogProcessor,
    SdkSpanProcessor,
    SenderMetricExporter,
    SpanProcessors,
)
from otel_ml._telemetry.sdk._remote_budget import RemoteBudget
from otel_ml._telemetry.sdk.id_generator import SeedProofIdGenerator
from otel_ml.config import EXPLICIT, Config, ConfigError, Signal

ENV_ID_GENERATOR: Final = "OTEL_PYTHON_ID_GENERATOR"
_OUR_GENERATOR: Final = "otel_ml"
_SDK_SAMPLERS: Final = "opentelemetry.sdk.trace.sampling"
_SEVERITY: Final = {"INFO": SeverityNumber.INFO, "ERROR": SeverityNumber.ERROR}


def id_generator(ids: Ids) -> IdGenerator:
    """Returns the generator that OTEL_PYTHON_ID_GENERATOR names, or ours."""
    name = os.environ.get(ENV_ID_GENERATOR, "").strip()
    if name in {"", _OUR_GENERATOR}:
        return SeedProofIdGenerator(ids)
    for entry in entry_points(group="opentelemetry_id_generator", name=name):
        generator: IdGenerator = entry.load()()
        return generator
    raise ConfigError(f"{ENV_ID_GENERATOR} names {name!r}, which is not installed: install it or remove the variable")


def record_queues(config: Config, senders: Mapping[Signal, Sender]) -> dict[Signal, RecordQueue[Any]]:
    """Returns the queues of SDK spans and SDK log records, for the signals that we send."""
    queues: dict[Signal, RecordQueue[Any]] = {}
    if "traces" in senders:
        spans = _repair.encode_or_repair(_encoding.encode_sdk_spans, _repair.repair_span)
        queues["traces"] = RecordQueue("traces", spans, senders["traces"], limit=config.span_queue_size)
    if "logs" in senders:
        records = _repair.encode_or_repair(_encoding.encode_sdk_logs, _repair.repair_log)
        queues["logs"] = RecordQueue("logs", records, senders["logs"], limit=config.log_queue_size)
    return queues


def span_processors(
    config: Config, queue: RecordQueue[Any] | None, *, flush: Flush, on_foreign: Callable[[str], None]
) -> SpanProcessors:
    """Returns our processors; ``on_foreign`` gets the name of each that is added later."""
    processors = SpanProcessors(on_foreign)
    if queue is not None:
        processors.add_own(SdkSpanProcessor(queue, flush))
    for processor in _exporters.span_processors(config.traces):
        processors.add_sdk(processor)
    return processors


def tracer_provider(
    config: Config, resource: Resource, generator: IdGenerator, processors: SpanProcessors
) -> TracerProvider:
    """Returns a provider without an exit function: the engine ends it."""
    provider = TracerProvider(
        resource=resource, shutdown_on_exit=False, active_span_processor=processors, id_generator=generator
    )
    if type(provider.sampler).__module__ != _SDK_SAMPLERS:
        provider.sampler = GuardedSampler(provider.sampler)
    if config.remote_traces_per_second is not None:
        provider.sampler = RemoteBudget(provider.sampler, config.remote_traces_per_second)
    return provider


def log_processors(config: Config, queue: RecordQueue[Any] | None, *, flush: Flush) -> LogProcessors:
    """Returns our processor and those of the SDK exporters that the settings ask for."""
    processors = LogProcessors()  # type: ignore[no-untyped-call]
    if queue is not None:
        processors.add_own(SdkLogProcessor(queue, flush))
    for processor in _exporters.log_processors(config.logs):
        processors.add_log_record_processor(processor)
    return processors


def readers(
    config: Config, outbox: Outbox, store: CellStore, *, count: Callable[[], int], from_zero: Callable[[str], bool]
) -> list[Reader]:
    """Returns one reader for each exporter of metrics.

    Args:
        config: The settings in force.
        outbox: Delivers the metrics to our receiver.
        store: Adds the folded cells.
        count: Returns the predictions so far.
        from_zero: Returns whether a metric of the SDK, given by its name, counts from the start of this process.
    """
    temporality = _reader.temporality(config.metric_temporality)
    aggregation = _reader.aggregation(config.histogram_aggregation)
    preferences = _reader.Preferences(config.metrics.timeout, temporality, aggregation)
    exporters: list[MetricExporter] = []
    delivery = outbox.deliveries.get("metrics")
    if delivery is not None:
        exporters.append(SenderMetricExporter(delivery, temporality, outbox.senders.get("metrics")))
    exporters += _exporters.metric_exporters(config.metrics, temporality)
    return [
        Reader(
            exporter,
            store.view(is_primary=index == 0, delta=bool(temporality), from_zero=from_zero),
            interval=config.metric_export_interval,
            preferences=preferences,
            count=count,
        )
        for index, exporter in enumerate(exporters)
    ]


def notes(config: Config) -> list[str]:
    """Returns lines for `otel-ml doctor` about settings that are not the defaults."""
    lines = []
    if config.histogram_aggregation != EXPLICIT:
        lines.append(
            f"metrics: histograms of predictions keep their explicit buckets; others are {config.histogram_aggregation}"
        )
    if config.spool_dir is not None:
        lines.append(f"spool: {config.spool_dir}, at most {config.spool_size} bytes; cumulative metrics need none")
    if config.remote_traces_per_second is not None:
        lines.append(f"traces: remote callers may force {config.remote_traces_per_second:g} a second")
    if config.flush_on_sigterm:
        lines.append("SIGTERM: queued telemetry is sent first, unless the service handles the signal")
    return lines


def meter_provider(resource: Resource, metric_readers: list[MetricReader]) -> MeterProvider:
    """Returns a provider for these readers without an exit function: the engine ends them."""
    return MeterProvider(metric_readers=metric_readers, resource=resource, shutdown_on_exit=False)


def child_resource(parent: Resource, instance_id: str) -> Resource:
    """Returns the resource of a forked child; resource detectors do not run again."""
    changed: dict[str, str | int] = {semconv.SERVICE_INSTANCE_ID: instance_id}
    if semconv.PROCESS_PID in parent.attributes:
        changed[semconv.PROCESS_PID] = os.getpid()
    return Resource({**parent.attributes, **changed}, parent.schema_url)


def event_emitter(provider: LoggerProvider) -> Callable[[EventData], None]:
    """Returns a function that emits events through the OTel API, for exporters that our sender does not serve."""
    logger = provider.get_logger(semconv.SCOPE)

    def emit(event: EventData) -> None:
        span_context = trace.SpanContext(
            event.trace_id, event.span_id, is_remote=False, trace_flags=trace.TraceFlags(event.trace_flags)
        )
        logger.emit(
            timestamp=event.time_ns,
            observed_timestamp=event.time_ns,
            context=trace.set_span_in_context(trace.NonRecordingSpan(span_context)),
            severity_number=_SEVERITY[event.severity],
            severity_text=event.severity,
            body=event.body,
            attributes=event.attributes,
            event_name=event.name,
        )

    return emit
