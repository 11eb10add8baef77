"""What Zipkin, gRPC, Prometheus and senders of former times put into the same protocol."""

from __future__ import annotations

import math

import pytest
from console_feed import IDENTITY, logs, metrics, now, pairs, record, span, traces
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, Summary, SummaryDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ml import semconv
from otel_ml.console.web.details._waterfall import waterfall

SECOND = 10**9


def of_kind(kind, name, **more):
    """A span of a kind."""
    made = span(name, **more)
    made.kind = kind
    return made


def test_a_server_may_share_the_id_of_its_caller(console):
    """Both spans are stored, however often they come, and the page draws the server below its caller.

    Sources: grafana/tempo#682, grafana/grafana#69098, envoyproxy/envoy#31045.
    """
    trace, own = "a8" * 16, "a8" * 8
    called = of_kind(Span.SPAN_KIND_CLIENT, "call", trace=trace, own=own)
    prepared = span("prepare", trace=trace, own="a6" * 8, parent=own, start=now() + 1)
    served = of_kind(Span.SPAN_KIND_SERVER, "serve", trace=trace, own=own, start=now() + 2)
    inner = span("query", trace=trace, own="a7" * 8, parent=own, start=now() + 3)
    for _ in range(2):
        console.feed(traces(called, prepared, service="front"), traces(served, inner, service="back"))
    spans = console.get(f"/api/traces/{trace}")["spans"]
    assert [each["name"] for each in spans] == ["call", "prepare", "serve", "query"]
    drawn = [(bar.span["name"], bar.depth) for bar in waterfall(spans[::-1])]
    assert sorted(drawn) == [("call", 0), ("prepare", 1), ("query", 2), ("serve", 1)]
    page = console.send(f"/traces/{trace}").body.decode()
    assert page.count(f'id="s-{own}"') == 1
    assert all(each["name"] in page for each in spans)


@pytest.mark.parametrize(
    ("own", "attributes", "status", "shown"),
    [
        ("d1", {"rpc.grpc.status_code": 3}, "INVALID_ARGUMENT", 'class="code warn">INVALID_ARGUMENT<'),
        ("d2", {"rpc.grpc.status_code": 0}, "OK", 'class="code ">OK<'),
        ("d3", {"rpc.response.status_code": "UNAVAILABLE"}, "UNAVAILABLE", 'class="code warn">UNAVAILABLE<'),
        ("d4", {"rpc.response.status_code": "14"}, "UNAVAILABLE", ">UNAVAILABLE<"),
        ("d5", {"rpc.grpc.status_code": 99}, None, ">unset<"),
        ("d6", {"http.route": "/predict"}, None, ">unset<"),
        ("d7", {"rpc.grpc.status_code": "9" * 5000}, None, ">unset<"),
    ],
)
def test_a_request_by_grpc_has_its_status(console, own, attributes, status, shown):
    """A model server that refuses an input by gRPC says so in the list of requests (SigNoz/signoz#975)."""
    service = f"grpc {attributes}"
    own = f"{abs(hash(service)) % 2**63:016x}"
    console.feed(traces(of_kind(Span.SPAN_KIND_SERVER, "Infer", own=own, attributes=attributes), service=f"grpc-{own}"))
    (row,) = console.get(f"/api/requests?service=grpc-{own}")["requests"]
    assert row["rpc_status"] == status
    assert shown in console.send(f"/requests?service=grpc-{own}").body.decode()


def test_the_name_of_an_event_may_be_an_attribute(console):
    """Senders and Collectors that do not know the field have it there (open-telemetry/semantic-conventions#2715)."""
    facts = IDENTITY | {semconv.PREDICTION_ID: "by-attribute", "event.name": semconv.PREDICTION_EVENT}
    console.feed(
        logs(
            record("{}", facts),
            record("clicked", {"event.name": "browser.click"}),
            record("named twice", {"event.name": "old"}, event="new"),
        )
    )
    assert console.send("/api/predictions/by-attribute").status == 200
    found = {each["body"]: each["event_name"] for each in console.get("/api/logs?kind=line")["logs"]}
    assert (found["clicked"], found["named twice"]) == ("browser.click", "new")


@pytest.mark.parametrize("shares", [(0.5, 0.95, 0.99), (0.5, 0.9, 0.99)])
def test_a_summary_has_the_quantiles_that_it_states(console, shares):
    """They are drawn as they are, and one without observations is none (CtrlSpice/otel-desktop-viewer#395).

    Its count goes on from point to point, as that of a counter does.
    """
    name = f"gc.{len(shares)}.{shares[1]}"
    points = [
        SummaryDataPoint(
            start_time_unix_nano=now() - 60 * SECOND, time_unix_nano=now() - (9 - step) * SECOND, count=step, sum=step,
            quantile_values=[
                SummaryDataPoint.ValueAtQuantile(quantile=share, value=math.nan if step == 1 else share * step)
                for share in shares
            ],
        )
        for step in range(1, 9)
    ]  # fmt: skip
    console.feed(metrics(Metric(name=name, unit="s", summary=Summary(data_points=points))))
    (found,) = console.get(f"/api/series?name={name}&steps=8")["metrics"]
    figures = found["series"][0]["figures"]
    assert [value for value in figures["p50"] if value is not None][-1] == 4.0
    assert [value for value in figures["p99"] if value is not None][-1] == pytest.approx(0.99 * 8)
    assert ("p95" in figures) == (0.95 in shares)
    assert {round(value, 6) for value in figures["rate"] if value is not None} == {1.0}
    assert "Percentiles" in console.send(f"/metrics?name={name}").body.decode()


def test_attributes_of_a_scope_are_shown_as_such(console):
    """What tail sampling writes on a scope is found and read at its spans and log lines, and is not taken for theirs.

    Sources: grafana/grafana#102896, grafana/grafana#112963.
    """
    trace = "ab" * 16
    sent = traces(span("kept", trace=trace, attributes={"tailsampling.policy": "own"}), service="scoped")
    lines = logs(record("kept too", trace=trace), service="scoped")
    for scope in (sent.resource_spans[0].scope_spans[0].scope, lines.resource_logs[0].scope_logs[0].scope):
        scope.attributes.extend(pairs({"tailsampling.policy": "errors"}))
    console.feed(sent, lines)
    found = console.get(f"/api/traces/{trace}")
    facts = {"otel.scope.tailsampling.policy": "errors"}
    assert found["spans"][0]["attributes"] == {"tailsampling.policy": "own"} | facts
    assert found["logs"][0]["attributes"] == facts
    assert [row["name"] for row in console.get("/api/requests?service=scoped&text=errors")["requests"]] == ["kept"]
    assert "otel.scope.tailsampling.policy" in console.send(f"/traces/{trace}").body.decode()
