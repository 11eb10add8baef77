"""Takes the pictures of the console while the demo runs: `make screenshots`."""

from __future__ import annotations

import argparse
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

from conftest import find_chromium
from playwright.sync_api import Browser, expect, sync_playwright

FOLDER = Path(__file__).parents[2] / "examples" / "fastapi_service"
MODEL = "model=employment"


class Picture(NamedTuple):
    """A page, and how it is looked at."""

    name: str
    path: str
    colours: str = "light"
    width: int = 1280
    height: int = 860


PICTURES = (
    Picture("overview", "/"),
    Picture("model", f"/model?{MODEL}", height=1180),
    Picture("model-dark", f"/model?{MODEL}", "dark"),
    Picture("phone", "/", width=390, height=844),
    Picture("predictions", f"/predictions?{MODEL}"),
    Picture("prediction", "/predictions/{id}"),
)


def main() -> None:
    """Runs the demo, and takes the pictures once it has run long enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150, help="how long the demo runs first (default: 150)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "otel_ml", "demo", "--json", "--folder", folder]
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
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        for picture in PICTURES:
            target = FOLDER / f"console-{picture.name}.png"
            take(browser, console, picture, target)
            print(f"{target.relative_to(FOLDER.parents[1])}  {target.stat().st_size // 1024} KiB")
        browser.close()


def take(browser: Browser, console: str, picture: Picture, target: Path) -> None:
    """Takes one picture once its charts are drawn."""
    path = picture.path.format(id=wrong_prediction(console)) if "{id}" in picture.path else picture.path
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.colours, timezone_id="UTC"
    )
    page = context.new_page()
    page.goto(console + path)
    expect(page.locator("#state[data-kind=live]")).to_be_visible()
    expect(page.locator("figure[data-chart]:not([data-drawn])")).to_have_count(0)
    page.screenshot(path=target)
    context.close()


def wrong_prediction(console: str) -> str:
    """The newest prediction that its label says is wrong."""
    with urllib.request.urlopen(f"{console}/api/predictions?{MODEL}&truth=wrong&limit=1") as answer:
        found: Any = json.load(answer)
    return found["predictions"][0]["id"]


if __name__ == "__main__":
    main()
