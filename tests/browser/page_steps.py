"""What tests of several pages do with a page."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def update(page: Page) -> None:
    """Asks for an update now, as a page does that comes back into view."""
    expect(page.locator("#state:is([data-kind=live], [data-kind=gone])")).to_be_visible()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def expect_drawn(page: Page) -> None:
    """Waits until each chart is drawn."""
    expect(page.locator("figure[data-chart]:not([data-drawn])")).to_have_count(0)
