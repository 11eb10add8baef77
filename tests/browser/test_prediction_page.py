"""The page of one prediction in a real browser: features beside training, rows, late label, neighbours, phone, no script.

Sources: langfuse/langfuse#804 and Arize-ai/phoenix#6485 (no way from one record to the next without the list).
"""

from __future__ import annotations

import pytest
from console_feed import batch, label, logs, metrics, now, prediction, record, span, traces
from console_server import running
from page_steps import update
from performance_feed import gauge
from playwright.sync_api import expect

from otel_ml import semconv
from otel_ml.console._options import Options

SECOND = 10**9
HOSTILE = "<img src=x onerror=alert(1)>"


def shares(feature, bins):
    """The reference of a feature."""
    of = {semconv.FEATURE_NAME: feature, semconv.PROFILE_ID: "p"}
    return [
        gauge(semconv.FEATURE_REFERENCE_SHARE, share, {**of, semconv.FEATURE_BIN: name}) for name, share in bins.items()
    ]


@pytest.fixture(scope="module")
def filled():
    """Three predictions with a reference and a trace, and a batch of which one row is labelled."""
    features = {"age": 41, "job": HOSTILE, HOSTILE: 1}
    with running(Options()) as started:
        started.feed(
            traces(span("POST /predict", own="aa" * 8, seconds=0.006), span(parent="aa" * 8)),
            logs(
                *(prediction(f"p-{index}", features=features, at=now() - (9 - index) * SECOND) for index in range(3)),
                batch("b-1", 3, at=now(), own="bb" * 8),
                record("scoring", at=now() + 2 * 10**6),
            ),
            logs(label("b-1.1", "1", correct=False, own="bb" * 8)),
            metrics(
                *shares("age", {"00 (-inf, 30)": 0.25, "01 [30, inf)": 0.75}),
                *shares("job", {"nurse": 0.9, "__other__": 0.1}),
                *shares("ssn", {"00": 1.0}),
            ),
        )
        yield started


def test_a_feature_is_judged_by_its_training_values(visit):
    """Each feature has its training distribution with the bin of its value; unusual ones come first."""
    page = visit("/predictions/p-1")
    rows = page.locator(".features tbody tr")
    expect(rows.nth(0)).to_contain_text(f"job{HOSTILE}")
    expect(rows.nth(0)).to_contain_text("rare or unseen in training")
    expect(rows.nth(1)).to_contain_text("75.0 % 30 or more")
    expect(rows.nth(2)).to_contain_text("no reference")
    expect(rows.locator("svg.bins")).to_have_count(2)
    expect(page.locator(".reasons")).to_contain_text("ssn")


def test_neighbours_are_one_click_away(visit):
    """Older and newer lead through the predictions of the model."""
    page = visit("/predictions/p-1")
    page.click("text=older")
    page.wait_for_url("**/predictions/p-0**")
    expect(page.locator(".steps a")).to_have_count(1)
    page.click("text=newer")
    page.wait_for_url("**/predictions/p-1**")


def test_a_row_of_a_batch_is_a_page_of_its_own(visit):
    """A row has its own output, score, features and label, and leads to the rows beside it and to its batch."""
    page = visit("/predictions/b-1")
    expect(page.locator("[data-list] tbody tr")).to_have_count(3)
    page.click("[data-list] tbody tr:nth-child(2) a")
    page.wait_for_url("**/predictions/b-1.1**")
    expect(page.locator(".strip")).to_contain_text("0.1000")
    expect(page.locator(".strip .mark.no")).to_have_count(1)
    expect(page.locator(".features tbody tr")).to_contain_text("21")
    expect(page.locator("tr.chosen")).to_contain_text("✗")
    page.click("text=row after")
    page.wait_for_url("**/predictions/b-1.2**")
    expect(page.locator(".strip")).to_contain_text("has not arrived")
    page.click(".crumb >> text=b-1")
    page.wait_for_url("**/predictions/b-1?**")


def test_a_late_label_appears(visit, filled):
    """A label that arrives while the page is open appears in it, and an open span stays open."""
    page = visit("/predictions/p-2")
    page.click("summary >> text=predict fraud")
    filled.feed(logs(label("p-2", "0", correct=False)))
    update(page)
    expect(page.locator(".strip .mark.no")).to_be_visible()
    expect(page.locator("details[open]")).to_have_count(1)
    expect(page.locator(".logs")).to_contain_text("+2.00 ms")


def test_it_works_without_scripts(visit):
    """Features, rows and details of spans need no JavaScript."""
    page = visit("/predictions/p-1", java_script_enabled=False)
    page.click("summary >> text=predict fraud")
    expect(page.locator("details[open] .details")).to_contain_text("kind internal")
    expect(page.locator(".features")).to_contain_text("75.0 %")
