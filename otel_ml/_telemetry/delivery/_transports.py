"""Which way a signal goes: by our own sender over HTTP or gRPC, and by the stock console exporter."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otel_ml._export.transport import HttpTransport, Transport
from otel_ml.config import Signal, SignalConfig


def span_processors(config: SignalConfig) -> list[SpanProcessor]:
    """Stock processors for what our sender does not speak."""
    return [SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout))] if "console" in config.exporters else []


def log_processors(config: SignalConfig) -> list[LogRecordProcessor]:
    """Stock processors for what our sender does not speak."""
    return [SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=sys.stdout))] if "console" in config.exporters else []


def metric_exporters(config: SignalConfig, temporality: dict[type, AggregationTemporality]) -> list[MetricExporter]:
    """Stock exporters for what our sender does not speak."""
    if "console" not in config.exporters:
        return []
    return [ConsoleMetricExporter(out=sys.stdout, preferred_temporality=temporality)]


def transport(signal: Signal, config: SignalConfig) -> Transport:
    """What carries the requests of one signal, by its protocol."""
    if config.protocol == "grpc":
        from otel_ml._telemetry.delivery._grpc import GrpcTransport

        return GrpcTransport(signal, config)
    return HttpTransport(signal, config)


def is_sent(config: SignalConfig) -> bool:
    """Whether our own sender carries this signal."""
    return "otlp" in config.exporters


def only_ours(config: SignalConfig) -> bool:
    """Whether no stock exporter has a part in this signal."""
    return "console" not in config.exporters


def why_stock(signal: str, config: SignalConfig) -> Sequence[str]:
    """Lines for `otel-ml doctor` about a signal that leaves the fast path."""
    lines = []
    if "console" in config.exporters:
        lines.append(f"{signal}: SDK path, because the console exporter wants every record")
    if not config.exporters:
        lines.append(f"{signal}: not exported (exporter none)")
    return lines
