"""Debian's Chromium, driven by playwright, and consoles to open.

A module that shows other rows has its own fixture `filled`; `visit` opens its pages.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from built_servers import untimed
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "console"))

from console_server import Console, running  # noqa: E402
from pages_feed import feed_pages  # noqa: E402

from otel_ml.console._options import Options  # noqa: E402

_RUN = """async (rules) => {
  const options = { resultTypes: ["violations"], preload: false, elementRef: false };
  const found = await axe.run(rules.length ? { ...options, runOnly: rules } : options);
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}"""
# A busy machine is no failure.
_TIMEOUT = 60_000
expect.set_options(timeout=_TIMEOUT)

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Returns the first Chromium on the PATH."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Returns the path of Chromium; installs it from the distribution if possible."""
    found = find_chromium()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        with untimed():
            for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
                subprocess.run(["apt-get", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=900)
        found = find_chromium()
    if found is None:
        pytest.fail("the browser tests need Chromium: install the package chromium, or run them as root on Debian")
    return found


class SharedBrowser:
    """One browser for neighbouring tests, with its contexts by their options, so that scripts stay in their caches."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._browser: Browser | None = None
        self._contexts: dict[str, BrowserContext] = {}

    def context(self, chromium: str, options: dict[str, Any]) -> BrowserContext:
        """Returns the context with these options; starts the browser if it does not run."""
        if self._browser is None:
            playwright = self._open.enter_context(sync_playwright())
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            self._browser = playwright.chromium.launch(executable_path=chromium, args=arguments, timeout=4 * _TIMEOUT)
            self._open.callback(self._browser.close)
        key = json.dumps(options, sort_keys=True)
        if key not in self._contexts:
            self._contexts[key] = self._browser.new_context(**options)
            self._contexts[key].set_default_timeout(_TIMEOUT)
        return self._contexts[key]

    def close(self) -> None:
        """Ends the browser, and with it the event loop that runs in this thread meanwhile."""
        self._open.close()
        self._browser = None
        self._contexts.clear()


_BROWSER = SharedBrowser()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Ends the browser before a test of another folder, which may run an event loop of its own."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        _BROWSER.close()


@pytest.fixture
def open_page(chromium: str) -> Iterator[Callable[..., Page]]:
    """Opens a page in a context with these options; nothing that it stores is left to the next test."""
    pages: list[Page] = []

    def opened(**options: Any) -> Page:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        pages.append(_BROWSER.context(chromium, options).new_page())
        return pages[-1]

    yield opened
    for page in pages:
        page.evaluate("() => { try { localStorage.clear(); sessionStorage.clear() } catch {} }")
        page.context.clear_cookies()
        page.close()


@pytest.fixture
def visit(request: pytest.FixtureRequest, open_page: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """Opens a path of the console `filled`, or an address; the test fails on anything that the browser reports."""
    reported: list[str] = []

    def opened(path: str = "/", **options: Any) -> Page:
        page = open_page(**options)
        page.on("console", lambda message: reported.append(message.text))
        page.on("pageerror", lambda error: reported.append(str(error)))
        page.on("dialog", lambda dialog: reported.append(dialog.message))
        page.goto(request.getfixturevalue("filled").address + path if path.startswith("/") else path)
        return page

    yield opened
    assert reported == []


@pytest.fixture(scope="module")
def filled() -> Iterator[Console]:
    """What most pages show: two versions of a model, errors, labels, a changed feature, a service without a model."""
    with running(Options()) as started:
        feed_pages(started)
        yield started


@pytest.fixture
def console() -> Iterator[Console]:
    """An empty console that keeps its rows in memory."""
    with running(Options()) as started:
        yield started


@pytest.fixture(scope="session")
def axe() -> Callable[..., list[str]]:
    """Returns what of a page breaks a rule of axe-core."""
    script = Path(__file__).parents[2] / "otel_ml" / "console" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.fail("axe-core is missing: npm ci --prefix otel_ml/console/frontend")
    text = script.read_text(encoding="utf-8")

    def broken(page: Page, *rules: str) -> list[str]:
        if not page.evaluate("'axe' in window"):
            page.evaluate(text)
        return page.evaluate(_RUN, list(rules))

    return broken
