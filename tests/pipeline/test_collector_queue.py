"""The queues on disk of the real Collector: a back end that is down, a Collector that is killed."""

from __future__ import annotations

import signal
from pathlib import Path

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
    """A Collector stopped during a retry keeps the data, and the next Collector delivers it."""
    environment = collector_environment(backend.address, tmp_path)
    backend.status = 503
    with running_collector(otelcol, environment, tmp_path) as first:
        assert first.send("/v1/traces", one_span("patient")) == 200
        eventually(lambda: backend.refused)
        first.stop()
    backend.status = 200
    with running_collector(otelcol, environment, tmp_path):
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
