"""A health probe is dropped with its trace or kept whole, in every form in which probes come.

Sources: open-telemetry/opentelemetry-collector-contrib#28890 and grafana/alloy#6839 (children stay as orphans),
envoyproxy/envoy#3569 (more paths than one list has), aws-observability/aws-otel-collector#1041 (the agent of a load balancer),
open-telemetry/opentelemetry-demo#3612 (probes over gRPC), kserve/kserve#4277 (models that are asked whether they are ready),
ivanball/MMCA.Common#346 (`/alive` and its children).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pipeline_servers import collector_environment, eventually, otlp_backend, running_collector

NOW = str(time.time_ns())

PROBES: list[dict[str, str]] = [
    *({"url.path": path} for path in ("/healthz", "/metrics", "/health/live", "/healthz/ready", "/readyz/", "/livez")),
    *(
        {"url.path": path}
        for path in ("/actuator/health", "/actuator/health/liveness", "/v2/health/ready", "/-/healthy")
    ),
    {"http.target": "/healthz?verbose"},
    {"url.path": "/up", "user_agent.original": "kube-probe/1.31"},
    {"rpc.service": "grpc.health.v1.Health"},
    *(
        {"url.path": path}
        for path in ("/alive", "/Health", "/api/health", "/api/v1/healthcheck", "/q/health/live", "/_health")
    ),
    *({"url.path": path} for path in ("/__lbheartbeat__", "/livez/ping", "/v2/models/fraud/ready", "/_ah/health")),
    {"http.user_agent": "kube-probe/1.31"},
    *(
        {"user_agent.original": agent}
        for agent in ("Envoy/HC", "Consul Health Check", "Prometheus/3.1", "HealthCheck/1.0")
    ),
    *(
        {"user_agent.original": agent}
        for agent in ("Amazon-Route53-Health-Check-Service (ref 1)", "ELB-HealthChecker/2.0")
    ),
    {"rpc.method": "grpc.health.v1.Health/Check"},
]
REQUESTS: list[dict[str, str]] = [
    {"url.path": path}
    for path in ("/health/records", "/healthcare", "/metrics/7", "/livestream", "/users/7/health", "/predict")
] + [
    *(
        {"url.path": path}
        for path in (
            "/v2/models/fraud/infer",
            "/v2/models/ready",
            "/v1/metrics",
            "/api/live",
            "/api/alive/7",
            "/status",
            "/",
        )
    ),
    {"user_agent.original": "Mozilla/5.0 (kube-probe)"},
    {"rpc.method": "shop.Orders/Check"},
]


def trace(number: int, attributes: dict[str, str], parent: str = "") -> list[dict[str, Any]]:
    """A server span and a child of it; a parent in another process makes it a part of a request."""
    common = {"traceId": f"{number:032x}", "startTimeUnixNano": NOW, "endTimeUnixNano": NOW}
    pairs = [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    server = {
        **common,
        "spanId": f"{number:016x}",
        "parentSpanId": parent,
        "name": "server",
        "kind": 2,
        "attributes": pairs,
    }
    child = {**common, "spanId": f"{number + 4096:016x}", "parentSpanId": f"{number:016x}", "name": "child", "kind": 1}
    return [child, server]


def kept(otelcol: Path, folder: Path, traces: list[list[dict[str, Any]]], **environment: str) -> list[int]:
    """How many spans of each trace reach the back end."""
    last = trace(4000, {"url.path": "/last"})
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span for each in traces for span in each] + last}]}]}
    with otlp_backend() as backend:
        variables = collector_environment(backend.address, folder, **environment)
        with running_collector(otelcol, variables, folder) as collector:
            assert collector.send_json("/v1/traces", json.dumps(body).encode()) == 200
            messages = eventually(lambda: backend.received("/v1/traces"))
    (resource,) = messages[0].resource_spans
    assert not resource.resource.attributes
    arrived = [span.trace_id.hex() for scope in resource.scope_spans for span in scope.spans]
    return [arrived.count(each[0]["traceId"]) for each in traces]


def test_probes_leave_no_orphans(otelcol: Path, tmp_path: Path) -> None:
    """A probe goes with its children; a request to a similar path, and a call from within a request, stay whole."""
    traces = [trace(number, attributes) for number, attributes in enumerate([*PROBES, *REQUESTS], 1)]
    traces.append(trace(500, {"url.path": "/healthz"}, parent="00000000000000aa"))
    assert kept(otelcol, tmp_path, traces) == [0] * len(PROBES) + [2] * (len(REQUESTS) + 1)


def test_the_list_of_probes_can_be_set(otelcol: Path, tmp_path: Path) -> None:
    """OTELCOL_PROBE_PATHS replaces the list of paths."""
    traces = [trace(1, {"url.path": "/up"}), trace(2, {"url.path": "/healthz"})]
    assert kept(otelcol, tmp_path, traces, OTELCOL_PROBE_PATHS="^/up") == [0, 2]


def test_a_list_that_matches_everything_is_none(otelcol: Path, tmp_path: Path) -> None:
    """An expression with an empty part matches every path; it must not drop every request."""
    traces = [trace(1, {"url.path": "/predict"}), trace(2, {"url.path": "/healthz"})]
    assert kept(otelcol, tmp_path, traces, OTELCOL_PROBE_PATHS="^/(up|)") == [2, 0]
