"""Log in, look, log out: with scripts and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from console_feed import logs, prediction
from console_server import Console, running
from playwright.sync_api import Page, expect

from otel_ml.console._options import Options

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Console]:
    """A console with a token and one prediction."""
    with running(Options(host="0.0.0.0", token=TOKEN)) as started:
        started.headers["authorization"] = f"Bearer {TOKEN}"
        started.feed(logs(prediction("p-1")))
        yield started


@pytest.mark.parametrize("script", [True, False])
def test_a_login_leads_to_the_page_that_was_asked_for(
    guarded: Console, open_page: Callable[..., Page], axe: Callable[..., list[str]], script: bool
) -> None:
    """A wrong token is named; the right one opens the page of the link, and the logout closes it."""
    page = open_page(java_script_enabled=script, viewport={"width": 390, "height": 700}, color_scheme="dark")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{guarded.address}/predictions?model=fraud")
    page.get_by_label("Console token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the token of this console.")
    if script:
        assert axe(page) == []
    page.get_by_label("Console token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{guarded.address}/predictions?model=fraud")
    expect(page.locator("a[href^='/predictions/p-1']").first).to_be_attached()
    assert page.evaluate("document.cookie") == "" if script else True
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Console token")).to_be_visible()
    page.goto(f"{guarded.address}/predictions?model=fraud")
    expect(page.get_by_label("Console token")).to_be_visible()
    assert [text for text in said if "401" not in text] == []


def test_an_open_page_asks_for_the_token_when_its_login_ends(
    guarded: Console, open_page: Callable[..., Page], axe: Callable[..., list[str]]
) -> None:
    """A page that updates itself does not stand still with old figures; after the login it is the same page."""
    page = open_page()
    page.goto(f"{guarded.address}/predictions?model=fraud&range=6h")
    assert axe(page) == []
    page.get_by_label("Console token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#state[data-kind=live]")).to_be_visible()
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_label("Console token")).to_be_visible()
    expect(page).to_have_url(f"{guarded.address}/predictions?model=fraud&range=6h")
