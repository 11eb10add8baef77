"""Records with one time, text, name or sender that are several, and records whose sender has no name."""

from __future__ import annotations

import pytest
from console_feed import SPAN, TRACE, logs, now, pairs, record, span
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint


def moment():
    """As a clock with milliseconds says it."""
    return now() // 10**6 * 10**6


def lines(console, text):
    """The log lines with a text, the newest first."""
    return console.get(f"/api/logs?text={text}")["logs"]


def test_lines_of_one_millisecond_stay_in_their_order(console):
    """The newest of them is the one that was written last (metrico/gigapipe#201, grafana/grafana#26714)."""
    trace = "d7" * 16
    console.feed(logs(*(record(f"step {number}", at=moment(), trace=trace) for number in range(12))))
    written = [f"step {number}" for number in range(12)]
    assert [each["body"] for each in lines(console, "step")] == written[::-1]
    assert [each["body"] for each in console.get(f"/api/traces/{trace}")["logs"]] == written
    page = console.get("/api/logs?text=step&limit=5")
    rest = console.get(f"/api/logs?text=step&after={page['next']}")
    assert [each["body"] for each in (*page["logs"], *rest["logs"])] == written[::-1]


def test_equal_lines_of_one_moment_are_several(console):
    """A line that was written three times is there three times, however often it is delivered (grafana/loki#15425)."""
    sent = logs(*(record("retrying", at=moment()) for _ in range(3)))
    console.feed(sent, sent)
    assert len(lines(console, "retrying")) == 3


@pytest.mark.parametrize("what", ["attributes", "version", "unit"])
def test_metrics_of_one_name_are_apart_if_their_meters_are(console, what):
    """Two meters differ in attributes or version only, two metrics in unit: each keeps its series.

    Sources: open-telemetry/opentelemetry-dotnet#5089, open-telemetry/opentelemetry-specification#2762.
    """
    sent = ExportMetricsServiceRequest()
    group = sent.resource_metrics.add()
    for number in (1, 2):
        scoped = group.scope_metrics.add()
        scoped.scope.name = "kafka"
        if what == "attributes":
            scoped.scope.attributes.extend(pairs({"client.id": str(number)}))
        elif what == "version":
            scoped.scope.version = str(number)
        unit = "s" * number if what == "unit" else "1"
        point = NumberDataPoint(as_int=number, time_unix_nano=now())
        scoped.metrics.append(Metric(name=f"lag.{what}", unit=unit, gauge=Gauge(data_points=[point])))
    console.feed(sent)
    (found,) = (each for each in console.get("/api/metrics")["metrics"] if each["name"] == f"lag.{what}")
    assert {each["value"] for each in found["series"]} == {1.0, 2.0}
    if what == "attributes":
        assert {each["attributes"]["client.id"] for each in found["series"]} == {"1", "2"}


@pytest.mark.parametrize("name", [None, ""])
def test_a_sender_without_a_name_is_a_service(console, name):
    """It is on the overview and can be chosen, by the name that the specification has for it.

    Sources: open-telemetry/opentelemetry-collector#10489, ogx-ai/ogx#1781.
    """
    sent, said = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    groups = (sent.resource_spans.add(), said.resource_logs.add())
    for group in groups:
        group.resource.attributes.extend([] if name is None else pairs({"service.name": name}))
    own = "e1" * 8 if name is None else "e2" * 8
    groups[0].scope_spans.add().spans.append(span(f"by {name}", trace=TRACE, own=own))
    groups[1].scope_logs.add().log_records.append(record(f"said by {name}", own=SPAN))
    console.feed(sent, said)
    assert "unknown_service" in {each["service"] for each in console.get("/api/overview")["services"]}
    served = console.get("/api/requests?service=unknown_service")["requests"]
    assert f"by {name}" in {each["name"] for each in served}
    assert f"said by {name}" in {each["body"] for each in console.get("/api/logs?service=unknown_service")["logs"]}


def test_a_machine_without_a_service_is_none(console):
    """Metrics of a machine have no service, and are given none."""
    sent = ExportMetricsServiceRequest()
    point = NumberDataPoint(as_int=1, time_unix_nano=now())
    metric = Metric(name="system.cpu.load_average.1m", gauge=Gauge(data_points=[point]))
    sent.resource_metrics.add().scope_metrics.add().metrics.append(metric)
    console.feed(sent)
    (found,) = console.get("/api/series?name=system.cpu.load_average.1m")["metrics"]
    assert [each["service_name"] for each in found["series"]] == [None]
