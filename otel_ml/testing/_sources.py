"""Where the kit reads telemetry: from our engine, or from SDK providers."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_ml._telemetry.sdk.id_generator import SeedProofIdGenerator
from otel_ml.semconv import SERVICE_INSTANCE_ID, SERVICE_NAME
from otel_ml.testing import _decode

if TYPE_CHECKING:
    from otel_ml._telemetry.engine import OwnEngine
    from otel_ml.testing._clock_and_ids import CountingIds
    from otel_ml.testing._memory_transport import MemoryTransport


class TelemetrySource:
    """Gives OTLP requests and decodes them."""

    def flush_records(self) -> None:
        """Exports the spans and log records that are queued."""

    def collect(self) -> None:
        """Collects metrics once; `requests` returns this collection only."""
        raise NotImplementedError

    def requests(self, signal: str) -> list[bytes]:
        raise NotImplementedError

    def spans(self) -> list[dict[str, Any]]:
        return _decode.spans(self.requests("traces"))

    def logs(self) -> list[dict[str, Any]]:
        return _decode.logs(self.requests("logs"))

    def metrics(self) -> dict[str, list[dict[str, Any]]]:
        return _decode.metrics(self.requests("metrics"))

    def instruments(self) -> dict[str, dict[str, str]]:
        return _decode.instruments(self.requests("metrics"))

    def resource(self) -> dict[str, Any]:
        return _decode.resource(self.requests("metrics"))


class OwnSource(TelemetrySource):
    """Reads the OTLP bytes that our engine would have sent."""

    def __init__(self, engine: OwnEngine, transports: dict[str, MemoryTransport], timeout: float) -> None:
        self._engine = engine
        self._transports = transports
        self._timeout = timeout

    def flush_records(self) -> None:
        self._engine.flush_records(monotonic() + self._timeout)

    def collect(self) -> None:
        if "metrics" in self._transports:
            self._transports["metrics"].requests.clear()
        self._engine.flush(monotonic() + self._timeout)

    def requests(self, signal: str) -> list[bytes]:
        transport = self._transports.get(signal)
        return [] if transport is None else list(transport.requests)


class GuestSource(TelemetrySource):
    """Reads SDK providers with the SDK's in-memory exporters."""

    def __init__(self, ids: CountingIds | None, instance: str) -> None:
        resource = Resource.create({SERVICE_NAME: "test", SERVICE_INSTANCE_ID: instance})
        generator = SeedProofIdGenerator() if ids is None else SeedProofIdGenerator(ids)
        self._span_exporter = InMemorySpanExporter()
        self._log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self._reader = InMemoryMetricReader()
        self._collected: list[bytes] = []
        self.tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=generator)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._span_exporter))
        self.logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._log_exporter))
        self.meter_provider = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)

    def collect(self) -> None:
        data = self._reader.get_metrics_data()
        self._collected = [] if data is None else [encode_metrics(data).SerializeToString()]

    def requests(self, signal: str) -> list[bytes]:
        if signal == "traces":
            return [encode_spans(self._span_exporter.get_finished_spans()).SerializeToString()]
        if signal == "logs":
            return [encode_logs(self._log_exporter.get_finished_logs()).SerializeToString()]
        return self._collected
