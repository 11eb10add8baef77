"""The queues on disk of the real Collector: a back end that is down, a Collector that is killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_servers import (
    Backend,
    Collector,
    collector_environment,
    eventually,
    otlp_backend,
    running_collector,
)


def one_span(name: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    scope.spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, name=name, start_time_unix_nano=1, end_time_unix_nano=2)
    return request


def names(backend: Backend) -> list[str]:
    """Returns the names of all received spans, in order."""
    return [
        span.name
        for request in backend.received("/v1/traces")
        for resource in request.resource_spans  # type: ignore[attr-defined]
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_a_back_end_that_comes_back_gets_what_it_missed(collector: Collector, backend: Backend) -> None:
    """While the back end answers 503 data stays queued, and its reason is in the log; after recovery it is delivered once."""
    backend.status, backend.reason = 503, "the disk is full\n"
    assert collector.send("/v1/traces", one_span("missed")) == 200
    eventually(lambda: "Status Code 503, Message=the disk is full, Details" in collector.log.read_text())
    assert names(backend) == []
    backend.status = 200
    eventually(lambda: names(backend))
    assert collector.stop() == 0
    assert names(backend) == ["missed"]


def test_a_killed_collector_keeps_its_queue(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """Data that was accepted but not delivered survives SIGKILL and is delivered by the next Collector."""
    environment = collector_environment(backend.address, tmp_path)
    backend.status = 503
    with running_collector(otelcol, environment, tmp_path) as first:
        assert first.send("/v1/traces", one_span("survivor")) == 200
        eventually(lambda: backend.refused)
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    backend.status = 200
    with running_collector(otelcol, environment, tmp_path):
        eventually(lambda: names(backend) == ["survivor"])


def test_a_stopped_collector_keeps_its_queue(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """A Collector that is stopped while nobody answers keeps the data, and the next one delivers it, wherever its back end is then.

    The stop succeeds, although nobody takes its own last metrics. Source: open-telemetry/opentelemetry-collector-contrib#50102.
    """
    environment = collector_environment("http://127.0.0.1:1", tmp_path)
    with running_collector(otelcol, environment, tmp_path) as first:
        assert first.send("/v1/traces", one_span("patient")) == 200
        eventually(lambda: "Exporting failed. Will retry" in first.log.read_text())
        assert first.stop() == 0
        assert "The last metrics of this Collector itself were not delivered" in first.log.read_text()
    with running_collector(otelcol, collector_environment(backend.address, tmp_path), tmp_path):
        eventually(lambda: names(backend) == ["patient"])


def test_one_back_end_down_does_not_hold_the_others(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """Each exporter has its own queue: traces are delivered while the metrics back end refuses everything."""
    with otlp_backend() as metrics:
        metrics.status = 503
        environment = collector_environment(backend.address, tmp_path)
        environment["PROMETHEUS_OTLP_ENDPOINT"] = metrics.address
        environment["OTELCOL_SELF_INTERVAL_MS"] = "200"
        with running_collector(otelcol, environment, tmp_path) as running:
            eventually(lambda: metrics.refused)
            running.send("/v1/traces", one_span("unhindered"))
            eventually(lambda: names(backend) == ["unhindered"])
            metrics.status = 200
            eventually(lambda: metrics.requests)


def test_what_does_not_fit_is_refused_and_counted(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """A file at its limit refuses requests and counts their records.

    Source: open-telemetry/opentelemetry-collector#7198.
    """
    large = ExportLogsServiceRequest()
    records = large.resource_logs.add().scope_logs.add().log_records
    for _ in range(60):
        records.add(time_unix_nano=time.time_ns()).body.string_value = "x" * 240_000
    with otlp_backend() as own_metrics:
        environment = collector_environment(backend.address, tmp_path, OTELCOL_QUEUE_BYTES="104857600")
        environment |= {"PROMETHEUS_OTLP_ENDPOINT": own_metrics.address, "OTELCOL_SELF_INTERVAL_MS": "200"}
        backend.status = 503
        with running_collector(otelcol, environment, tmp_path) as running:
            answers = [running.send("/v1/logs", large) for _ in range(4)]
            eventually(lambda: refused_records(own_metrics) == 60 * answers.count(503))
    assert (answers[0], answers[-1]) == (200, 503)


def refused_records(own_metrics: Backend) -> int:
    """Returns how many log records did not fit into a queue, by the Collector's own metrics."""
    return max(
        (
            point.as_int
            for request in own_metrics.received("/v1/metrics")
            for resource in request.resource_metrics  # type: ignore[attr-defined]
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "otelcol_exporter_enqueue_failed_log_records"
            for point in metric.sum.data_points
        ),
        default=0,
    )
