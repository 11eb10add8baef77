"""Logs and health in a real browser: search, levels, one record in full, the way to its trace, senders and storage."""

from __future__ import annotations

import pytest
from console_feed import TRACE, counter, logs, metrics, now, prediction, record, span, traces
from console_server import running
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from page_steps import follow
from playwright.sync_api import expect

from otel_ml import semconv
from otel_ml.console._options import Options

SECOND = 10**9
HOSTILE = "<img src=x onerror='window.canary=1'>"


def ledger(name, value, signal, **more):
    """What a sender counts about itself."""
    return counter(value, name=name, attributes={semconv.SIGNAL: signal, **more})


@pytest.fixture(scope="module")
def filled():
    """Log lines of two services at three levels, a prediction, and a sender that dropped records."""
    bare = record("no trace", at=now() - 500 * SECOND, trace="", own="")
    bare.body.CopyFrom(AnyValue(string_value=HOSTILE))
    with running(Options()) as started:
        started.feed(
            traces(span(attributes={semconv.PREDICTION_ID: "p-1"})),
            logs(
                *(record(f"scoring customer {index}", at=now() - (200 - index) * SECOND) for index in range(150)),
                record("feature store is slow", severity=13, at=now() - 3 * SECOND),
                record(
                    "prediction failed", {"exception.type": "ValueError", "exception.stacktrace": "Traceback\n  line 7"},
                    severity=17, at=now() - 2 * SECOND,
                ),
                bare, prediction(at=now() - SECOND),
            ),
            logs(record("cart is empty", at=now() - 4 * SECOND), service="shop"),
            metrics(
                ledger(semconv.EXPORT_PRODUCED.name, 100, "traces"), ledger(semconv.EXPORT_DELIVERED.name, 93, "traces"),
                ledger(semconv.EXPORT_DROPPED.name, 7, "traces", **{semconv.DROP_REASON: "queue_full"}),
            ),
        )  # fmt: skip
        yield started


def expect_texts(page, *texts):
    """Waits until the list has the records with these texts; a last one of `...` lets more follow."""
    found = page.locator("td.words")
    if texts[-1] != "...":
        expect(found).to_have_text(texts)
    else:
        for place, text in enumerate(texts[:-1]):
            expect(found.nth(place)).to_have_text(text)


def test_levels_and_search_narrow_the_list(visit):
    """A level shows it and those above, a text is found in upper or lower case, and each filter goes by itself."""
    page = visit("/logs?range=1h")
    expect_texts(page, "prediction failed", "feature store is slow", "cart is empty", "...")
    page.click("nav.kinds >> text=Warnings")
    expect_texts(page, "prediction failed", "feature store is slow")
    follow(page.locator("nav.kinds >> text=All levels"))
    expect_texts(page, "prediction failed", "feature store is slow", "cart is empty", "...")
    page.get_by_label("Text").fill("CUSTOMER 14")
    page.keyboard.press("Enter")
    page.wait_for_url("**/logs?range=1h&text=CUSTOMER+14**")
    expect_texts(page, *(f"scoring customer {index}" for index in (*range(149, 139, -1), 14)))
    follow(page.locator(".chip"))
    expect(page.locator(".chip")).to_have_count(0)
    page.get_by_role("combobox", name="Service").select_option("shop")
    page.wait_for_url("**service=shop**")
    expect_texts(page, "cart is empty")
    page.get_by_label("Text").fill("nothing")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_contain_text("No record fits in this time")


def test_pages_go_on_to_the_oldest(visit):
    """Older leads to the next page with the same filters, and newest back to the first."""
    page = visit("/logs?range=1h&text=scoring")
    page.get_by_role("link", name="Older").click()
    expect_texts(page, *(f"scoring customer {index}" for index in range(69, -1, -1)))
    page.get_by_role("link", name="Newest").click()
    expect_texts(page, "scoring customer 149", "...")


def test_one_record_is_shown_in_full_and_leads_to_its_trace(visit):
    """A record has its attributes with the whole stack trace, its prediction and its trace; the address is a link to it."""
    page = visit("/logs?range=1h&level=error")
    page.click("td.time a")
    page.wait_for_url("**record=**")
    panel = page.locator("section[aria-labelledby=record]")
    expect(panel).to_contain_text("Traceback\n  line 7", use_inner_text=True)
    expect(panel.locator("a", has_text=TRACE)).to_have_attribute("href", f"/traces/{TRACE}")
    follow(panel.get_by_role("link", name="Close"))
    expect(panel).to_have_count(0)
    page.get_by_role("combobox", name="Records").select_option("prediction")
    page.wait_for_url("**kind=prediction**")
    page.click("nav.kinds >> text=All levels")
    expect(page.locator("nav.kinds [aria-current]")).to_have_text("All levels")
    page.click("td.time a")
    expect(panel.locator("a[href^='/predictions/p-1']")).to_be_visible()


def test_the_lines_of_a_trace_have_an_address(visit):
    """A trace id in the address shows its lines and stands in the form as a filter: microsoft/aspire#5438."""
    page = visit(f"/logs?range=1h&level=warn&trace_id={TRACE}")
    expect_texts(page, "prediction failed", "feature store is slow")
    expect(page.locator(".fields input[name=trace_id]")).to_have_value(TRACE)


def test_a_model_has_the_lines_of_its_services(visit):
    """With a model in the bar the list has the lines of the services that predict with it."""
    page = visit("/logs?range=1h&model=fraud")
    expect_texts(page, "prediction failed", "feature store is slow", "...")
    expect(page.locator("td.words", has_text="cart is empty")).to_have_count(0)


def test_health_says_what_arrived_and_who_loses_records(visit):
    """Received and stored are counted, a sender that drops records is marked with the reason, tables have their size."""
    page = visit("/health")
    expect(page.locator(".strip dd:not(.more)")).to_have_text(["159", "159", "0", "0", "0", "0"])
    sender = page.locator("section[aria-labelledby=senders] tbody tr")
    expect(sender).to_contain_text("loses records")
    assert sender.locator("td").all_inner_texts()[2:7] == ["100", "93", "–", "–", "queue full 7"]  # noqa: RUF001
    services = page.locator("section[aria-labelledby=services] tbody tr", has_text="fraud-api")
    assert services.locator("td").all_inner_texts()[1:4] == ["1", "0", "154"]
    logs_table = page.locator("section[aria-labelledby=storage] tbody tr", has_text="logs")
    expect(logs_table).to_contain_text("154 of 2,000,000")


def test_an_empty_console_says_what_to_do(console, open_page):
    """Before anything arrived both pages have the line that sends telemetry here."""
    page = open_page()
    for path in ("/logs", "/health"):
        page.goto(console.address + path)
        expect(page.locator(".empty pre")).to_have_text(
            f"OTEL_EXPORTER_OTLP_ENDPOINT={console.address} python service.py"
        )


def test_they_work_without_scripts(visit):
    """Tables take the place of charts, and the form has a button."""
    page = visit("/logs?range=1h", java_script_enabled=False, viewport={"width": 390, "height": 800})
    expect(page.locator("figure table")).to_be_visible()
    page.get_by_label("Text").fill("slow")
    page.click(".fields button")
    expect_texts(page, "feature store is slow")
