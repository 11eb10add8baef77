"""The list of predictions in a real browser: filters, columns, pages, files, phone, no script."""

from __future__ import annotations

import json

import pytest
from console_feed import batch, failure, label, logs, now, prediction
from console_server import running
from page_steps import expect_links, follow, update
from playwright.sync_api import expect

from otel_ml.console._options import Options

SECOND = 10**9


@pytest.fixture(scope="module")
def filled():
    """A console with predictions of a model in every state, and a batch."""
    with running(Options()) as started:
        started.feed(
            logs(
                *(
                    prediction(
                        f"p-{index:03}", features={"age": index, "note": "<b>x</b>"}, score=index / 200,
                        outcome=str(index % 2), at=now() - (300 - index) * SECOND,
                    )
                    for index in range(150)
                ),
                failure("f-1", at=now() - 2 * SECOND),
                batch("b-1", 2, at=now() - SECOND, own="bb" * 8),
                prediction("o-1", attributes={"ml.model.name": "other"}, at=now()),
            ),
            logs(
                label("p-007", "0", correct=False), label("p-008", "0", correct=True),
                label("b-1.1", "1", correct=False, own="bb" * 8),
            ),
        )  # fmt: skip
        yield started


def expect_rows(page, *names):
    """Waits until the rows lead to these predictions; a last name of `...` lets more follow."""
    expect_links(page.locator("main tbody tr td:first-child a"), *names)


def test_from_all_predictions_to_the_wrong_one(visit):
    """One click shows the wrong predictions, the wrong row of a batch among them, and the next one opens it."""
    page = visit("/predictions")
    expect_rows(page, "o-1", "b-1", "f-1", "...")
    follow(page.locator("nav.kinds >> text=Wrong"))
    expect(page.locator("nav.kinds [aria-current]")).to_have_text("Wrong")
    expect_rows(page, "b-1.1", "p-007")
    expect(page.locator("tbody tr").first).to_contain_text("row 1, batch of 2")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/predictions/p-007**")


def test_filters_are_in_the_address_and_go_one_by_one(visit):
    """What a form says is in the address without empty fields, and each filter can be taken away by itself."""
    page = visit("/predictions?model=fraud&range=1h")
    page.get_by_label("Score from").fill("0.05")
    page.get_by_label("Feature", exact=True).fill("age<=14")
    page.keyboard.press("Enter")
    page.wait_for_url("**/predictions?model=fraud&range=1h&min_score=0.05&feature=age%3C%3D14**")
    assert "max_score" not in page.url
    expect_rows(page, "p-014", "p-013", "p-012", "p-011", "p-010")
    page.get_by_label("and", exact=True).fill("age!=12")
    page.get_by_role("combobox", name="Output").select_option("0")
    page.wait_for_url("**class=0**")
    expect_rows(page, "p-014", "p-010")
    expect(page.locator(".chip")).to_have_text(["class 0 ×", "min score 0.05 ×", "age<=14 ×", "age!=12 ×"])
    page.click(".chip >> text=age!=12")
    expect_rows(page, "p-014", "p-012", "p-010")
    page.click("text=More filters")
    page.get_by_label("Id begins with").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_contain_text("No prediction fits fraud in this time")
    page.click("text=remove all filters")
    expect(page.locator("main tbody a[href^='/predictions/p-149']").first).to_be_visible()


def test_pages_go_on_to_the_oldest(visit):
    """Older leads to the next page with the same filters, and newest back to the first."""
    page = visit("/predictions?model=fraud&failed=false&limit=100")
    expect_rows(page, "b-1", "...")
    page.get_by_role("link", name="Older").click()
    expect_rows(page, *(f"p-{index:03}" for index in range(50, -1, -1)))
    expect(page.locator("text=Older")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect_rows(page, "b-1", "...")


def test_columns_are_chosen(visit):
    """The table has the columns that are ticked; the values of features are text."""
    page = visit("/predictions?model=fraud&id=p-14")
    page.click("summary >> text=Columns")
    for name in ("Version", "Score", "Duration", "Error"):
        page.get_by_role("checkbox", name=name).uncheck()
    page.get_by_role("checkbox", name="Features").check()
    page.get_by_role("button", name="Show").last.click()
    expect(page.locator("thead th")).to_have_text(["Time", "Output", "Label", "Features"])
    expect(page.locator("tbody tr").first).to_contain_text("age 149 note <b>x</b>")


def test_chosen_columns_stay_for_the_next_visit(visit):
    """A list that is opened by another link has the columns that were chosen last, until the standard ones are back.

    Source: gchq/gaffer-tools#540.
    """
    page = visit("/predictions?column=id&column=score")
    page.click("nav.pages >> text=Logs")
    page.wait_for_url("**/logs**")
    page.click("nav.pages >> text=Predictions")
    expect(page.locator("thead th")).to_have_text(["Time", "Id", "Score"])
    page.click("summary >> text=Columns")
    page.click("text=Standard columns")
    page.click("nav.pages >> text=Predictions")
    expect(page.locator("thead th")).to_have_text(
        ["Time", "Model", "Version", "Output", "Score", "Duration", "Label", "Error"]
    )


def test_keys_lead_to_the_predictions_beside_one(visit):
    """On the page of a prediction, n opens the next one of the model and p the previous one.

    Source: CtrlSpice/otel-desktop-viewer#89.
    """
    page = visit("/predictions/p-050")
    page.keyboard.press("n")
    page.wait_for_url("**/predictions/p-051**")
    page.keyboard.press("p")
    page.wait_for_url("**/predictions/p-050**")


def test_files_have_what_the_page_lists(visit):
    """A file has the predictions of all pages of the list, with its filters and its time."""
    page = visit("/predictions?model=fraud&feature=age>=100&range=1h")
    link = page.get_by_role("link", name="JSON").get_attribute("href")
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    assert started.value.suggested_filename == "predictions.csv"
    rows = json.loads(page.request.get(page.url.split("/predictions")[0] + link).body())
    assert [row["id"] for row in rows] == [f"p-{index}" for index in range(149, 99, -1)]


def test_what_is_typed_stays_while_the_list_is_live(visit, filled):
    """A new prediction appears in the list, and a half filled form stays as it is."""
    page = visit("/predictions")
    page.get_by_label("Feature", exact=True).fill("age>")
    page.locator("h1").click()
    filled.feed(logs(prediction("late", at=now() + 10**9)))
    update(page)
    expect(page.locator("a[href^='/predictions/late']")).to_be_visible()
    expect(page.get_by_label("Feature", exact=True)).to_have_value("age>")


def test_it_works_without_scripts(visit):
    """Forms and links of the list need no JavaScript."""
    page = visit("/predictions?truth=wrong&column=features&column=id", java_script_enabled=False)
    expect_rows(page, "b-1.1", "p-007")
    page.locator("input[name=feature]").fill("age=7")
    page.get_by_role("button", name="Show").last.click()
    expect_rows(page, "p-007")
