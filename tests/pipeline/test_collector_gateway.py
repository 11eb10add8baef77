"""Tail sampling of the real Collector: which traces a gateway keeps."""

from __future__ import annotations

import json
from pathlib import Path

import verify
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from pipeline_servers import (
    ROOT,
    Backend,
    collector_environment,
    eventually,
    prometheus,
    promql,
    running_collector,
    write_settings,
)

MILLISECOND = 1_000_000


def traces(prefix: str = "") -> ExportTraceServiceRequest:
    """Returns a span of a trace for each reason to keep it, and of one without a reason."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    values = {
        "ordinary": {"ml.prediction.score": AnyValue(double_value=0.97)},
        "low score": {"ml.prediction.score": AnyValue(double_value=0.42)},
        "exemplar": {"otelml.exemplar": AnyValue(bool_value=True)},
        "canary": {"ml.model.role": AnyValue(string_value="canary")},
        "primary": {"ml.model.role": AnyValue(string_value="primary")},
        "slow": {},
        "error": {},
    }
    for number, (name, attributes) in enumerate(values.items()):
        span = scope.spans.add(trace_id=bytes([number + 1]) * 16, span_id=b"\1" * 8, name=prefix + name)
        span.start_time_unix_nano = 1
        span.end_time_unix_nano = 1 + (700 if name == "slow" else 3) * MILLISECOND
        span.status.code = Status.STATUS_CODE_ERROR if name == "error" else Status.STATUS_CODE_UNSET
        attributes = {**attributes, "db.password": AnyValue(string_value="hunter2")}
        span.attributes.extend(KeyValue(key=key, value=value) for key, value in attributes.items())
    return request


def test_a_gateway_keeps_traces_with_a_reason(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """Errors, slow calls, low scores, exemplars and canaries are kept, with their late spans and redacted; without a baseline nothing else is."""
    environment = collector_environment(
        backend.address, tmp_path, OTELCOL_DECISION_WAIT="1s", OTELCOL_BASELINE_PERCENT="0"
    )
    with running_collector(otelcol, environment, tmp_path, ["agent.yaml", "gateway.yaml"]) as running:
        assert running.send("/v1/traces", traces()) == 200

        def kept() -> set[str]:
            return {
                span.name
                for request in backend.received("/v1/traces")
                for resource in request.resource_spans  # type: ignore[attr-defined]
                for scope in resource.scope_spans
                for span in scope.spans
            }

        eventually(lambda: len(kept()) >= 5)
        assert running.send("/v1/traces", traces("late ")) == 200
        eventually(lambda: len(kept()) >= 10)
        running.stop()
    names = {"low score", "exemplar", "canary", "slow", "error"}
    assert kept() == names | {f"late {name}" for name in names}
    assert b"hunter2" not in b"".join(each.SerializeToString() for each in backend.received("/v1/traces"))


def test_the_panels_about_gateways_have_data(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """Each query of the row *Gateways* returns data of a real gateway: decisions, reasons, traces that wait, late spans."""
    panels = json.loads((ROOT / "deploy/grafana/dashboards/telemetry.json").read_text())["panels"]
    start = next(number for number, panel in enumerate(panels) if panel["title"] == "Gateways")
    end = next(n for n, panel in enumerate(panels) if n > start and panel["type"] == "row")
    values = {"environment": ".*", "cluster": ".*", "__rate_interval": "5m"}
    queries = [verify.fill_in(each["expr"], values) for panel in panels[start + 1 : end] for each in panel["targets"]]
    assert len(queries) == 7
    with prometheus(tmp_path, write_settings(tmp_path), "created-timestamp-zero-ingestion") as address:
        environment = collector_environment(
            backend.address, tmp_path, OTELCOL_DECISION_WAIT="1s", OTELCOL_SELF_INTERVAL_MS="200"
        )
        environment["PROMETHEUS_OTLP_ENDPOINT"] = f"{address}/api/v1/otlp"
        with running_collector(otelcol, environment, tmp_path, ["agent.yaml", "gateway.yaml"]) as running:
            assert running.send("/v1/traces", traces()) == 200
            eventually(lambda: backend.received("/v1/traces"))
            assert running.send("/v1/traces", traces("late ")) == 200
            eventually(lambda: all(promql(address, each) for each in queries))
