"""Requests and traces in a real browser: the list with its filters, the spans over time, exceptions, phone, no script.

Sources: open-telemetry/opentelemetry-go#3254 (a 4xx leaves the status of its span unset), jaegertracing/jaeger#178 (large traces),
SigNoz/signoz#1767 and SigNoz/signoz#7534 (links of spans with their attributes), kiali/kiali#5635 (a link to a span opens it),
openobserve/openobserve#13731 (a trace outside the range), glowroot/glowroot#4 (line breaks of stack traces).
"""

from __future__ import annotations

import pytest
from console_feed import IDENTITY, SPAN, TRACE, failure, logs, now, pairs, prediction, record, span, traces
from console_server import running
from page_steps import follow
from playwright.sync_api import expect

from otel_ml import semconv
from otel_ml.console._options import Options

SECOND = 10**9
REFUSED, FAILED, LARGE, LOGS_ONLY = "22" * 16, "33" * 16, "44" * 16, "55" * 16
STACK = """Traceback (most recent call last):
  File "/app/features.py", line 12, in encode
    float(text)
  File "/usr/lib/python3.11/site-packages/numpy/core.py", line 3, in convert
    raise ValueError("<b>n/a</b>")
ValueError: <b>n/a</b>"""


def server(name, status, **more):
    """A span with which a request enters a service."""
    method, _, route = name.partition(" ")
    attributes = {
        semconv.HTTP_REQUEST_METHOD: method, semconv.HTTP_ROUTE: route, semconv.HTTP_RESPONSE_STATUS_CODE: status,
    }  # fmt: skip
    made = span(name, attributes=attributes, error=status >= 500, **more)
    made.kind = 2
    return made


def with_exception(made):
    """The span with the event of an exception."""
    given = {"exception.type": "ValueError", "exception.message": "<b>n/a</b>", "exception.stacktrace": STACK}
    event = made.events.add(name="exception", time_unix_nano=made.start_time_unix_nano + 10**6)
    event.attributes.extend(pairs(given))
    return made


@pytest.fixture(scope="module")
def filled():
    """A request with a prediction, one that was refused, one that failed, and a trace of 200 spans."""
    with running(Options()) as started:
        job = span("chunk", trace=LARGE, own="e0" * 8, parent="e1" * 8, start=now() - 9 * SECOND)
        job.links.add(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN))
        started.feed(
            traces(
                server("POST /predict", 200, own="a1" * 8, start=now() - 4 * SECOND, seconds=0.02),
                span(own=SPAN, parent="a1" * 8, start=now() - 4 * SECOND, attributes={semconv.PREDICTION_ID: "p-1"}),
                server("POST /predict", 422, trace=REFUSED, own="b1" * 8, start=now() - 3 * SECOND),
                with_exception(server("POST /predict", 500, trace=FAILED, own="c1" * 8, start=now() - 2 * SECOND)),
                with_exception(
                    span(trace=FAILED, own="c2" * 8, parent="c1" * 8, start=now() - 2 * SECOND, error=True, attributes=IDENTITY)
                ),
            ),
            traces(
                server("GET /cart", 200, trace=LARGE, own="d1" * 8, start=now() - 9 * SECOND),
                *(span(f"part {index}", trace=LARGE, own=f"{index + 1:016x}", parent="d1" * 8, start=now() - 8 * SECOND + index)
                  for index in range(200)),
                job,
                service="shop",
            ),
            logs(
                prediction("p-1", own=SPAN, at=now() - 4 * SECOND),
                failure("f-1", trace=FAILED, own="c2" * 8, at=now() - 2 * SECOND),
                record("field <i>age</i> is missing", trace=REFUSED, own="b1" * 8),
                record("no span of this", trace=LOGS_ONLY),
            ),
        )  # fmt: skip
        yield started


def expect_rows(page, *rows):
    """Waits until the list has rows with this status and this prediction."""
    for column, texts in zip((3, 7), zip(*rows, strict=True), strict=True):
        expect(page.locator(f"[data-list] tbody td:nth-child({column})")).to_have_text(texts)


def test_each_request_is_listed_also_without_a_prediction(visit):
    """The newest requests come first, with their status and prediction; a kind shows some of them by one click."""
    page = visit("/requests")
    expect_rows(page, ("500", "none"), ("422", "none"), ("200", "p-1"), ("200", "none"))
    page.get_by_role("link", name="Refused").click()
    expect_rows(page, ("422", "none"))
    page.get_by_role("link", name="With a prediction").click()
    expect_rows(page, ("200", "p-1"))
    follow(page.get_by_role("link", name="All", exact=True))
    expect(page.locator("[data-list] tbody tr")).to_have_count(4)
    page.get_by_role("combobox", name="Service").select_option("shop")
    page.wait_for_url("**service=shop**")
    expect_rows(page, ("200", "none"))
    page.get_by_label("Text").fill("nothing has this")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_contain_text("No request fits in this time")


def test_a_model_shows_the_requests_of_its_services(visit):
    """With a model in the bar the list has all requests of the services that serve it, the refused ones too."""
    page = visit("/requests?model=fraud")
    expect(page.locator("[data-list] tbody td:nth-child(3)")).to_have_text(["500", "422", "200"])
    expect(page.locator("h1 + .note")).to_contain_text("of the services that serve fraud")


def test_a_refused_request_leads_to_its_trace_and_log_line(visit):
    """A 422 has a trace without a prediction, and its log lines say why."""
    page = visit("/requests?status_code=422")
    page.click("[data-list] tbody a")
    page.wait_for_url(f"**/traces/{REFUSED}**")
    expect(page.locator(".strip")).to_contain_text("422")
    expect(page.locator(".strip")).to_contain_text("no model was called")
    expect(page.locator(".logs")).to_contain_text("field <i>age</i> is missing")
    page.select_option("select[name=range]", "1h")
    page.wait_for_url("**/requests?range=1h")


def test_an_exception_is_readable(visit):
    """An exception that several spans recorded is shown once, whole, and frames of libraries are quiet."""
    page = visit(f"/traces/{FAILED}")
    shown = page.locator(".exception")
    expect(shown).to_have_count(1)
    expect(shown.locator("h2")).to_have_text("ValueError")
    expect(shown.locator(".message")).to_have_text("<b>n/a</b>")
    expect(shown).to_contain_text("span POST /predict, span predict fraud")
    assert shown.locator("pre").inner_text().strip() == STACK
    assert shown.locator(".library").all_inner_texts() == STACK.splitlines()[3:5]
    page.click("text=f-1")
    page.wait_for_url("**/predictions/f-1?**")
    expect(page.locator(".exception .message")).to_have_text("<b>n/a</b>")


def test_a_span_shows_its_details(visit):
    """A click on a span shows its attributes, events, status and links; its address opens it."""
    page = visit(f"/traces/{FAILED}")
    page.click("summary >> text=predict fraud")
    details = page.locator("details[open] .details")
    expect(details).to_contain_text("status error")
    expect(details).to_contain_text("ml.model.name")
    expect(page.locator(".strip")).to_contain_text("2 failed")
    expect(details.locator("h3")).to_have_text("Event exception after 1.00 ms")
    page.goto(page.url.partition("/traces")[0] + f"/traces/{LARGE}?span=" + "e0" * 8)
    expect(page.locator("details[open] summary .name")).to_contain_text("chunk")
    page.click("details[open] a >> text=trace 0af76519")
    page.wait_for_url(f"**/traces/{TRACE}?span={SPAN}**")
    page.click("text=its prediction")
    page.wait_for_url("**/predictions/p-1?**")


def test_a_long_trace_is_shown_in_parts(visit, filled):
    """A trace of many spans stays a small page, and its further spans are one click away."""
    page = visit(f"/traces/{LARGE}")
    assert len(filled.send(f"/traces/{LARGE}").body) < 100 << 10
    expect(page.locator(".trace li")).to_have_count(80)
    page.click("text=Later spans")
    expect(page.locator(".trace li").first).to_contain_text("part 79")
    page.click("text=Earlier spans")
    expect(page.locator(".trace li").first).to_contain_text("GET /cart")


def test_a_trace_is_found_by_its_id(visit):
    """The search finds a trace without a prediction, and one of which only log lines have arrived."""
    for trace in (REFUSED, LOGS_ONLY):
        page = visit("/requests")
        page.fill(".find input", trace.upper())
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/traces/{trace}")
    expect(page.locator("main")).to_contain_text("No span of this trace has arrived")


def test_an_unknown_trace_is_said_to_be_unknown(filled):
    """The page of a trace of which nothing is stored says why that can be."""
    answer = filled.send("/traces/" + "99" * 16)
    assert answer.status == 404
    assert "It was not sampled" in answer.body.decode()


def test_they_work_without_scripts(visit):
    """Filters, list and spans need no JavaScript."""
    page = visit("/requests", java_script_enabled=False)
    page.fill("input[name=status_code]", "5")
    page.get_by_role("button", name="Show").last.click()
    expect(page.locator("[data-list] tbody td:nth-child(3)")).to_have_text(["500"])
    page.click("[data-list] tbody a")
    page.click("summary >> text=predict fraud")
    expect(page.locator("details[open] .details").last).to_contain_text("ml.model.name")
