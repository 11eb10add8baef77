"""The page of features in a real browser: from a verdict to what changed and to the predictions that did."""

from __future__ import annotations

import pytest
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
    assert first.locator("tbody td").all_inner_texts() == ["high", "10.0 %", "50.0 %", "low", "90.0 %", "50.0 %"]
    assert axe(page) == []
    expect(page.locator("section:has(h2:text('What changed')) tbody a")).to_have_text(["high", "low"])
    page.click("a[rel=next]")
    expect(page.locator("h1")).to_contain_text("age")
    page.click("a[rel=prev]")
    page.click("section:has(h2:text('What changed')) tbody a >> nth=0")
    page.wait_for_url("**/predictions?**feature=income%3Dhigh**")
    assert reported == []


@pytest.mark.parametrize("path", ["/data?model=fraud", "/data?model=fraud&feature=income"])
@pytest.mark.parametrize(("width", "colours"), [(390, "dark"), (768, "light")])
def test_it_is_readable_on_a_phone_and_without_scripts(filled, open_page, axe, path, width, colours):
    """Nothing is cut off, and contrast holds in both colour schemes."""
    page = open_page(viewport={"width": width, "height": 844}, color_scheme=colours, java_script_enabled=width == 390)
    page.goto(filled.address + path)
    expect(page.locator("main")).to_contain_text("drifted")
    if width == 390:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert axe(page) == []
    else:
        expect(page.locator("table").first).to_be_visible()
