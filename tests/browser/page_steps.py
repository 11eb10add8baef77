"""What tests of several pages do with a page."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect


def update(page: Page) -> None:
    """Asks for an update now, as a page does that comes back into view."""
    expect(page.locator("#state:is([data-kind=live], [data-kind=gone])")).to_be_visible()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def follow(link: Locator) -> None:
    """Clicks a link and waits until the scripts of its page have run: before that, keys and choices in forms do nothing."""
    with link.page.expect_navigation():
        link.click()


def expect_drawn(page: Page) -> None:
    """Waits until each chart is drawn."""
    expect(page.locator("figure[data-chart]:not([data-drawn])")).to_have_count(0)


def expect_width(page: Page, width: int) -> None:
    """Waits until the page is that wide, on its screen or beyond: charts follow a new screen with the next frame."""
    page.wait_for_function("width => document.documentElement.scrollWidth === width", arg=width)


def expect_links(links: Locator, *names: str) -> None:
    """Waits until the links lead to pages of these names, in this order; a last name of `...` lets more follow."""
    wanted = names[:-1] if names[-1] == "..." else names
    if wanted is names:
        expect(links).to_have_count(len(wanted))
    for place, name in enumerate(wanted):
        expect(links.nth(place)).to_have_attribute("href", re.compile(rf"/{re.escape(name)}(\?|$)"))
