"""The report of a model in a real browser: as a page of the console, as a file, on paper and on a phone."""

from __future__ import annotations

from playwright.sync_api import expect


def test_any_page_leads_to_the_report_and_it_leads_back(visit):
    """What was found comes first; the changed feature is drawn, in the colours of the sheet that the page holds."""
    page = visit("/data?model=fraud&range=1h")
    page.click("nav >> text=Report")
    page.wait_for_url("**/report?model=fraud&range=1h")
    expect(page.locator("section").first).to_contain_text("1 of 2 features changed: income")
    card = page.locator("section section", has_text="income")
    assert card.locator("rect.now").first.evaluate("bar => getComputedStyle(bar).fill") == "rgb(0, 103, 168)"
    assert card.locator("svg text").first.evaluate("text => getComputedStyle(text).fontSize") == "12px"
    page.click("text=Back")
    page.wait_for_url("**/model?model=fraud&range=1h")


def test_the_file_is_the_page_without_a_console(visit, tmp_path):
    """It opens from the disk, without the links, in the colours of the system."""
    page = visit("/report?model=fraud&range=1h")
    with page.expect_download() as download:
        page.click("text=Save as a file")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == "report-fraud.html"
    kept = visit(saved.as_uri(), color_scheme="dark")
    expect(kept.locator("h1")).to_have_text("Report on fraud")
    assert kept.locator("a").count() == 0
    assert kept.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == "rgb(17, 19, 24)"


def test_on_paper_it_is_light_and_has_no_links(visit):
    """Also in a browser with dark colours."""
    page = visit("/report?model=fraud&range=1h", color_scheme="dark")
    page.emulate_media(media="print")
    expect(page.get_by_text("Save as a file")).to_be_hidden()
    assert page.locator("h1").evaluate("head => getComputedStyle(head).color") == "rgb(27, 33, 48)"
