"""Debian's Chromium, driven by playwright, and a console to open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "console"))

from console_server import Console, running  # noqa: E402

from otel_ml.console._options import Options  # noqa: E402

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Returns the first Chromium on the PATH."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Returns the path of Chromium; installs it from the distribution if possible."""
    found = find_chromium()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(["apt-get", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=900)
        found = find_chromium()
    if found is None:
        pytest.fail("the browser tests need Chromium: install the package chromium, or run them as root on Debian")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser per module: while it runs, this thread has a running event loop."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens each page in its own context."""
    contexts = []

    def opened(**options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def console() -> Iterator[Console]:
    """A console that keeps its rows in memory."""
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
        page.evaluate(text)
        found = page.evaluate("rules => axe.run(rules.length ? {runOnly: rules} : {})", list(rules))
        return [f"{rule['id']}: {node['html'][:200]}" for rule in found["violations"] for node in rule["nodes"]]

    return broken
