"""What a gateway holds in memory until its decision goes to its queue when it stops, and is lost when it is killed.

Source: open-telemetry/opentelemetry-collector-contrib#26490.
"""

from __future__ import annotations

import signal
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from pipeline_servers import collector_environment, eventually, otlp_backend, running_collector


def failed(name: str) -> ExportTraceServiceRequest:
    """Returns a trace that every gateway keeps."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, name=name)
    span.status.code = Status.STATUS_CODE_ERROR
    return request


def test_a_stop_keeps_what_waits_for_a_decision(otelcol: Path, tmp_path: Path) -> None:
    """SIGTERM moves the traces that wait for their decision to the queue on disk; SIGKILL loses them, as the README says."""
    configs = ["agent.yaml", "gateway.yaml"]
    with otlp_backend() as backend:
        environment = collector_environment(backend.address, tmp_path, OTELCOL_DECISION_WAIT="1h")
        for name, how in (("killed", signal.SIGKILL), ("stopped", signal.SIGTERM)):
            with running_collector(otelcol, environment, tmp_path, configs) as running:
                assert running.send("/v1/traces", failed(name)) == 200
                running.stop(how)
        with running_collector(otelcol, environment, tmp_path, configs):
            (message,) = eventually(lambda: backend.received("/v1/traces"))
    (resource,) = message.resource_spans
    assert [span.name for span in resource.scope_spans[0].spans] == ["stopped"]
