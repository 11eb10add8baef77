"""The parts of the pages that need no browser: the trace, formats, headers, host names."""

from __future__ import annotations

import http.client
import re

import pytest
from console_feed import SPAN, TRACE, batch, label, logs, now, prediction, span, traces

from otel_ml import semconv
from otel_ml._report import figure_text
from otel_ml.console.web._formats import (
    capitalized,
    decimal,
    family,
    figure,
    limit,
    score,
    seconds,
    share,
    size,
    unit_name,
    value,
)
from otel_ml.console.web.details._waterfall import DEPTH_MAX, waterfall


def drawn(*spans):
    return [(bar.span["name"], bar.depth, bar.offset, bar.width) for bar in waterfall(list(spans))]


def one(name, own, parent=None, start=0, end=100):
    return {"name": name, "span_id": own, "parent_span_id": parent, "start_ns": start, "end_ns": end, "status": 0}


def test_a_trace_is_drawn_depth_first():
    """Children follow their parent by start time, with their offset in percent of the whole trace."""
    spans = [
        one("root", "a"),
        one("late", "c", "a", 60, 80),
        one("early", "b", "a", 10, 50),
        one("leaf", "d", "b", 10, 20),
    ]
    assert drawn(*sorted(spans, key=lambda each: each["start_ns"])) == [
        ("root", 0, 0.0, 100.0),
        ("early", 1, 10.0, 40.0),
        ("leaf", 2, 10.0, 10.0),
        ("late", 1, 60.0, 20.0),
    ]


def test_odd_traces_are_drawn():
    """Cycles, missing parents, reversed and equal times, and very deep traces draw every span exactly once."""
    assert [name for name, *_ in drawn(one("a", "a", "b"), one("b", "b", "a"), one("own", "c", "c"))] == [
        "a",
        "b",
        "own",
    ]
    assert drawn(one("orphan", "a", "gone", 5, 5)) == [("orphan", 0, 0.0, 0.5)]
    assert drawn(one("reversed", "a", None, 100, 0), one("b", "b"))[0][3] == 0.5
    deep = [one(str(index), str(index), str(index - 1)) for index in range(2000)]
    assert [depth for _, depth, *_ in drawn(*deep)] == [min(index, DEPTH_MAX) for index in range(2000)]
    assert drawn() == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, None), (0.0, "0 s"), (0.00123, "1.23 ms"), (1.5, "1.50 s"), (125.0, "125 s"), (4000.0, "4,000 s"),
        (0.000002, "2.00 µs"), (2e-9, "2 ns"), (-0.5, "-500 ms"), (0.0009996, "1.00 ms"), (0.9996, "1.00 s"),
        (999.7, "1,000 s"), (0.09997, "100 ms"), (1e300, "1.00e+300 s"), (-1e15, "-1.00e+15 s"), (5e-324, "0 ns"),
    ],
)  # fmt: skip
def test_durations_have_a_unit_that_fits(given, shown):
    """A duration has three significant figures and a unit."""
    assert seconds(given) == shown


def test_limits_of_durations_have_no_zeros_at_the_end():
    """The limit of a range reads as somebody chose it, whatever its unit."""
    assert [limit(each) for each in (0.01, 0.0025, 1.5, 1.0, 4000.0, 0.0)] == [
        "10 ms", "2.5 ms", "1.5 s", "1 s", "4,000 s", "0 s"
    ]  # fmt: skip


def test_figures_are_short():
    """Numbers, shares and values are short; an unknown one stays None."""
    assert (figure(1234567), figure(0.123456), figure(None)) == ("1,234,567", "0.1235", None)
    assert (figure(412345.6), figure(-1000.0), figure(2e20)) == ("412,346", "-1,000", "2e+20")
    assert [decimal(each) for each in (0.8, 0.0, -0.05, 0.00012, 52.345, 1234.5, None)] == [
        "0.800", "0.000", "-0.050", "0.00012", "52.34", "1,234", None
    ]  # fmt: skip
    assert (share(0.0002), share(0.0)) == ("<0.1 %", "0.0 %")
    assert (share(0.0667), share(None), score(0.5), score(12.34567), score(None)) == (
        "6.7 %", None, "0.5000", "12.35", None
    )  # fmt: skip
    assert (value({"a": [1, float("nan")]}), value(None), len(value("x" * 5000))) == ('{"a": [1, "NaN"]}', None, 402)


def test_units_and_names_of_metrics_read_well():
    """A unit is a word, and metrics stand together by the first part of their names."""
    assert [unit_name(each) for each in ("{request}", "By", "1", "s", "W", None)] == [
        "request", "bytes", "", "seconds", "W", ""
    ]  # fmt: skip
    assert [family(each) for each in ("http.server.duration", "go_gc_seconds", "up")] == ["http", "go", "up"]


def test_a_wrong_address_says_so(console):
    """The page about a mistake has words for its title, and a console without data names the command of the demo."""
    wrong = console.send("/predictions?limit=x")
    assert (wrong.status, "<h1>This address has a mistake</h1>" in wrong.body.decode()) == (400, True)
    assert "<h1>Not found</h1>" in console.send("/search?q=nothing").body.decode()
    assert "otel-ml demo" in console.send("/").body.decode()
    for page in ("data", "performance"):
        assert f"<h1>{page.capitalize()}</h1>" in console.send(f"/{page}").body.decode()


def test_figures_of_performance_have_the_names_that_people_write():
    """Abbreviations stay in capitals, also at the start of a line."""
    names = ("accuracy", "f1", "auc", "mae", "average_precision")
    assert [capitalized(figure_text(each)) for each in names] == [
        "Accuracy", "F1", "AUC", "Mean absolute error", "Average precision"
    ]  # fmt: skip


def test_every_answer_forbids_what_the_page_does_not_need(console):
    """Pages and data have a content security policy, and forbid sniffing, referrer and cache."""
    for path in ("/", "/api/status"):
        headers = console.send(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_a_browser_may_keep_what_never_changes(console):
    """The address of a static file has a digest of all of them, so the file may be kept; another digest is unknown."""
    address = re.search(r'href="(/static/[0-9a-f]{12})/console.css"', console.send("/").body.decode())[1]
    headers = console.send(f"{address}/console.css").headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == (
        "public, max-age=31536000, immutable", "nosniff"
    )  # fmt: skip
    assert console.send("/static/000000000000/console.css").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1", "", "localhost:x"]
)
def test_another_name_for_loopback_reads_nothing(console, host):
    """A web site whose host name points at 127.0.0.1 gets no data."""
    assert console.send("/api/predictions", Host=host).status in {400, 421}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:4318", "127.0.0.1:1", "[::1]:4318", "[::1]"])
def test_names_of_this_machine_are_served(console, host):
    """Loopback names are served with any port."""
    assert console.send("/api/status", Host=host).status == 200


def test_redirects_name_no_host(console):
    """A redirect leads to a path, whatever host and scheme the console was asked by."""
    connection = http.client.HTTPConnection(console.address.removeprefix("http://"), timeout=60)
    connection.request("GET", "/model/?range=6h", headers={"Host": "localhost:99", "X-Forwarded-Proto": "https"})
    answer = connection.getresponse()
    connection.close()
    assert (answer.status, answer.headers["location"]) == (307, "/model?range=6h")


@pytest.mark.parametrize(
    "path", ["/predictions/%00", "/predictions/%ff%fe", "/api/predictions/%00", "/?model=%00%ff", "/predictions/"]
)
def test_strange_paths_are_answered(console, path):
    """An id with NUL or invalid UTF-8 is not found."""
    assert console.send(path).status in {200, 404}


def test_the_page_shows_a_batch_without_a_trace(console):
    """The page states which parts are missing."""
    console.feed(logs(batch(trace="", own=""), label("b-1.0", "0", trace="", own="")))
    text = console.send("/predictions/b-1").body.decode()
    assert "No span of this prediction has arrived" in text
    assert "No log line has" in text
    assert "1 rows labelled" in text


def test_control_characters_are_replaced(console):
    """Characters that disguise text or control a terminal are shown as the replacement character."""
    console.feed(traces(span(start=now(), own=SPAN)), logs(prediction(outcome="a\x1b[31mb\u202ec")))
    for path in ("/predictions", "/predictions/p-1"):
        body = console.send(path).body.decode()
        assert "a\ufffd[31mb\ufffdc" in body
        assert "\x1b" not in body
    assert console.get(f"/api/traces/{TRACE}")["truncated"] is False


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, None),
        (0, "0 B"),
        (0.25, "0.25 B"),
        (999, "999 B"),
        (1023, "1023 B"),
        (999.7, "1000 B"),
        (3 * 2**20, "3.00 MiB"),
        (999.7 * 2**10, "1,000 KiB"),
        (1000 * 2**20, "1,000 MiB"),
        (1e300, "9.09e+287 TiB"),
    ],
)
def test_bytes_have_a_fitting_unit(given, shown):
    """Bytes are counted in powers of 1,024, with three figures."""
    assert size(given) == shown


def test_a_model_that_nobody_sent_leads_to_those_that_are_there(console):
    """A misspelt model is called unknown on each page about models, with links to the others on the same page."""
    assert "No other model has sent anything either" in console.send("/model?model=froud").body.decode()
    assert "Nothing of" not in console.send("/predictions").body.decode()
    console.feed(logs(prediction("of-fraud"), service="fraud-api"))
    for page, query in (("model", ""), ("data", ""), ("performance", ""), ("predictions", "&failed=true")):
        shown = console.send(f"/{page}?model=froud&range=5m{query}").body.decode()
        assert "Nothing of froud has arrived." in shown
        assert f'<a href="/{page}?model=fraud&amp;range=5m">fraud</a>' in shown
        assert shown.count('class="empty"') == 1
        of_earlier = console.send(f"/{page}?model=fraud&from=2020-01-01&to=2020-01-02{query}").body.decode()
        assert "Nothing of fraud has arrived." not in of_earlier
        assert 'class="empty"' in of_earlier


def test_a_model_beyond_those_that_the_bar_lists_is_not_called_unknown(console):
    """The console lists 100 models by name; of another one it cannot say that nothing has arrived."""
    models = [{semconv.MODEL_NAME: f"m-{index:03}"} for index in range(101)]
    console.feed(logs(*(prediction(f"p-{index}", attributes=each) for index, each in enumerate(models))))
    shown = console.send("/model?model=m-100&from=2020-01-01&to=2020-01-02").body.decode()
    assert "Nothing of m-100 has arrived." not in shown
    assert 'class="empty"' in shown
