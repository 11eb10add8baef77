"""Requests with and without a prediction, log lines, and the ledgers of senders.

Sources: grafana/tempo#5270 and istio/istio#22766 (the root span is in a process that sends nothing), jaegertracing/jaeger-ui#316 (a request
that failed has no name in the list).
"""

from __future__ import annotations

import re

import pytest
from console_feed import SPAN, batch, counter, label, logs, metrics, now, prediction, record, span, traces

from otel_ml import semconv

ONE, TWO, THREE, FOUR = ("0af7651916cd43dd8448eb211c8031" + end for end in ("01", "02", "03", "04"))
SERVER, REMOTE = 2, 0x300


def server(name="POST /predict", *, status=200, **more):
    """A server span with the attributes of HTTP."""
    attributes = {
        semconv.HTTP_REQUEST_METHOD: "POST", semconv.HTTP_ROUTE: name.partition(" ")[2],
        semconv.HTTP_RESPONSE_STATUS_CODE: status,
    }  # fmt: skip
    found = span(name, attributes=attributes, **more)
    found.kind = SERVER
    return found


@pytest.fixture
def filled(console):
    """A request with a prediction, one that a schema refused, a call of another service, and a job behind a queue."""
    job = span("job", trace=FOUR, own="d1" * 8, parent="d0" * 8, start=now() + 3)
    job.flags = REMOTE
    console.feed(
        traces(
            server(trace=ONE, own="a1" * 8, seconds=0.2),
            span(trace=ONE, own=SPAN, parent="a1" * 8, attributes={semconv.PREDICTION_ID: "p-1"}),
            server(trace=TWO, own="b1" * 8, status=422, start=now() + 1),
            job,
        ),
        traces(server("GET /cart", trace=THREE, own="c1" * 8, parent="c0" * 8, error=True, status=500, start=now() + 2), service="shop"),
    )  # fmt: skip
    return console


def spans(console, query=""):
    """The first character of each span of each page."""
    found, after = "", ""
    while True:
        page = console.get(f"/api/requests?{query}{after}")
        found += "".join(row["span_id"][0] for row in page["requests"])
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def test_a_request_says_what_came_of_it(filled):
    """A request has its route and status, and what its trace holds."""
    row = filled.get("/api/requests?service=fraud-api&status_code=200")["requests"][0]
    assert row | {"time": None} == {
        "trace_id": ONE, "span_id": "a1" * 8, "time": None, "duration": 0.2, "service_name": "fraud-api",
        "name": "POST /predict", "status": "unset", "status_message": None, "method": "POST", "route": "/predict",
        "status_code": 200, "rpc_status": None, "spans": 2, "errors": 0, "predictions": 1, "prediction_id": "p-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "dcba"),
        ("limit=1", "dcba"),
        ("service=shop", "c"),
        ("text=CART", "c"),
        ("failed=true", "c"),
        ("failed=false", "dba"),
        ("status_code=422", "b"),
        ("status_code=4", "b"),
        ("predicted=true", "a"),
        ("predicted=false", "dcb"),
        ("predicted=false&limit=2", "dcb"),
        ("min_duration=0.1", "a"),
        ("max_duration=0.1", "dcb"),
    ],
)
def test_requests_are_listed_without_a_prediction_too(filled, query, expected):
    """A list has each span that enters a process, whether its parent is unknown, remote or none."""
    assert spans(filled, query) == expected


def test_requests_without_a_prediction_are_found_far_back(console, monkeypatch):
    """A page looks only so far for requests without a prediction, the next one further."""
    monkeypatch.setattr("otel_ml.console.storage.lists._request_list._SLICE", 3)
    known = [
        one
        for index in range(10)
        for one in (
            server(trace=f"{index:032x}", own="a1" * 8, start=now() + index),
            span(trace=f"{index:032x}", own=SPAN, parent="a1" * 8, attributes={semconv.PREDICTION_ID: f"p-{index}"}),
        )
        if index
    ]
    console.feed(traces(*known, server(trace=ONE, own="b1" * 8, status=422, start=now() - 1)))
    assert spans(console, "predicted=false") == "b"
    assert spans(console, "predicted=true") == "a" * 9


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["label", "{}", "Out of memory", "two", "one"]),
        ("limit=2", ["label", "{}", "Out of memory", "two", "one"]),
        ("kind=line", ["Out of memory", "two", "one"]),
        ("kind=prediction", ["{}"]),
        ("kind=label", ["label"]),
        ("level=error", ["Out of memory"]),
        ("text=MEMORY", ["Out of memory"]),
        ("service=shop", ["two"]),
        (f"trace_id={TWO}", ["one"]),
        (f"trace_id={TWO.upper()}", ["one"]),
        ("prediction_id=b-1", ["{}"]),
    ],
)
def test_log_records_are_searched_page_by_page(console, query, expected):
    """A log record is found by kind, level, text, service, trace and prediction; pages go on to the end."""
    event, truth = batch("b-1", at=now() + 4), label("b-2", at=now() + 5)
    event.body.string_value, truth.body.string_value = "{}", "label"
    console.feed(
        logs(record("one", trace=TWO, at=now()), record("Out of memory", severity=17, at=now() + 3), event, truth),
        logs(record("two", at=now() + 1), service="shop"),
    )
    found, after = [], ""
    while after is not None:
        page = console.get(f"/api/logs?{query}{after}")
        found += [row["body"] for row in page["logs"]]
        after = page["next"] and f"&after={page['next']}"
    assert found == expected


def test_a_sender_says_what_became_of_its_records(console):
    """The ledger of a sender has the newest figures of each signal, and what was dropped by reason."""
    traces_only = {semconv.SIGNAL: "traces"}

    def figure(metric, value, **more):
        return counter(value, name=metric.name, attributes=traces_only | more.pop("attributes", {}), **more)

    console.feed(
        metrics(figure(semconv.EXPORT_PRODUCED, 5), figure(semconv.EXPORT_PRODUCED, 9, at=now() + 9)),
        metrics(
            figure(semconv.EXPORT_DELIVERED, 6, at=now() + 9),
            figure(semconv.EXPORT_DROPPED, 3, attributes={semconv.DROP_REASON: "queue_full"}),
            figure(semconv.EXPORT_DROPPED, 0, attributes={semconv.DROP_REASON: "shutdown"}),
        ),
        metrics(figure(semconv.EXPORT_PRODUCED, 1, at=now() + 10**9), instance="two"),
    )
    newest, other = console.get("/api/senders")["senders"]
    assert (other["instance"], other["signals"]) == (
        "one",
        {"traces": {"produced": 9, "delivered": 6, "rejected": None, "in_flight": None, "dropped": {"queue_full": 3}}},
    )
    assert (newest["instance"], newest["signals"]["traces"]["produced"]) == ("two", 1)
    console.feed(logs(prediction()))
    assert len(console.get("/api/senders")["senders"]) == 2


def test_lines_of_a_model_are_those_of_its_services(console):
    """A model chooses the lines of the services that predict with it, also those without a trace."""
    console.feed(
        logs(record("loading the model", trace="", own=""), prediction()), logs(record("cart is empty"), service="shop")
    )
    found = console.get("/api/logs?kind=line&model=fraud")["logs"]
    assert [row["body"] for row in found] == ["loading the model"]


def test_the_services_of_a_trace_have_colours_of_their_own(console):
    """Bar and service have one colour for each service of a trace (openzipkin/zipkin#2284); one alone needs none."""
    console.feed(
        traces(span("a", trace=ONE, own="a1" * 8, seconds=1), service="web"),
        traces(span("b", trace=ONE, own="b1" * 8, parent="a1" * 8), service="store"),
        traces(span("c", trace=ONE, own="c1" * 8, parent="a1" * 8, start=now() + 9), service="web"),
        traces(span("d", trace=TWO), service="web"),
    )
    page = console.send(f"/traces/{ONE}").body.decode()
    assert re.findall(r'dot (of-\d)"></i>(\w+)', page) == [("of-1", "web"), ("of-2", "store"), ("of-1", "web")]
    assert re.findall(r"<svg class=\"span (of-\d)", page) == ["of-1", "of-2", "of-1"]
    assert "dot of-" not in console.send(f"/traces/{TWO}").body.decode()


def inner(trace, own, parent, **more):
    """A span within a process."""
    return span(trace=trace, own=own * 8, parent=parent * 8, **more)


@pytest.fixture
def settled(monkeypatch):
    """Traces whose spans have just arrived are not waited for."""
    monkeypatch.setattr("otel_ml.console.storage.lists._inner_traces._SETTLED_NS", -(10**12))


@pytest.fixture
def lost(filled, settled):
    """Beside the requests two traces whose entry was lost: of a prediction that failed, and of another service."""
    predicted = {semconv.PREDICTION_ID: "p-2"}
    filled.feed(
        traces(
            inner("a" * 32, "e2", "e3", start=now() + 5, error=True, attributes=predicted),
            inner("a" * 32, "e1", "f0", start=now() + 4, seconds=0.1),
            inner("a" * 32, "e3", "e0", start=now() + 4, seconds=0.5),
        ),
        traces(inner("b" * 32, "f1", "f0", name="poll queue", start=now() - 10), service="worker"),
    )
    return filled


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "edcbaf"), ("limit=1", "edcbaf"), ("limit=2", "edcbaf"), ("predicted=true", "ea"), ("predicted=false", "dcbf"),
        ("predicted=true&limit=1", "ea"), ("service=worker", "f"), ("text=queue", "f"), ("text=poll", "f"), ("min_duration=0.3", "e"),
        ("failed=true", "c"), ("status_code=4", "b"), ("model=fraud", ""),
    ],
)  # fmt: skip
def test_a_trace_whose_entry_was_lost_is_listed_by_its_first_span(lost, query, expected):
    """Where the span of the request is lost, or goes elsewhere, its prediction is among the requests too."""
    assert spans(lost, query) == expected


def test_a_trace_without_an_entry_says_what_it_holds(lost):
    """The longest of its first spans stands for it, with the errors and the prediction of all."""
    row = lost.get("/api/requests?limit=1")["requests"][0]
    assert (row["span_id"], row["spans"], row["errors"], row["prediction_id"]) == ("e3" * 8, 3, 1, "p-2")
    assert 'href="/predictions/p-2?trace=' in lost.send("/requests").body.decode()


def test_a_trace_whose_entry_is_on_its_way_is_waited_for(filled):
    """Spans within a process end, and arrive, before the one with which it began."""
    filled.feed(traces(inner("a" * 32, "e1", "e0", start=now() + 5)))
    assert spans(filled) == "dcba"
    filled.feed(traces(server(trace="a" * 32, own="e0" * 8, start=now() + 4)))
    assert spans(filled) == "edcba"


def test_a_span_hours_after_its_entry_is_of_that_request(filled, settled):
    """A job of half a day is one request, however far from its start a span within it began."""
    filled.feed(traces(inner(TWO, "e2", "b1", start=now() - 12 * 3600 * 10**9)))
    assert spans(filled) == "dcba"
    assert spans(filled, f"until={now() // 10**9 - 3600}") == ""


def feed_six(console, with_entry):
    """Six traces of eight inner spans each, the newest last; some have an entry."""
    for number in range(6):
        trace = f"{number + 1:032x}"
        own = [inner(trace, f"{number + 1:x}{part:x}", "f0", start=now() + 20 * number + part) for part in range(8)]
        entry = server(trace=trace, own=f"{number + 1:x}f" * 8, start=now() + 20 * number + 9)
        console.feed(traces(*own, *([entry] if number in with_entry else [])))


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_all_traces_without_an_entry_are_on_some_page(console, settled, monkeypatch, limit):
    """A page looks through some spans for them, and the following pages through all others."""
    monkeypatch.setattr("otel_ml.console.storage.lists._inner_traces._SLICES", (10, 10))
    feed_six(console, with_entry=(2, 5))
    assert spans(console, f"limit={limit}") == "654321"


@pytest.mark.parametrize("query", ["", "limit=1", "text=nothing+but+inner", "failed=true"])
def test_a_trace_without_an_entry_behind_many_spans_is_found(console, settled, monkeypatch, query):
    """Also if all spans that a page looks through first belong to requests with an entry."""
    monkeypatch.setattr("otel_ml.console.storage.lists._inner_traces._SLICES", (10, 10))
    feed_six(console, with_entry=range(6))
    console.feed(traces(inner("9" * 32, "99", "f0", name="nothing but inner", start=now() - 1, error=True)))
    assert spans(console, query).endswith("9")
    assert console.get(f"/api/requests?{query}")["next"] is None or "limit" in query


def test_a_trace_without_an_entry_behind_many_like_it_is_found(console, settled, monkeypatch):
    """Also if none of those that a page looks through fits what is looked for."""
    monkeypatch.setattr("otel_ml.console.storage.lists._inner_traces._SLICES", (10, 10))
    console.feed(
        traces(*(inner(f"{number + 1:032x}", f"{number:02x}", "f0", start=now() + number) for number in range(16, 46)))
    )
    console.feed(traces(inner("9" * 32, "99", "f0", name="poll queue", start=now() - 1)))
    assert spans(console, "text=poll") == "9"


def test_traces_that_are_not_yet_listed_cut_no_page(console, monkeypatch):
    """A list ends with its last request, although the entry of an older trace may still be on its way."""
    monkeypatch.setattr("otel_ml.console.storage.lists._inner_traces._SLICES", (10, 10))
    own = [inner(ONE, f"{part:02x}", "f0", start=now() + part) for part in range(16, 28)]
    late = [inner("9" * 32, f"{part:02x}", "f0", start=now() - part) for part in range(16, 28)]
    console.feed(traces(*own, *late, server(trace=ONE, own="f0" * 8, start=now() - 100)))
    answer = console.get("/api/requests")
    assert (len(answer["requests"]), answer["next"]) == (1, None)
