"""Handwritten OTLP through the real Collector, read back from real Prometheus, VictoriaLogs and Jaeger."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import built_servers
import pytest
import verify
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from pipeline_servers import ROOT, Stack, eventually, post

IDENTITY = {"ml.model.name": "fraud", "ml.model.version": "1.0.0", "ml.model.role": "primary"}
RESOURCE = {
    "service.name": "fraud-api",
    "service.instance.id": "4f7a",
    "service.version": "2.1.0",
    "deployment.environment.name": "test",
}
COUNT = 3


def key_values(values: dict[str, str | float | bool]) -> list[KeyValue]:
    kinds = {bool: "bool_value", str: "string_value", float: "double_value", int: "int_value"}
    return [KeyValue(key=key, value=AnyValue(**{kinds[type(value)]: value})) for key, value in values.items()]


def spans(ids: list[tuple[bytes, bytes]], now: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(key_values(RESOURCE))
    scope = group.scope_spans.add()
    for number, (trace_id, span_id) in enumerate(ids):
        span = scope.spans.add(trace_id=trace_id, span_id=span_id, name="predict fraud", kind=1)
        span.start_time_unix_nano, span.end_time_unix_nano = now - 4_000_000, now
        span.attributes.extend(key_values(IDENTITY | {"ml.prediction.id": f"p-{number}", "otelml.exemplar": True}))
    return request


def events(ids: list[tuple[bytes, bytes]], now: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(key_values(RESOURCE))
    scope = group.scope_logs.add()
    for number, (trace_id, span_id) in enumerate(ids):
        record = scope.log_records.add(trace_id=trace_id, span_id=span_id, event_name="ml.prediction")
        record.time_unix_nano = record.observed_time_unix_nano = now
        record.severity_number, record.severity_text = 9, "INFO"
        body = {"features": {"age": 39, "email": "canary@example.org"}, "prediction": 1, "score": 0.93}
        record.body.string_value = json.dumps(body)
        record.attributes.extend(key_values(IDENTITY | {"ml.prediction.id": f"p-{number}"}))
    return request


def counter(metric: Metric, value: int, now: int, **attributes: str) -> None:
    metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    metric.sum.is_monotonic = True
    point = metric.sum.data_points.add(as_int=value, time_unix_nano=now, start_time_unix_nano=now - 60_000_000_000)
    point.attributes.extend(key_values({**IDENTITY, **{key.replace("__", "."): v for key, v in attributes.items()}}))


def points(ids: list[tuple[bytes, bytes]], now: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values(RESOURCE))
    scope = group.scope_metrics.add()
    counter(scope.metrics.add(name="ml.predictions", unit="{prediction}"), COUNT, now)
    outcomes = scope.metrics.add(name="ml.eval.outcomes", unit="{prediction}")
    counter(outcomes, 1, now, ml__eval__predicted="1", ml__eval__actual="1")
    counter(outcomes, 1, now, ml__eval__predicted="1", ml__eval__actual="0")
    duration = scope.metrics.add(name="ml.prediction.duration", unit="s").histogram
    duration.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    point = duration.data_points.add(count=COUNT, sum=0.012, time_unix_nano=now)
    point.start_time_unix_nano = now - 60_000_000_000
    point.explicit_bounds.extend([0.001, 0.01])
    point.bucket_counts.extend([0, COUNT, 0])
    point.attributes.extend(key_values(IDENTITY))
    trace_id, span_id = ids[0]
    point.exemplars.add(as_double=0.004, time_unix_nano=now, trace_id=trace_id, span_id=span_id)
    return request


@pytest.fixture(scope="module")
def servers(stack: Stack) -> verify.Servers:
    """Returns the query APIs after three predictions have passed the Collector."""
    ids = [(os.urandom(16), os.urandom(8)) for _ in range(COUNT)]
    now = time.time_ns()
    for path, request in (
        ("/v1/traces", spans(ids, now)),
        ("/v1/logs", events(ids, now)),
        ("/v1/metrics", points(ids, now)),
    ):
        address = stack.addresses["collector"] + path
        assert post(address, request.SerializeToString(), "application/x-protobuf") == 200
    jaeger = stack.addresses["jaeger"].removesuffix("/api/services")
    logs = stack.addresses["victoria-logs"].removesuffix("/select/vmui")
    return verify.Servers(stack.addresses["prometheus"], logs, jaeger)


def test_every_server_holds_every_prediction(servers: verify.Servers) -> None:
    """Metrics, events and traces agree, the labels give the accuracy, and nothing is lost."""
    counts = verify.stable_counts(servers, 30.0)
    assert counts == verify.Counts(
        predictions=COUNT,
        traces=COUNT,
        events=COUNT,
        metric_predictions=COUNT,
        labels=2,
        accuracy=0.5,
        lost=0,
    )
    assert counts.agree
    assert not replace(counts, events=COUNT - 1).agree


def test_an_exemplar_leads_to_its_trace_and_event(servers: verify.Servers) -> None:
    """An exemplar of the real Prometheus leads to the span in Jaeger and the event in VictoriaLogs."""
    eventually(lambda: servers.exemplars(verify.DURATION_BUCKET))
    verify.stable_counts(servers, 30.0)
    assert verify.follow_exemplar(servers) == "p-0"


def test_metric_labels_are_those_that_rules_group_by(servers: verify.Servers) -> None:
    """Service, instance, version and environment become labels beside the model's identity."""
    series = eventually(lambda: servers.promql("ml_predictions_total"))
    assert [each["metric"] for each in series] == [
        {
            "__name__": "ml_predictions_total",
            "job": "fraud-api",
            "instance": "4f7a",
            "service_name": "fraud-api",
            "service_instance_id": "4f7a",
            "service_version": "2.1.0",
            "deployment_environment_name": "test",
            "ml_model_name": "fraud",
            "ml_model_version": "1.0.0",
            "ml_model_role": "primary",
        }
    ]


def test_an_event_is_found_by_its_prediction_id_and_redacted(servers: verify.Servers) -> None:
    """The log server has the body as one JSON text, without the value of the sensitive key."""
    found = eventually(lambda: servers.logsql('_time:1d "ml.prediction.id":="p-1"'))
    assert [json.loads(each["_msg"]) for each in found] == [
        {"features": {"age": 39, "email": "****"}, "prediction": 1, "score": 0.93}
    ]


def test_the_collectors_own_figures_arrive(servers: verify.Servers) -> None:
    """Queue sizes and accepted records of the Collector are in Prometheus without a scrape."""
    names = ["otelcol_exporter_queue_size", "otelcol_exporter_sent_log_records_total"]
    assert eventually(lambda: [name for name in names if servers.promql(name)] == names)


def test_all_rules_are_loaded_and_healthy(stack: Stack, servers: verify.Servers) -> None:
    """Prometheus has loaded every rule file through its own configuration, and no group reports an error."""
    with urllib.request.urlopen(stack.addresses["prometheus"] + "/api/v1/rules") as response:
        groups = json.load(response)["data"]["groups"]
    folder = ROOT / "deploy" / "prometheus"
    files = [*folder.glob("rules/*.yaml"), *folder.glob("alerts/*.yaml")]
    assert {Path(group["file"]).name for group in groups} == {file.name for file in files}
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []


def test_prometheus_configuration_is_valid() -> None:
    """promtool accepts the file and all rules that it names."""
    promtool = built_servers.binary("promtool")
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    checked = subprocess.run(
        [str(promtool), "check", "config", "--lint=none", str(config)],
        capture_output=True,
        text=True,
        env={**os.environ, "OTEL_ML_RUNBOOK": "https://wiki.example.org/runbook"},
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_dashboard_queries_run_with_variables_filled_in(servers: verify.Servers) -> None:
    """A query with data passes; one without data and one that Prometheus refuses are named."""
    dashboard: dict[str, Any] = {
        "templating": {"list": [{"name": "model", "type": "query"}, {"name": "ds", "type": "datasource"}]},
        "panels": [
            {"title": "Total", "targets": [{"expr": 'sum(ml_predictions_total{ml_model_name=~"$model"})'}]},
            {"title": "Row", "panels": [{"title": "Gone", "targets": [{"expr": "nothing[$__range]"}]}]},
            {"title": "Logs", "datasource": {"type": "loki"}, "targets": [{"expr": '{a="b"}'}]},
            {"title": "Wrong", "targets": [{"expr": "rate(ml_predictions_total[$unknown])"}]},
        ],
    }
    eventually(lambda: servers.promql("ml_predictions_total"))
    assert verify.empty_queries(servers, list(verify.dashboard_queries(dashboard))) == [
        "Wrong: refused with 400: rate(ml_predictions_total[$unknown])",
        "Gone: no data: nothing[15m]",
    ]
