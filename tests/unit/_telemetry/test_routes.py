"""gRPC takes the stock path of the SDK, and its ledger counts what the exporter said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from engine_samples import Sample, within

from otel_ml._telemetry._engine import OwnEngine
from otel_ml._telemetry.cells import Identity
from otel_ml._telemetry.ledger import Ledger
from otel_ml.config import Config

grpc = pytest.importorskip("grpc")


@pytest.fixture
def grpc_receiver():
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
    from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

    got: list = []

    def servicer(base, answer):
        class Servicer(base):
            def Export(self, request, context):
                got.append(request)
                return answer()

        return Servicer()

    server = grpc.server(ThreadPoolExecutor(2))
    traces_grpc.add_TraceServiceServicer_to_server(
        servicer(traces_grpc.TraceServiceServicer, traces.ExportTraceServiceResponse), server
    )
    logs_grpc.add_LogsServiceServicer_to_server(
        servicer(logs_grpc.LogsServiceServicer, logs.ExportLogsServiceResponse), server
    )
    metrics_grpc.add_MetricsServiceServicer_to_server(
        servicer(metrics_grpc.MetricsServiceServicer, metrics.ExportMetricsServiceResponse), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", got
    server.stop(0).wait()


def test_grpc_brings_all_signals_by_the_stock_path(grpc_receiver):
    """Spans, events and folded metrics arrive; light spans are off, and the doctor says why."""
    endpoint, got = grpc_receiver
    engine = OwnEngine(Config(protocol="grpc", endpoint=endpoint, instance_id="i"), periodic=False)
    engine.cells(Identity("m", "1", "primary"))
    with engine.tracer("t").start_as_current_span("s"):
        engine.offer(Sample(span_count=0))

    assert engine.flush(within())
    kinds = sorted(type(request).__name__ for request in got)
    ledger = engine.ledger()
    notes = engine.notes()
    engine.shutdown(within())

    assert kinds == ["ExportLogsServiceRequest", "ExportMetricsServiceRequest", "ExportTraceServiceRequest"]
    assert (ledger["traces"], ledger["logs"]) == (Ledger(1, 1), Ledger(1, 1))
    assert ledger["metrics"].delivered > 0
    assert engine.light_spans is False
    assert "traces: stock path, since the protocol is grpc; its ledger begins at the exporter" in notes
