"""What one sender puts into a request costs only that sender, and the person on call finds it.

Sources: grafana/mimir#14789 and DataDog/documentation#38986 (one bad series, the whole write refused),
open-telemetry/opentelemetry-collector-contrib#40801 (time stamps), open-telemetry/opentelemetry-demo#1432 and grafana/mimir#6696
(delta temporality), open-telemetry/opentelemetry-js#4450 (exponential histograms that do not add up), louislam/uptime-kuma#5096 (labels
without Latin letters), open-telemetry/opentelemetry-go-instrumentation#205 (a span without a trace id, the batch refused),
prometheus/prometheus#19338 (metrics without points), grafana/loki#24423 and #24574 (texts that are no UTF-8),
open-telemetry/opentelemetry-collector-contrib#18060 (log records of long ago),
envoyproxy/gateway#9746 (attributes that are too long together).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pipeline_servers import (
    Backend,
    Collector,
    collector_environment,
    eventually,
    otlp_backend,
    post,
    prometheus,
    promql,
    running_collector,
    write_settings,
)

HOUR = 3_600_000_000_000
NOW = time.time_ns()
SECRET = "hunter2"


def attribute(key: str, text: str = SECRET) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": text}}


def point(**more: Any) -> dict[str, Any]:
    return {"asDouble": 1, "timeUnixNano": str(NOW), **more}


def gauge(name: str = "bad", **more: Any) -> dict[str, Any]:
    return {"name": name, "gauge": {"dataPoints": [point(**more)]}}


def counter(temporality: int) -> dict[str, Any]:
    data = {"aggregationTemporality": temporality, "isMonotonic": True, "dataPoints": [point()]}
    return {"name": "bad", "sum": data}


def histogram(temporality: int, kind: str = "histogram", **more: Any) -> dict[str, Any]:
    """Two observations in two buckets."""
    buckets: dict[str, Any] = {"bucketCounts": ["1", "1"], "explicitBounds": [1]}
    if kind != "histogram":
        buckets = {"scale": 1, "positive": {"offset": 0, "bucketCounts": ["1", "1"]}}
    data = {"timeUnixNano": str(NOW), "count": "2", "sum": 2, **buckets, **more}
    return {"name": "bad", kind: {"aggregationTemporality": temporality, "dataPoints": [data]}}


def exponential(**more: Any) -> dict[str, Any]:
    return histogram(2, "exponentialHistogram", **more)


REFUSED = {
    "counter-unspecified": (counter(0), "unknown temporality"),
    "counter-delta": (counter(1), "delta temporality"),
    "counter-temporality-7": (counter(7), "unknown temporality"),
    "histogram-unspecified": (histogram(0), "unknown temporality"),
    "histogram-delta": (histogram(1), "delta temporality"),
    "exponential-delta": (histogram(1, "exponentialHistogram"), "delta temporality"),
    "name-empty": (gauge(""), "metric without a name"),
    "name-dots": (gauge("..."), "metric without a name"),
    "name-without-latin-letters": (gauge("预测"), "metric without a name"),
    "label-empty": (gauge(attributes=[attribute("")]), "label without a name"),
    "label-empty-on-histogram": (histogram(2, attributes=[attribute("")]), "label without a name"),
    "count-above-buckets": (exponential(count="9"), "histogram does not add up"),
    "count-below-buckets": (exponential(count="1"), "histogram does not add up"),
    "count-below-buckets-with-nan": (exponential(count="1", sum="NaN"), "histogram does not add up"),
    "count-without-buckets": (exponential(positive={}), "histogram does not add up"),
    "buckets-too-large": (
        exponential(count=str(2**63 + 2), positive={"bucketCounts": [str(2**63 + 1), "1"]}),
        "histogram does not add up",
    ),
    "scale-too-low": (exponential(scale=-5), "histogram out of range"),
    "offset-too-high": (
        exponential(positive={"offset": 2**31 - 1, "bucketCounts": ["1", "1"]}),
        "histogram out of range",
    ),
    "no-time": (gauge(timeUnixNano="0"), "no time"),
    "a-day-old": (gauge(timeUnixNano=str(NOW - 25 * HOUR)), "too old"),
    "seconds-for-nanoseconds": (gauge(timeUnixNano=str(NOW // 10**9)), "too old"),
    "eleven-minutes-ahead": (gauge(timeUnixNano=str(NOW + HOUR // 60 * 11)), "in the future"),
    "beyond-64-bits": (gauge(timeUnixNano=str(2**64 - 1)), "too old"),
}
TAKEN = {
    "label-without-latin-letters": gauge(attributes=[attribute("部门")]),
    "label-of-dots": gauge(attributes=[attribute("...")]),
    "label-of-100-kB": gauge(attributes=[attribute("a", "x" * 100_000)]),
    "label-empty-without-value": gauge(attributes=[{"key": "", "value": {}}]),
    "label-twice": gauge(attributes=[attribute("a"), attribute("a", "b")]),
    "mark-of-the-collector": gauge(attributes=[attribute("otelml.refused")]),
    "reserved-labels": gauge(attributes=[attribute("job"), attribute("le"), attribute("__name__")]),
    "not-a-number": gauge(asDouble="NaN"),
    "counter-below-zero": {
        "name": "bad",
        "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point(asDouble=-1)]},
    },
    "bounds-not-sorted": histogram(2, explicitBounds=[2, 1], bucketCounts=["1", "1", "0"]),
    "nan-observed": exponential(count="3", sum="NaN"),
    "more-than-counted": histogram(2, count="1"),
    "nothing-observed": exponential(count="0", sum=0, positive={}),
    "negative-and-zero": exponential(count="4", zeroCount="1", negative={"offset": 2, "bucketCounts": ["1"]}),
    "exemplar-without-value": histogram(2, exemplars=[{"timeUnixNano": str(NOW)}]),
    "start-after-end": gauge(startTimeUnixNano=str(NOW + HOUR)),
}


def metrics(sender: str, *found: dict[str, Any], **resource: str) -> bytes:
    """Returns a request of one sender."""
    attributes = [attribute("service.name", sender), *(attribute(key, text) for key, text in resource.items())]
    scopes = [{"metrics": list(found)}]
    return json.dumps({"resourceMetrics": [{"resource": {"attributes": attributes}, "scopeMetrics": scopes}]}).encode()


@pytest.fixture(scope="module")
def records() -> Iterator[Backend]:
    """In place of Loki and Tempo."""
    with otlp_backend() as recording:
        yield recording


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prometheus with the settings as shipped, without rules."""
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder, write_settings(folder)) as running:
        yield running


def send(to: Collector, body: bytes) -> int:
    """Sends metrics, with the time since this file was read added to each time: instant queries look 5 minutes back."""
    late = time.time_ns() - NOW
    body = re.sub(rb'"(1[0-9]{18})"', lambda found: b'"%d"' % (int(found[1]) + late), body)
    return to.send_json("/v1/metrics", body)


def send_bytes(to: Collector, body: bytes) -> int:
    """Sends metrics with two bytes that are no UTF-8 in place of XX, as a client does that does not check its texts."""
    message = ParseDict(json.loads(body), ExportMetricsServiceRequest()).SerializeToString()
    return post(f"{to.address}/v1/metrics", message.replace(b"XX", b"\xff\xfe"), "application/x-protobuf")


@pytest.fixture(scope="module")
def collector(
    otelcol: Path, records: Backend, address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """The Collector on agent.yaml, after every form was sent to it beside something good."""
    folder = tmp_path_factory.mktemp("collector")
    environment = collector_environment(records.address, folder, OTELCOL_SELF_INTERVAL_MS="1000")
    with running_collector(otelcol, environment | {"PROMETHEUS_OTLP_ENDPOINT": f"{address}/api/v1/otlp"}, folder) as it:
        for name, (bad, _) in REFUSED.items():
            assert send(it, metrics(name, gauge("beside"), bad)) == 200
        for name, odd in TAKEN.items():
            assert send(it, metrics(name, odd)) == 200
        assert send(it, metrics("resource", gauge(), **{"": "x", "部门": "x"})) == 200
        # Only Prometheus sees that a series has another value at the same time: it refuses the second request.
        for value in (1, 2):
            twice = metrics("refused-later", gauge(asDouble=value), gauge(f"beside-{value}"))
            assert it.send_json("/v1/metrics", twice) == 200
        assert send_bytes(it, metrics("not-utf8-XX", gauge(attributes=[attribute("a", "XX")]))) == 200
        assert send(it, metrics("good", gauge("good"))) == 200
        eventually(lambda: promql(address, '{job="good"}'))
        yield it


@pytest.fixture(scope="module")
def counted(collector: Collector, address: str) -> dict[str, dict[tuple[str, str], float]]:
    """Returns what Prometheus has of the counter: by sender, then by signal and reason."""
    series = "otelml_collector_refused_total"
    eventually(lambda: REFUSED.keys() <= {each["metric"]["job"] for each in promql(address, series)})
    found: dict[str, dict[tuple[str, str], float]] = {}
    for each in promql(address, series):
        label = each["metric"]
        key = label["otelml_signal"], label["otelml_drop_reason"]
        found.setdefault(label["job"], {})[key] = float(each["value"][1])
    return found


@pytest.fixture(scope="module")
def arrived(counted: object, address: str) -> set[tuple[str, str]]:
    """Returns senders and names of all metrics that Prometheus has."""
    return {
        (each["metric"]["job"], each["metric"]["__name__"]) for each in promql(address, 'last_over_time({job!=""}[1h])')
    }


@pytest.mark.parametrize("form", REFUSED)
def test_what_no_back_end_takes_costs_only_itself(
    form: str, arrived: set[tuple[str, str]], counted: dict[str, dict[tuple[str, str], float]]
) -> None:
    """A point that Prometheus refuses is left out and counted by sender and reason; what stands beside it arrives."""
    assert counted[form] == {("metrics", REFUSED[form][1]): 1}
    assert {name for sender, name in arrived if sender == form} == {"beside", "otelml_collector_refused_total"}


@pytest.mark.parametrize("form", [*TAKEN, "resource"])
def test_what_is_only_odd_arrives(
    form: str, arrived: set[tuple[str, str]], counted: dict[str, dict[tuple[str, str], float]]
) -> None:
    """Nothing that Prometheus takes is left out."""
    assert form not in counted
    assert any(sender == form and name.startswith("bad") for sender, name in arrived)


def test_texts_that_are_no_utf8_spoil_no_answer(collector: Collector, address: str) -> None:
    """Bytes that are no UTF-8 do not reach Prometheus, which would put them into the answers that everybody reads."""
    (found,) = promql(address, 'last_over_time({job=~"not-utf8.*"}[1h])')
    assert found["metric"]["job"] == "not-utf8-??"
    assert "\ufffd" not in json.dumps(found, ensure_ascii=False)


def test_a_refusal_of_the_back_end_costs_one_request(arrived: set[tuple[str, str]], collector: Collector) -> None:
    """Requests of different senders are not merged: one that Prometheus refuses costs no other one."""
    assert ("good", "good") in arrived
    assert {name for sender, name in arrived if sender == "refused-later"} == {"bad", "beside_1"}
    assert "responded with HTTP Status Code 400" in collector.log.read_text()


def test_the_log_names_the_sender_and_no_value(collector: Collector, counted: object) -> None:
    """The Collector's log has sender, metric and reason, and nothing else of what was refused."""
    log = collector.log.read_text()
    assert "service.name=counter-delta\n" in log
    assert "bad{otelml.drop.reason=delta temporality}" in log
    assert SECRET not in log


def test_requests_without_bad_items_are_not_copied(collector: Collector, address: str) -> None:
    """Only requests with an item that is left out go through the pipeline that counts such items."""

    def points() -> dict[str, float]:
        found = promql(address, 'sum by (processor) (otelcol_processor_incoming_items_total{otel_signal="metrics"})')
        return {each["metric"]["processor"]: float(each["value"][1]) for each in found}

    everything = 2 * len(REFUSED) + len(TAKEN) + 7
    eventually(lambda: points().get("filter/refused") == everything)
    assert points()["filter/only_refused"] == 2 * len(REFUSED)


def test_bad_spans_and_records_cost_only_themselves(collector: Collector, records: Backend, address: str) -> None:
    """Spans without ids, and log records that are weeks old or in the future, are left out and counted, also behind a good resource.

    A mark that a sender sets itself leaves nothing out.
    """
    records.requests.clear()
    marked = {"attributes": [attribute("otelml.refused")]}
    beside = {"attributes": [attribute("service.name", "beside")]}
    resource = {"attributes": [attribute("service.name", "records")]}
    ids = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}
    spans = [
        {"name": name, "startTimeUnixNano": str(NOW), "endTimeUnixNano": str(NOW)} | ids | more
        for name, more in {"good": {}, "no trace": {"traceId": ""}, "no span": {"spanId": ""}}.items()
    ]
    lines = [
        {"timeUnixNano": str(at), "body": {"stringValue": f"{SECRET} {name}"}}
        for name, at in {"good": NOW, "old": NOW - 24 * 8 * HOUR, "future": NOW + HOUR, "untimed": 0}.items()
    ]
    lines += [
        {"observedTimeUnixNano": str(at), "body": {"stringValue": f"{SECRET} {name}"}}
        for name, at in {"seen": NOW, "seen long ago": NOW - 24 * 8 * HOUR}.items()
    ]
    body = json.dumps(
        {
            "resourceSpans": [
                {"resource": beside, "scopeSpans": [{"spans": [spans[0] | marked]}]},
                {"resource": resource, "scopeSpans": [{"spans": spans}]},
            ]
        }
    )
    assert collector.send_json("/v1/traces", body.encode()) == 200
    body = json.dumps(
        {
            "resourceLogs": [
                {"resource": beside, "scopeLogs": [{"logRecords": [lines[0] | marked]}]},
                {"resource": resource, "scopeLogs": [{"logRecords": lines}]},
            ]
        }
    )
    assert collector.send_json("/v1/logs", body.encode()) == 200
    eventually(lambda: records.received("/v1/logs") and records.received("/v1/traces"))
    eventually(lambda: len(promql(address, 'otelml_collector_refused_total{job="records"}')) == 3)
    found = promql(address, 'otelml_collector_refused_total{job="records"}')
    assert {(each["metric"]["otelml_drop_reason"], each["value"][1]) for each in found} == {
        ("no trace id or span id", "2"),
        ("too old", "2"),
        ("in the future", "1"),
    }
    (trace,), (log,) = records.received("/v1/traces"), records.received("/v1/logs")
    assert [len(trace.resource_spans), len(log.resource_logs)] == [2, 2]  # type: ignore[attr-defined]
    assert [span.name for span in trace.resource_spans[1].scope_spans[0].spans] == ["good"]  # type: ignore[attr-defined]
    kept = log.resource_logs[1].scope_logs[0].log_records  # type: ignore[attr-defined]
    assert [record.body.string_value for record in kept] == [f"{SECRET} {name}" for name in ("good", "untimed", "seen")]
    assert kept[1].time_unix_nano == kept[1].observed_time_unix_nano > NOW
    assert kept[2].time_unix_nano == kept[2].observed_time_unix_nano == NOW
    for message in (trace.resource_spans[1].resource, log.resource_logs[1].resource):  # type: ignore[attr-defined]
        assert [each.key for each in message.attributes] == ["service.name"]
    assert SECRET not in collector.log.read_text()


def test_long_log_records_are_cut(collector: Collector, records: Backend) -> None:
    """A line, a structured body, or attributes that are too much for Loki are cut, so that the request is not refused."""
    many = [attribute(f"a{number}", "x" * 600) for number in range(200)]
    long = {"kvlistValue": {"values": [attribute("text", "é" * 200_000)]}}
    lines: list[dict[str, Any]] = [
        {"timeUnixNano": str(NOW), "body": body, "attributes": attributes}
        for body, attributes in (
            ({"stringValue": "long"}, many),
            ({"stringValue": "é" * 200_000}, [attribute("a", "x" * 100_000)]),
            (long, []),
            ({"stringValue": "few"}, [attribute(f"a{number}", "x" * 15_000) for number in range(5)]),
            ({"stringValue": "nested"}, [{"key": "m", "value": {"kvlistValue": {"values": many}}}]),
        )
    ]
    resource = {"attributes": [attribute("service.name", "long")]}
    body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": lines}]}]})
    before = len(records.received("/v1/logs"))
    assert collector.send_json("/v1/logs", body.encode()) == 200
    eventually(lambda: len(records.received("/v1/logs")) > before)
    kept = records.received("/v1/logs")[-1].resource_logs[0].scope_logs[0].log_records  # type: ignore[attr-defined]
    assert [len(record.attributes) for record in kept] == [100, 1, 0, 5, 100]
    assert [record.dropped_attributes_count for record in kept] == [100, 0, 0, 0, 100]
    assert max(len(each.value.string_value) for record in kept for each in record.attributes) == 16384
    assert max(sum(each.ByteSize() for each in record.attributes) for record in kept) < 64_000
    for record in kept[1:3]:
        text = record.body.string_value
        assert text.endswith("é [cut by the Collector]")
        assert 249_000 < len(text.encode()) < 256_000
