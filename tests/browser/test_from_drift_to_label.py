"""The whole story in a real browser: by clicks from a red line of the overview to the label of a wrong prediction."""

from __future__ import annotations

import pytest
from console_feed import IDENTITY, batch, counter, label, logs, metrics, now, prediction, record, span, traces
from console_server import running
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from page_steps import update
from performance_feed import CANARY, gauge, outcomes, training
from playwright.sync_api import expect

from otel_ml import semconv
from otel_ml.console._options import Options

MS = 10**6
LINE = "the code 25 of RELP is not in the training data"
REFUSED = "4d" * 16


def changed_feature():
    """RELP had three codes in training; half of the rows come with others now."""
    of = {semconv.FEATURE_NAME: "RELP", semconv.PROFILE_ID: "p"}
    shares = {"0": 0.5, "1": 0.3, "12": 0.19, semconv.OTHER: 0.01}
    yield gauge(semconv.FEATURE_REFERENCE_SIZE, 10_000, of)
    yield gauge(semconv.FEATURE_EXPECTED_SHARE, 0.0, {**of, semconv.FEATURE_FINDING: semconv.UNSEEN_CATEGORIES})
    for name, share in shares.items():
        yield gauge(semconv.FEATURE_REFERENCE_SHARE, share, {**of, semconv.FEATURE_BIN: name})
    for name, times in (("0", 200), ("1", 120), ("12", 80), (semconv.UNSEEN, 400)):
        bin_ = {**IDENTITY, **of, semconv.FEATURE_BIN: name}
        yield counter(times, name=semconv.FEATURE_VALUES.name, attributes=bin_, start=now() - 1000 * MS)


def requests():
    """A request with its prediction, and one that was refused before there was any."""
    for own, parent, name, trace, status in (
        ("01" * 8, "", "POST /predict", "aa" * 16, 200),
        ("02" * 8, "01" * 8, "predict fraud", "aa" * 16, None),
        ("03" * 8, "", "POST /predict", REFUSED, 422),
    ):
        attributes = {"http.response.status_code": status} if status else {semconv.PREDICTION_ID: "wrong"}
        made = span(name, own=own, parent=parent, trace=trace, start=now(), attributes=attributes)
        made.kind = Span.SPAN_KIND_SERVER if status else Span.SPAN_KIND_INTERNAL
        yield made


@pytest.fixture(scope="module")
def filled():
    """A model whose column RELP arrives in new codes; a wrong prediction, the same by the canary, one without label."""
    new, old = {"RELP": 25.0, "AGEP": 41}, {"RELP": 0.0, "AGEP": 41}
    with running(Options()) as started:
        started.feed(
            logs(
                *(prediction(f"right-{number}", features=old, outcome="1", at=now() - 50 * MS) for number in range(5)),
                *(label(f"right-{number}", "1", at=now()) for number in range(5)),
                prediction("wrong", features=new, outcome="0", score=0.2, trace="aa" * 16, own="02" * 8, at=now()),
                prediction("wrong", features=new, outcome="1", attributes=CANARY, trace="bb" * 16, at=now() + MS),
                record(LINE, trace="aa" * 16, own="02" * 8, severity=13, at=now()),
                label("wrong", "1", correct=False, trace="aa" * 16, at=now() + MS),
                prediction("late", features=new, outcome="0", score=0.2, trace="cc" * 16, at=now() + 2 * MS),
                batch("home", trace="dd" * 16, own="04" * 8, at=now() - 20 * MS),
                label("home.1", "1", correct=False, trace="dd" * 16, own="04" * 8, at=now()),
            ),
            traces(*requests()),
            metrics(
                *changed_feature(), *training(),
                *outcomes({("1", "1"): 300, ("0", "0"): 200, ("0", "1"): 300}, start=now() - 1000 * MS),
            ),
        )  # fmt: skip
        yield started


def test_by_clicks_from_the_red_line_to_the_label(visit):
    """Overview, feature, its predictions, a wrong one: there are its features, label, trace and log lines."""
    page = visit("/?range=1h")
    alerts = page.locator(".alerts li")
    expect(alerts.nth(0)).to_contain_text("1 feature changed RELP has unseen values")
    expect(alerts.nth(1)).to_contain_text("accuracy is 0.625")
    alerts.nth(0).get_by_role("link").click()
    page.get_by_role("link", name="RELP").click()
    page.get_by_role("link", name="rare or unseen").click()
    expect(page.locator("[data-list] tbody tr")).to_have_count(2)
    page.get_by_role("link", name="Wrong").click()
    page.wait_for_url("**/predictions?**truth=wrong**")
    expect(page.locator("[data-list] tbody tr")).to_have_count(1)
    page.locator("[data-list] tbody a").first.click()
    expect(page.locator(".strip")).to_contain_text("1 ✗")
    expect(page.locator("table.features tr", has_text="RELP")).to_contain_text("rare or unseen in training")
    expect(page.locator("main")).to_contain_text(LINE)
    page.locator(".trace summary", has_text="predict fraud").click()
    expect(page.locator(".trace details[open]")).to_contain_text(semconv.PREDICTION_ID)
    page.get_by_role("link", name="aa" * 16).click()
    expect(page.locator("h1")).to_contain_text("POST /predict")
    page.get_by_role("link", name="wrong").first.click()
    expect(page.locator(".strip")).to_contain_text("1 ✗")
    page.get_by_role("link", name="rare or unseen").click()
    expect(page.locator("h1")).to_contain_text("RELP version 1.0.0")


def test_by_clicks_from_the_accuracy_to_the_wrong_cell(visit):
    """The second red line leads to the performance, where a cell of the matrix leads to its predictions."""
    page = visit()
    page.get_by_role("link", name="fraud", exact=True).first.click()
    page.locator(".strip .bad").get_by_role("link", name="0.625").click()
    page.wait_for_url("**/performance?**")
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("link", name="accuracy is").click()
    expect(page.locator(".strip .bad")).to_have_text("Accuracy0.6250.591 to 0.658, training 0.900")
    page.locator("table.matrix td[class*=wrong] a").first.click()
    page.wait_for_url("**class=0&label=1**")
    page.locator("[data-list] tbody a").first.click()
    expect(page.locator(".strip")).to_contain_text("1 ✗")


def test_a_request_that_was_refused_and_a_row_of_a_batch(visit):
    """A 422 has a trace without a prediction; a wrong row of a batch is a page with its own label."""
    page = visit()
    page.get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="Refused").click()
    expect(page.locator("[data-list] tbody tr")).to_have_count(1)
    expect(page.locator("[data-list] tbody tr")).to_contain_text("422")
    page.locator("[data-list] tbody a").first.click()
    page.wait_for_url(f"**/traces/{REFUSED}**")
    page.get_by_role("navigation").get_by_role("link", name="Predictions").click()
    page.get_by_role("link", name="Wrong").click()
    expect(page.locator("nav.kinds [aria-current]")).to_have_text("Wrong")
    page.locator("[data-list] tbody tr", has_text="row").get_by_role("link").first.click()
    expect(page.locator(".strip")).to_contain_text("1 ✗")
    page.locator(".crumb").get_by_role("link", name="home").click()
    expect(page.locator("table", has_text="Row").locator("tbody tr")).to_have_count(3)


def test_a_late_label_appears_on_the_open_page(visit, filled):
    """A reader who waits on the page of a prediction sees its label arrive."""
    page = visit()
    page.get_by_role("navigation").get_by_role("link", name="Predictions").click()
    page.get_by_role("link", name="Unlabelled").click()
    expect(page.locator("nav.kinds [aria-current]")).to_have_text("Unlabelled")
    page.locator("[data-list] tbody a").first.click()
    expect(page.locator(".strip")).to_contain_text("has not arrived")
    # a right one, so that the other tests find as many wrong ones in any order
    filled.feed(logs(label("late", "0", correct=True, trace="cc" * 16, at=now() + 5 * MS)))
    update(page)
    expect(page.locator(".strip")).to_contain_text("0 ✓")
