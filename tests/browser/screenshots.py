"""Takes the pictures of the console while the demo drifts: `make screenshots`."""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from conftest import find_chromium
from page_steps import expect_drawn
from playwright.sync_api import Browser, Page, expect, sync_playwright

FOLDER = Path(__file__).parents[2] / "examples" / "pictures"
MODEL = "model=employment"
QUALITY = 80
LARGEST = 150 * 1024
"""Bytes of one picture."""


class Picture(NamedTuple):
    """A page, and how it is looked at."""

    name: str
    path: str
    colours: str = "light"
    width: int = 1280
    height: int = 860


PICTURES = (
    Picture("overview", "/", height=700),
    Picture("overview-phone", "/", width=390, height=844),
    Picture("model", f"/model?{MODEL}"),
    Picture("model-dark", f"/model?{MODEL}", "dark"),
    Picture("data", f"/data?{MODEL}"),
    Picture("feature", f"/data?{MODEL}&feature=RELP"),
    Picture("feature-dark", f"/data?{MODEL}&feature=RELP", "dark"),
    Picture("performance", f"/performance?{MODEL}"),
    Picture("predictions", f"/predictions?{MODEL}&truth=wrong"),
    Picture("prediction", "/predictions/{wrong}", height=1180),
    Picture("prediction-phone", "/predictions/{wrong}", width=390, height=844),
    Picture("batch", "/predictions/{batch}", height=1000),
    Picture("requests", "/requests?status_code=4"),
    Picture("trace", "/traces/{trace}"),
    Picture("trace-dark", "/traces/{trace}", "dark"),
    Picture("logs", f"/logs?{MODEL}"),
    Picture("metrics", "/metrics"),
    Picture("metric", "/metrics?name=ml.prediction.duration"),
    Picture("resources", "/resources", height=1000),
    Picture("health", "/health"),
    Picture("report", f"/report?{MODEL}", height=1000),
)


def main() -> None:
    """Runs the demo, and takes the pictures once it has run long enough; or those of a console that runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150, help="how long the demo runs first (default: 150)")
    parser.add_argument("--console", help="address of a console in which the demo has run, instead of a new one")
    arguments = parser.parse_args()
    if arguments.console:
        take_all(arguments.console)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "otel_ml", "demo", "--drift", "--json", "--folder", folder]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            console = json.loads(demo.stdout.readline())["console"]
            time.sleep(arguments.seconds)
            take_all(console)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate(timeout=60)


def take_all(console: str) -> None:
    """Takes every picture of a running console."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        ids = wanted_ids(console)
        for picture in PICTURES:
            target = FOLDER / f"{picture.name}.webp"
            target.write_bytes(take(browser, console + picture.path.format_map(ids), picture))
            print(f"{target.relative_to(FOLDER.parents[1])}  {target.stat().st_size // 1024} KiB")
            assert target.stat().st_size <= LARGEST
        browser.close()


def take(browser: Browser, address: str, picture: Picture) -> bytes:
    """Takes one picture once its charts are drawn."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.colours, timezone_id="UTC"
    )
    page = context.new_page()
    page.goto(address)
    if "/report" not in address:
        expect(page.locator("#state[data-kind=live]")).to_be_visible(timeout=30_000)
        expect_drawn(page)
    found = webp(page)
    context.close()
    return found


def webp(page: Page) -> bytes:
    """The visible part of a page: a third of the size of a PNG file."""
    session = page.context.new_cdp_session(page)
    answer = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(answer["data"])


def wanted_ids(console: str) -> dict[str, str]:
    """The newest prediction of the new codes that its label says is wrong, its trace, and the newest labelled batch."""
    primary = {"model": "employment", "role": "primary", "truth": "wrong", "limit": "1"}
    wrong = _first(console, "predictions", primary | {"feature": "RELP>=20", "max_duration": "1"})
    batch = next(
        each for each in _all(console, "predictions", {"truth": "labelled", "limit": "1000"}) if each["batch_size"]
    )
    of = urlencode({name: wrong[name] for name in ("model", "version", "role")})
    return {"wrong": f"{wrong['id']}?{of}", "trace": wrong["trace_id"], "batch": batch["id"]}


def _first(console: str, name: str, query: dict[str, str]) -> dict[str, Any]:
    return _all(console, name, query)[0]


def _all(console: str, name: str, query: dict[str, str]) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{console}/api/{name}?{urlencode(query)}") as answer:
        found: list[dict[str, Any]] = json.load(answer)[name]
    return found


if __name__ == "__main__":
    main()
