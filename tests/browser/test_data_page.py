"""The page of features in a real browser: from a verdict to what changed and to the predictions that did."""

from __future__ import annotations

from playwright.sync_api import expect


def test_from_a_verdict_to_what_changed(filled, open_page, axe):
    """A click on the first feature draws it beside its reference; its version, its neighbours and its bins are links."""
    page = open_page()
    reported = []
    page.on("console", lambda message: reported.append(message.text))
    page.goto(f"{filled.address}/data?model=fraud")
    page.click("tbody a >> nth=0")
    page.wait_for_url("**feature=income**")
    expect(page.locator("figure[data-drawn]")).to_have_count(2)
    first = page.locator("figure").first
    first.locator("button").click()
    expect(first.locator("tbody td")).to_have_text(["high", "10.0 %", "50.0 %", "low", "90.0 %", "50.0 %"])
    expect(first.locator("tbody td").first).to_be_visible()
    assert axe(page) == []
    expect(page.locator("section:has(h2:text('What changed')) tbody a")).to_have_text(["high", "low"])
    page.click("a[rel=next]")
    expect(page.locator("h1")).to_contain_text("age")
    page.click("a[rel=prev]")
    expect(page.locator("h1")).to_contain_text("income")
    page.click("section:has(h2:text('What changed')) tbody a >> nth=0")
    page.wait_for_url("**/predictions?**feature=income%3Dhigh**")
    assert reported == []
