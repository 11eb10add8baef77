"""The page in a real browser: from the list to one prediction, without scripts, and with hostile content."""

from __future__ import annotations

import re

from console_feed import (
    IDENTITY,
    SPAN,
    TRACE,
    batch,
    failure,
    label,
    logs,
    metrics,
    now,
    prediction,
    record,
    span,
    traces,
)
from performance_feed import HOUR, estimates, outcomes, segments, training
from playwright.sync_api import expect

from otel_ml import semconv

CANARY = "<script>window.canary=1</script><img src=x onerror='window.canary=2'>\"'`{{7*7}}\u202e\u0007"


def feed_one(console):
    """Sends one prediction with its spans, event, log line and label."""
    console.feed(
        traces(
            span("POST /predict", own="aa" * 8, seconds=0.006, start=now() - 10**6),
            span(parent="aa" * 8),
            span("preprocess", own="bb" * 8, parent=SPAN, seconds=0.001),
        ),
        logs(
            prediction("p-1", features={"age": 41, "occupation": "teacher"}),
            record("scoring with threshold 0.5"),
            record("another request", trace="ee" * 16),
        ),
        logs(label("p-1", "0", correct=False)),
    )


def test_a_click_leads_to_trace_features_log_and_label(console, open_page):
    """A click on a prediction shows its spans, features, log line and label."""
    feed_one(console)
    page = open_page()
    page.goto(f"{console.address}/predictions")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.click("tbody a")
    page.wait_for_url("**/predictions/p-1**")
    expect(page.locator(".trace summary .name")).to_have_text(["POST /predict", "predict fraud", "preprocess"])
    lefts = [bar["x"] for bar in (one.bounding_box() for one in page.locator(".trace svg rect").all()) if bar]
    assert len(lefts) == 3
    assert lefts[0] < lefts[1]
    expect(page.locator("section", has_text="Features")).to_contain_text("teacher")
    expect(page.locator(".logs")).to_contain_text("scoring with threshold 0.5")
    expect(page.locator(".logs")).not_to_contain_text("another request")
    expect(page.locator(".strip .mark.no")).to_have_text("✗")


def test_the_page_works_without_scripts(console, open_page):
    """List, filter and detail need no JavaScript."""
    feed_one(console)
    console.feed(logs(prediction("p-2", attributes={semconv.MODEL_NAME: "churn"}, trace="cc" * 16)))
    page = open_page(java_script_enabled=False)
    page.goto(f"{console.address}/predictions")
    page.select_option("select[name=model]", "churn")
    page.click("text=Show")
    page.wait_for_url(re.compile("model=churn"))
    expect(page.locator("tbody tr")).to_have_count(1)
    page.click("tbody a")
    expect(page).to_have_title("Prediction p-2 · otel-ml")


def test_no_text_of_a_sender_is_executed(console, open_page):
    """Names, versions, values, log bodies and ids are shown as text; nothing is loaded from other hosts."""
    hostile = dict.fromkeys(IDENTITY, CANARY) | {semconv.PREDICTION_ID: CANARY, semconv.ERROR_TYPE: CANARY}
    console.feed(
        traces(span("predict " + CANARY, attributes=hostile, error=True), service=CANARY),
        logs(
            prediction(CANARY, features={CANARY: CANARY, "nested": {CANARY: [CANARY]}}, outcome=CANARY),
            record(CANARY, {CANARY: CANARY}),
            failure(CANARY + "f", CANARY),
            label(CANARY, CANARY),
            prediction("x", attributes=hostile),
            service=CANARY,
        ),
    )
    page = open_page()
    problems, requested = [], []
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{console.address}/predictions")
    expect(page.locator("tbody tr")).to_have_count(3)
    links = ["/", *(link.get_attribute("href") for link in page.locator("tbody a").all())]
    shown = []
    for link in links:
        page.goto(console.address + link)
        shown.append(page.inner_text("main"))
        assert page.evaluate("window.canary") is None
        assert page.locator("main script, main img").count() == 0
        text = page.content()
        assert "\u202e" not in text
        assert "\u0007" not in text
    assert all(
        "<script>window.canary=1</script>" in text
        for link, text in zip(links, shown, strict=True)
        if "/predictions/" in link
    )
    assert problems == []
    assert {url.startswith(console.address) for url in requested} == {True}


def test_a_failed_and_a_batch_prediction_are_shown(console, open_page):
    """A failure has its error type; a batch lists its rows with their labels."""
    console.feed(logs(failure("f-1"), batch("b-1", 3, trace="dd" * 16), label("b-1.2", "1", trace="dd" * 16)))
    page = open_page()
    page.goto(f"{console.address}/predictions/f-1")
    expect(page.locator(".strip")).to_contain_text("ValueError")
    page.goto(f"{console.address}/predictions/b-1")
    expect(page.locator(".list tbody tr")).to_have_count(3)
    expect(page.locator(".list tbody tr").nth(2)).to_contain_text("✓")


def test_the_list_refreshes_itself(console, open_page):
    """Records that arrive later appear without a reload."""
    page = open_page()
    page.goto(f"{console.address}/predictions")
    expect(page.locator(".empty")).to_contain_text("OTEL_EXPORTER_OTLP_ENDPOINT")
    feed_one(console)
    expect(page.locator("tbody tr")).to_have_count(1)


def test_an_unknown_page_says_so(console, open_page):
    """An unknown prediction or path gives a page with one sentence and a link back."""
    page = open_page()
    for path, status in (("/predictions/nothing", 404), ("/nowhere", 404), ("/predictions?limit=x", 400)):
        answer = page.goto(console.address + path)
        assert answer.status == status
        expect(page.get_by_role("link", name="Back to")).to_be_visible()
    assert page.locator(f"text={TRACE}").count() == 0


def test_links_lead_to_the_performance_of_a_model(console, open_page):
    """The page draws accuracy over time, and shows the worst segment first."""
    regions = {"north": {"tp": 300, "tn": 300, "fp": 30, "fn": 30}, "<i>west": {"tp": 50, "tn": 50, "fp": 50, "fn": 50}}
    console.feed(
        logs(prediction()),
        metrics(*estimates(at=now() - HOUR // 2), *training()),
        metrics(*estimates(factor=2), *outcomes(), *segments("region", regions)),
    )
    page = open_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"{console.address}/predictions?range=3d")
    page.click("tbody a[href^='/model?']")
    page.wait_for_url("**/model?**")
    page.click("nav >> text=Performance")
    page.wait_for_url("**/performance?model=fraud&range=3d")
    expect(page.locator("figure[data-drawn]").first).to_contain_text("Accuracy over time")
    first = page.locator("section", has_text="Segments").locator("tbody tr").first
    expect(first).to_contain_text("<i>west")
    expect(first).to_contain_text("worse")
    assert refused == []


def test_back_shows_the_choices_of_that_page(visit):
    """After a step back the filters stand as in the address, not as they were left (betterlytics/betterlytics#542)."""
    page = visit("/requests?range=1h")
    page.select_option("select[name=range]", "6h")
    page.wait_for_url("**range=6h**")
    page.select_option("select[name=service]", "plain-web")
    page.wait_for_url("**service=plain-web**")
    page.go_back()
    page.wait_for_url("**range=6h")
    expect(page.locator("select[name=service]")).to_have_value("")
    page.go_back()
    page.wait_for_url("**range=1h")
    expect(page.locator("select[name=range]")).to_have_value("1h")
