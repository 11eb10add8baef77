"""The SDK's console exporters, for what our own senders do not speak."""

from __future__ import annotations

import sys

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otel_ml.config import SignalConfig


def has_console(config: SignalConfig) -> bool:
    """Whether the SDK's console exporter is set for this signal; it needs every record as an SDK object."""
    return "console" in config.exporters


def span_processors(config: SignalConfig) -> list[SpanProcessor]:
    """Returns the processor of the console, if it is set."""
    return [SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout))] if has_console(config) else []


def log_processors(config: SignalConfig) -> list[LogRecordProcessor]:
    """Returns the processor of the console, if it is set."""
    return [SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=sys.stdout))] if has_console(config) else []


def metric_exporters(config: SignalConfig, temporality: dict[type, AggregationTemporality]) -> list[MetricExporter]:
    """Returns the exporter of the console, if it is set."""
    return [ConsoleMetricExporter(out=sys.stdout, preferred_temporality=temporality)] if has_console(config) else []


def describe_path(signal: str, config: SignalConfig) -> list[str]:
    """Returns lines for `otel-ml doctor` about a signal that does not take the fast path."""
    lines = []
    if has_console(config):
        lines.append(f"{signal}: SDK path, because the console exporter needs every record")
    if not config.exporters:
        lines.append(f"{signal}: not exported (exporter none)")
    return lines
