"""Draws a preview of each dashboard from the data of a running Prometheus, by our own chart code.

    python deploy/local/preview.py --prometheus http://127.0.0.1:9090 --minutes 5

Grafana is not run here. It writes deploy/grafana/previews/*.svg: the panels in their places, with the first value of
each variable that has one value at a time.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from html import escape
from pathlib import Path
from typing import Any

import preview_charts as charts
import verify
from preview_charts import Box, Json, Series

GRAFANA = Path(__file__).resolve().parent.parent / "grafana"
WIDTH, COLUMN, LINE = 1400, 1400 / 24, 34
STEPS = 60
INTERVAL = "1m"
"""The range of rates: the local stack exports every 5 s."""


class Source:
    """Range queries of one Prometheus over a fixed time."""

    def __init__(self, address: str, end: float, minutes: float) -> None:
        self._address = address.rstrip("/")
        self.begin, self.end = end - minutes * 60, end

    def _get(self, path: str, **parameters: object) -> Any:
        url = f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]

    def course(self, expression: str) -> list[Json]:
        step = (self.end - self.begin) / STEPS
        found: list[Json] = self._get("query_range", query=expression, start=self.begin, end=self.end, step=step)[
            "result"
        ]
        return found

    def newest(self, expression: str) -> list[Json]:
        found: list[Json] = self._get("query", query=expression, time=self.end)["result"]
        return [{"metric": each["metric"], "values": [each["value"]]} for each in found]

    def first(self, definition: str) -> str:
        """The first value of a variable."""
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", definition)
        values = (
            sorted({each["metric"].get(match[2], "") for each in self.newest(f"{match[1]} @ {self.end}")})
            if match
            else []
        )
        return next((each for each in values if each and not each.startswith("__")), "")


def variable_values(dashboard: Json, source: Source) -> dict[str, str]:
    """All values of each variable, and one of those that have one at a time."""
    values = verify.variable_values(dashboard) | {"__rate_interval": INTERVAL}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and not variable["multi"]:
            chosen = variable["current"].get("value") or source.first(verify.fill_in(variable["definition"], values))
            values[variable["name"]] = chosen
    return values


def legend(pattern: str, labels: dict[str, str]) -> str:
    """The name of a series."""
    return " ".join(re.sub(r"{{(\w+)}}", lambda match: labels.get(match[1], ""), pattern).split())


def answer(source: Source, target: Json, values: dict[str, str]) -> list[Series]:
    """The series of a query, with the names that its legend gives them."""
    expression = verify.fill_in(target["expr"], values)
    found = source.newest(expression) if target.get("instant") else source.course(expression)
    return [
        Series(
            legend(target.get("legendFormat", ""), each["metric"]),
            {label: value for label, value in each["metric"].items() if label != "__name__"},
            [(float(moment), float(value)) for moment, value in each["values"]],
        )
        for each in found
    ]


def draw(box: Box, panel: Json, source: Source, values: dict[str, str]) -> None:
    """One panel without its frame."""
    if panel["datasource"]["type"] != "prometheus":
        words = f"{panel['datasource']['type'].title()} has the data of this panel; it is not part of the local stack."
        box.text(box.width / 2, box.height / 2, words, colour=charts.GREY, text_anchor="middle")
        return
    answers = [answer(source, target, values) for target in panel["targets"]]
    found = [each for part in answers for each in part]
    if not found:
        box.text(box.width / 2, box.height / 2, "No data", colour=charts.GREY, text_anchor="middle")
    elif panel["type"] == "table":
        charts.table(box, panel, answers)
    elif panel["type"] == "barchart":
        charts.bars(box, panel, answers)
    elif panel["type"] == "timeseries":
        charts.course(box, panel, found, source.begin, source.end)
    elif panel["type"] == "stat":
        charts.number(box, panel, found)
    else:
        charts.heat(box, found)


def page(dashboard: Json, source: Source) -> str:
    """The whole dashboard as SVG."""
    values = variable_values(dashboard, source)
    visible = [each for each in dashboard["templating"]["list"] if each["type"] != "datasource" and each["hide"] == 0]
    chosen = [f"{each['label']}: {values[each['name']].replace('.*', 'All')}" for each in visible]
    head = Box(0, 0, WIDTH, 64)
    head.text(12, 26, dashboard["title"], size=20, font_weight="bold")
    note = "Preview: drawn by deploy/local/preview.py from live data of the local stack. Grafana looks different."
    head.text(WIDTH - 12, 26, note, colour=charts.NAMED["red"], size=12, text_anchor="end")
    head.text(12, 50, "    ".join(chosen), colour=charts.GREY, size=11)
    parts = head.parts
    bottom = 0.0
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        x, y = place["x"] * COLUMN, 64 + place["y"] * LINE
        width, height = place["w"] * COLUMN - 6, place["h"] * LINE - 6
        bottom = max(bottom, y + height + 12)
        if panel["type"] == "row":
            parts.append(
                f'<text x="8" y="{y + 22:.0f}" font-size="14" font-weight="bold">{escape(panel["title"])}</text>'
            )
            continue
        box = Box(x + 3, y + 24, width - 6, height - 26)
        box.rectangle(-2, -24, width, height, "#ffffff", stroke=charts.PALE)
        title = verify.fill_in(panel["title"], values)
        box.text(8, -9, charts.fitted(title, width - 16, 7), size=12, font_weight="bold")
        draw(box, panel, source, values)
        parts += box.parts
    size = f'width="{WIDTH}" height="{bottom:.0f}" viewBox="0 0 {WIDTH} {bottom:.0f}"'
    style = 'font-family="Inter, Helvetica, Arial, sans-serif"'
    ground = f'<rect width="{WIDTH}" height="{bottom:.0f}" fill="#f4f5f5"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{ground}\n' + "\n".join(parts) + "\n</svg>\n"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument(
        "--end", type=float, default=time.time(), metavar="SECONDS", help="since the epoch (default: now)"
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="time range before the end")
    parser.add_argument("--output", type=Path, default=GRAFANA / "previews", metavar="FOLDER")
    options = parser.parse_args(arguments)
    source = Source(options.prometheus, options.end, options.minutes)
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        for file in sorted((GRAFANA / "dashboards").glob("*.json")):
            picture = page(json.loads(file.read_text(encoding="utf-8")), source)
            (options.output / f"{file.stem}.svg").write_text(picture, encoding="utf-8")
    except urllib.error.URLError as error:
        print(f"preview: cannot ask Prometheus: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
