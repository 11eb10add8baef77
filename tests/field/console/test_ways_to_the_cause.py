"""From what one sees to what explains it: search, empty rows, exemplars, old records."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from console_feed import SPAN, TRACE, logs, metrics, now, pairs, prediction, record, span, traces
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Histogram, HistogramDataPoint, Metric

from otel_ml import semconv

SECOND = 10**9
FAILED = {"exception.type": "KeyError", "exception.message": "no column INCOME_2 in the frame"}


def test_the_text_of_an_exception_is_found(console):
    """Search reads the exception of an error as well as its line (coroot/coroot#129)."""
    console.feed(
        logs(
            record("prediction failed", FAILED, severity=17, at=now() - 1),
            record("all is well", {"note": "income_2 was dropped"}, at=now() - 2),
            service="search",
        )
    )
    found = console.get("/api/logs?text=Income_2&service=search")["logs"]
    assert [row["body"] for row in found] == ["prediction failed"]


@pytest.mark.parametrize("text", ["100%", "of_all", "'quoted'", 'a "b"', "back\\slash", "(a|b)*", "日本"])
def test_search_takes_each_character_as_it_is(console, text):
    """Nothing is a wildcard, and no character breaks the search (microsoft/aspire#2846)."""
    console.feed(logs(record(f"<{text}>"), record("100 of all"), service=f"exact {text}"))
    answer = console.send("/logs?" + urlencode({"text": text, "kind": "line"}))
    assert answer.status == 200
    assert b"100 of all" not in answer.body


def test_a_record_without_a_body_shows_what_it_has(console):
    """An exception or attributes stand for the line that a record does not have (unkeyed/unkey#4988)."""
    bare = [
        LogRecord(time_unix_nano=now(), severity_number=17, attributes=pairs(FAILED)),
        LogRecord(time_unix_nano=now(), event_name="session.start", attributes=pairs({"user": "u-7", "beta": True})),
        LogRecord(time_unix_nano=now(), attributes=pairs({})),
    ]
    console.feed(logs(*bare, service="no-body"))
    shown = console.send("/logs?service=no-body").body.decode()
    assert "KeyError: no column INCOME_2 in the frame" in shown
    assert "user=u-7, beta=true" in shown


def exemplar(value, trace, at=None):
    """An observation of a trace."""
    ids = {"trace_id": bytes.fromhex(trace), "span_id": bytes.fromhex(SPAN)} if trace else {}
    return Exemplar(as_double=value, time_unix_nano=at or now(), **ids)


def test_exemplars_lead_to_their_traces(console):
    """The page of a metric links each exemplar to its span; one without a trace is left out (microsoft/aspire#10678)."""
    made = [
        exemplar(0.25, TRACE),
        exemplar(0.5, ""),
        exemplar(0.75, "00" * 16),
        exemplar(1.5, "a7" * 16, now() - SECOND),
    ]
    points = [
        HistogramDataPoint(
            count=4, sum=3.0, bucket_counts=[4, 0], explicit_bounds=[9.0], exemplars=made,
            start_time_unix_nano=now() - 60 * SECOND, time_unix_nano=now() - at * SECOND,
        )
        for at in (5, 0)
    ]  # fmt: skip
    metric = Metric(name="with.traces", unit="s", histogram=Histogram(data_points=points, aggregation_temporality=2))
    console.feed(metrics(metric))
    shown = console.send("/metrics?name=with.traces").body.decode()
    assert shown.count('<td data-label="Trace">') == 2
    assert f'/traces/{TRACE}?span={SPAN}#s-{SPAN}"><code>{TRACE[:8]}' in shown
    assert "250 ms" in shown
    assert "Exemplars" not in console.send("/metrics?name=nothing").body.decode()


def test_a_trace_says_that_clocks_differ(console):
    """Times stay as they were sent, and a span that begins before its caller is explained (grafana/grafana#93060)."""
    of = {"trace": "a8" * 16, "start": now()}
    caller = span("call", own="a1" * 8, **of)
    beside = span("same clock", own="a2" * 8, parent="a1" * 8, **of)
    early = span("early", own="a3" * 8, parent="a1" * 8, **of | {"start": now() - 90 * SECOND})
    queued = span("of its own", own="a4" * 8, parent="a1" * 8, **of | {"start": now() - 90 * SECOND})
    console.feed(
        traces(caller, queued, service="caller"), traces(beside, service="beside"), traces(early, service="early")
    )
    shown = console.send("/traces/" + "a8" * 16).body.decode()
    assert "Spans of early begin 90.0 s before those that called them: the clocks of the two differ." in shown
    assert shown.count("begin 90.0 s before") == shown.count("those that called them") == 1


def test_records_that_no_page_shows_are_named(console):
    """Records of a clock that is behind arrive, are in no range, and are on the overview (jaegertracing/jaeger#2286)."""
    old, long = now() - 7200 * SECOND, span("long", own="a5" * 8, start=now() - 7200 * SECOND, seconds=7199.0)
    endless = span("never ends", own="a4" * 8)
    endless.end_time_unix_nano = 0
    console.feed(
        traces(span("old", own="a6" * 8, start=old), service="vm"),
        logs(record("old", at=old), service="vm"),
        traces(long, endless, service="batch-job"),
    )
    shown = console.send("/").body.decode()
    assert "2 records arrived from before this time" in shown
    assert shown.count("is the clock of its sender right?") == 1
    assert "from before this time" not in console.send("/?range=3d").body.decode()
    (link,) = re.findall(r'<a href="([^"]*)"><span class="what"><strong>vm', shown)
    page = console.send(html.unescape(link)).body.decode()
    assert page.count('data-label="Service">vm<') == 1, link


def test_each_try_of_a_call_has_its_own_page(console):
    """A call that was tried again has one id and version twice; each row leads to its own."""
    for turn, outcome in enumerate(("first", "second")):
        more = {"attributes": {semconv.MODEL_NAME: "retried"}, "trace": f"{turn + 1:032x}", "at": now() - turn * SECOND}
        console.feed(logs(prediction("order-17", outcome=outcome, **more)))
    shown = console.send("/predictions?model=retried").body.decode()
    links = re.findall(r'href="(/predictions/order-17[^"]*)"', shown)
    pages = [console.send(html.unescape(link)).body.decode() for link in links]
    assert [re.search(r"<dt>Output</dt><dd>(?:<[^>]*>)*(\w+)", page)[1] for page in pages] == ["first", "second"]
