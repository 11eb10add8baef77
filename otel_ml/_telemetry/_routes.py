"""Exporters other than our own senders: gRPC and console run on the stock path of the SDK."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

from otel_ml._telemetry import _encode
from otel_ml._telemetry.ledger import Book
from otel_ml.config import SignalConfig

_GRPC: Final = "opentelemetry.exporter.otlp.proto.grpc"


class Counted:
    """A stock exporter whose results are written in the book; the SDK's processors only use these methods."""

    def __init__(self, exporter: Any, book: Book, count: Callable[[Any], int]) -> None:
        self._exporter = exporter
        self._book = book
        self._count = count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)

    def export(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        """Exports; everything but success is counted as dropped, since the stock exporter does not say why."""
        count = self._count(batch)
        self._book.produce(count)
        delivered = False
        try:
            result = self._exporter.export(batch, *args, **kwargs)
            delivered = result.name == "SUCCESS"
        finally:
            if delivered:
                self._book.settle(delivered=count)
            else:
                self._book.drop("retry_exhausted", count)
        return result


def span_processors(config: SignalConfig, book: Book) -> list[SpanProcessor]:
    """Stock processors for what our sender does not speak."""
    processors: list[SpanProcessor] = []
    if is_grpc(config):
        exporter = _grpc("trace_exporter", "OTLPSpanExporter", config)
        processors.append(BatchSpanProcessor(Counted(exporter, book, len)))  # type: ignore[arg-type]
    if "console" in config.exporters:
        processors.append(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout)))
    return processors


def log_processors(config: SignalConfig, book: Book) -> list[LogRecordProcessor]:
    """Stock processors for what our sender does not speak."""
    processors: list[LogRecordProcessor] = []
    if is_grpc(config):
        exporter = _grpc("_log_exporter", "OTLPLogExporter", config)
        processors.append(BatchLogRecordProcessor(Counted(exporter, book, len)))  # type: ignore[arg-type]
    if "console" in config.exporters:
        processors.append(SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=sys.stdout)))
    return processors


def metric_exporters(
    config: SignalConfig, book: Book, temporality: dict[type, AggregationTemporality]
) -> list[MetricExporter]:
    """Stock exporters for what our sender does not speak."""
    exporters: list[Any] = []
    if is_grpc(config):
        exporter = _grpc("metric_exporter", "OTLPMetricExporter", config, preferred_temporality=temporality)
        exporters.append(Counted(exporter, book, lambda data: sum(one.points for one in _encode.stock_metrics(data))))
    if "console" in config.exporters:
        exporters.append(ConsoleMetricExporter(out=sys.stdout, preferred_temporality=temporality))
    return exporters


def is_grpc(config: SignalConfig) -> bool:
    """Whether this signal goes by OTLP over gRPC."""
    return "otlp" in config.exporters and config.protocol == "grpc"


def is_sent(config: SignalConfig) -> bool:
    """Whether our own sender carries this signal."""
    return "otlp" in config.exporters and config.protocol == "http/protobuf"


def only_ours(config: SignalConfig) -> bool:
    """Whether no stock exporter has a part in this signal."""
    return not is_grpc(config) and "console" not in config.exporters


def why_stock(signal: str, config: SignalConfig) -> Sequence[str]:
    """Lines for `otel-ml doctor` about a signal that leaves the fast path."""
    lines = []
    if is_grpc(config):
        lines.append(f"{signal}: stock path, since the protocol is grpc; its ledger begins at the exporter")
    if "console" in config.exporters:
        lines.append(f"{signal}: stock path, since the console exporter wants every record")
    if not config.exporters:
        lines.append(f"{signal}: not exported (exporter none)")
    return lines


def _grpc(module: str, name: str, config: SignalConfig, **keywords: Any) -> Any:
    exporter = getattr(import_module(f"{_GRPC}.{module}"), name)
    return exporter(
        endpoint=config.endpoint,
        headers=tuple(config.headers.items()) or None,
        timeout=config.timeout,
        **keywords,
    )
