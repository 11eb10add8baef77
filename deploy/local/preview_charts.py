"""Draws panels of a dashboard as SVG, near to how Grafana shows them: courses, numbers, tables, bars and heat maps."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

COLOURS = ("#3274d9", "#e0752d", "#56a64b", "#a352cc", "#c4162a", "#1f9e9e", "#b8860b", "#8a6d5a", "#4b5563", "#d63384")
NAMED = {"red": "#c4162a", "orange": "#e0752d", "yellow": "#b8860b", "green": "#37872d", "blue": "#3274d9"}
GREY, PALE, TEXT = "#6b7280", "#e5e7eb", "#1f2933"
LETTER = 5.6
"""Width of a letter of the small font."""

Json = dict[str, Any]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """A series of a query: its name in the legend, its labels and its points."""

    name: str
    labels: dict[str, str]
    points: Points


@dataclass
class Box:
    """A place on the page to draw on."""

    left: float
    top: float
    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, *, colour: str = TEXT, size: int = 10, **more: str) -> None:
        style = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in more.items())
        place = f'x="{self.left + x:.0f}" y="{self.top + y:.0f}"'
        self.parts.append(f'<text {place} fill="{colour}" font-size="{size}"{style}>{escape(words)}</text>')

    def line(self, points: Iterable[tuple[float, float]], colour: str, *, width: float = 1.5, dash: str = "") -> None:
        path = " ".join(f"{self.left + x:.0f},{self.top + y:.0f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>')

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str, **more: str) -> None:
        style = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in more.items())
        place = f'x="{self.left + x:.1f}" y="{self.top + y:.1f}" width="{width:.1f}" height="{max(height, 0):.1f}"'
        self.parts.append(f'<rect {place} fill="{fill}"{style}/>')


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """A number with its unit."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else decimals}f} %"
    if unit in ("s", "d") and decimals is None:
        return duration(value * (86400 if unit == "d" else 1))
    if unit in ("bytes", "Bps"):
        return scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB")) + ("/s" if unit == "Bps" else "")
    suffix = {"celsius": " °C", "watt": " W"}.get(unit, unit.removeprefix("suffix:") if ":" in unit else "")
    text = f"{value:.{decimals}f}" if decimals is not None else scaled(value, 1000, ("", "k", "M", "G"))
    return text.strip() + suffix


def duration(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds * 1e6:.3g} µs" if seconds else "0"


def scaled(value: float, step: int, names: Sequence[str]) -> str:
    place = 0
    while abs(value) >= step and place < len(names) - 1:
        value, place = value / step, place + 1
    return f"{value:.3g} {names[place]}".strip()


def fitted(words: str, width: float, letter: float = LETTER) -> str:
    room = max(int(width / letter), 1)
    return words if len(words) <= room else words[: room - 1] + "…"


def properties(panel: Json, name: str) -> Json:
    """What the overrides of a panel set for a column or a series."""
    found = {}
    for override in panel["fieldConfig"]["overrides"]:
        wanted = override["matcher"]["options"]
        if re.search(wanted[1:-1], name) if override["matcher"]["id"] == "byRegexp" else wanted == name:
            found |= {each["id"]: each["value"] for each in override["properties"]}
    return found


def reached(steps: list[Json], value: float) -> str:
    """The colour of the highest threshold that a value reaches."""
    names = [each["color"] for each in steps if each["value"] is None or value >= each["value"]]
    return NAMED.get(names[-1], TEXT) if names else TEXT


def span(values: Sequence[float], defaults: Json) -> tuple[float, float]:
    """The ends of an axis."""
    low = min(defaults.get("min", min(values)), *values)
    high = max(defaults.get("max", max(values)), *values)
    return (low, high) if high > low else (low, low + (abs(low) or 1))


def course(box: Box, panel: Json, found: list[Series], begin: float, end: float) -> None:
    """Lines over time with axes and legend; a series with an axis on the right has a scale of its own."""
    defaults = panel["fieldConfig"]["defaults"]
    rows = min(4, math.ceil(len(found) / 2))
    left, bottom = 48.0, box.height - 16 - 11 * rows
    by_side: dict[bool, list[Series]] = {False: [], True: []}
    for each in found:
        by_side[properties(panel, each.name).get("custom.axisPlacement") == "right"].append(each)
    scales = {}
    for right, group in by_side.items():
        values = [value for each in group for _, value in each.points if math.isfinite(value)]
        scales[right] = span(values, {} if right else defaults) if values else (0.0, 1.0)
    for share in (0, 0.5, 1):
        low, high = scales[not by_side[False]]
        y = bottom - share * (bottom - 6)
        box.line([(left, y), (box.width - 6, y)], PALE, width=1)
        box.text(left - 4, y + 3, shown(low + share * (high - low), defaults["unit"]), colour=GREY, text_anchor="end")
    for x, moment, anchor in ((left, begin, "start"), (box.width - 6, end, "end")):
        clock = time.strftime("%H:%M", time.gmtime(moment))
        box.text(x, bottom + 11, clock, colour=GREY, size=9, text_anchor=anchor)

    def height(value: float, right: bool) -> float:
        low, high = scales[right]
        return bottom - (value - low) / (high - low) * (bottom - 6)

    for step in defaults.get("thresholds", {}).get("steps", [])[1:]:
        if scales[False][0] <= step["value"] <= scales[False][1]:
            y = height(step["value"], right=False)
            box.line([(left, y), (box.width - 6, y)], NAMED["red"], width=1, dash="5 4")
    for number, each in enumerate(found):
        own = properties(panel, each.name)
        colour = line_colour(panel, number, each.name)
        dash = {"dash": "6 4", "dot": "2 4"}.get(own.get("custom.lineStyle", {}).get("fill", ""), "")
        right = own.get("custom.axisPlacement") == "right"
        width = box.width - 6 - left
        points = [
            (left + (moment - begin) / (end - begin) * width, height(value, right))
            for moment, value in each.points
            if math.isfinite(value)
        ]
        box.line(points if len(points) > 1 else points * 2, colour, dash=dash)
    legend(
        box, [(each.name, line_colour(panel, place, each.name)) for place, each in enumerate(found)], bottom + 22, rows
    )


def line_colour(panel: Json, place: int, name: str) -> str:
    return NAMED["red"] if "color" in properties(panel, name) else COLOURS[place % len(COLOURS)]


def legend(box: Box, names: Sequence[tuple[str, str]], top: float, rows: int) -> None:
    """Names with their colours, as many as the rows hold."""
    half = (box.width - 12) / 2
    for number, (name, colour) in enumerate(names[: 2 * rows]):
        x, y = 8 + half * (number % 2), top + 11 * (number // 2)
        more = f"  (+{len(names) - 2 * rows})" if number == 2 * rows - 1 and len(names) > 2 * rows else ""
        box.rectangle(x, y - 5, 8, 3, colour)
        box.text(x + 11, y, fitted(" ".join(name.split()), half - 14 - LETTER * len(more)) + more, colour=GREY, size=9)


def number(box: Box, panel: Json, found: list[Series]) -> None:
    """The last value in large letters."""
    defaults = panel["fieldConfig"]["defaults"]
    value = found[0].points[-1][1]
    colour = reached(defaults.get("thresholds", {}).get("steps", []), value)
    words = shown(value, defaults["unit"])
    box.text(box.width / 2, box.height / 2 + 10, words, colour=colour, size=26, text_anchor="middle")


def table(box: Box, panel: Json, answers: list[list[Series]]) -> None:
    """The rows that the transformations make, sorted as the panel says."""
    rows, columns = joined(panel, answers)
    defaults = panel["fieldConfig"]["defaults"]
    for order in panel["options"].get("sortBy", []):
        rows.sort(key=lambda row: sortable(row.get(order["displayName"])), reverse=order["desc"])
    cells = [[cell(panel, defaults, column, row.get(column)) for column in columns] for row in rows]
    longest = [max(len(column), *(len(line[place][0]) for line in cells)) + 2 for place, column in enumerate(columns)]
    scale = min((box.width - 12) / sum(longest), 11.0)
    size = 10 if scale > LETTER else 8
    letter = 6.4 * size / 10
    x = 8.0
    for place, column in enumerate(columns):
        width = longest[place] * scale
        box.text(x, 12, fitted(column, width, letter), colour=GREY, size=size, font_weight="bold")
        for line, content in enumerate(cells[: int((box.height - 28) / 14)]):
            words, colour = content[place]
            box.text(x, 27 + 14 * line, fitted(words, width, letter), colour=colour, size=size)
        x += width
    hidden = len(cells) - int((box.height - 28) / 14)
    if hidden > 0:
        box.text(box.width - 8, box.height - 4, f"{hidden} more rows", colour=GREY, size=9, text_anchor="end")


def sortable(value: float | str | None) -> tuple[float, str]:
    """Texts before numbers, nothing before all."""
    if value is None:
        return -math.inf, ""
    return (0.0, value) if isinstance(value, str) else (value, "")


def joined(panel: Json, answers: list[list[Series]]) -> tuple[list[Json], list[str]]:
    """The rows of a table, joined by the labels that all queries have, and its columns."""
    options = panel["transformations"][1]["options"]
    headings, excluded = options["renameByName"], options["excludeByName"]
    shared = set.intersection(*({*part[0].labels} for part in answers if part)) if any(answers) else set()
    rows: dict[tuple[tuple[str, str], ...], Json] = {}
    for target, found in zip(panel["targets"], answers, strict=True):
        column = f"Value #{target['refId']}" if len(answers) > 1 else "Value"
        for each in found:
            key = tuple((label, each.labels[label]) for label in sorted(shared))
            row = rows.setdefault(key, {})
            row |= {headings.get(label, label): value for label, value in each.labels.items()}
            if not excluded.get(column):
                row[headings[column]] = each.points[-1][1]
    present = {column for row in rows.values() for column in row}
    columns = [headings[each] for each in sorted(options["indexByName"], key=options["indexByName"].__getitem__)]
    return list(rows.values()), [each for each in dict.fromkeys(columns) if each in present]


def cell(panel: Json, defaults: Json, column: str, value: float | str | None) -> tuple[str, str]:
    """Words and colour of a cell."""
    own = properties(panel, column)
    if value is None:
        return "", TEXT
    for mapping in own.get("mappings", []):
        key = value if isinstance(value, str) else f"{value:g}"
        if key in mapping["options"]:
            result = mapping["options"][key]
            return result.get("text", key), NAMED.get(result.get("color", ""), TEXT)
    if isinstance(value, str):
        return value, NAMED["blue"] if "links" in own else TEXT
    steps = own.get("thresholds", {}).get("steps", [])
    words = shown(value, own.get("unit", defaults["unit"]), own.get("decimals", defaults.get("decimals")))
    return words, reached(steps, value)


def bars(box: Box, panel: Json, answers: list[list[Series]]) -> None:
    """Grouped bars of each category."""
    rows, columns = joined(panel, answers)
    category = panel["options"]["xField"]
    headings = [column for column in columns if column != category]
    values = [row[name] for row in rows for name in headings if math.isfinite(row.get(name, math.nan))]
    if not values:
        box.text(box.width / 2, box.height / 2, "No data", colour=GREY, text_anchor="middle")
        return
    _, high = span(values, {"min": 0})
    bottom, left = box.height - 44, 48
    for share in (0, 0.5, 1):
        y = bottom - share * (bottom - 6)
        box.line([(left, y), (box.width - 6, y)], PALE, width=1)
        words = shown(share * high, panel["fieldConfig"]["defaults"]["unit"])
        box.text(left - 4, y + 3, words, colour=GREY, text_anchor="end")
    rows.sort(
        key=lambda row: [
            int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(row.get(category, "")))
        ]
    )
    group = (box.width - 6 - left) / len(rows)
    for place, row in enumerate(rows):
        for slot, name in enumerate(headings):
            width = group * 0.8 / len(headings)
            tall = row.get(name, 0.0) / high * (bottom - 6)
            box.rectangle(left + place * group + slot * width, bottom - tall, width, tall, COLOURS[slot])
        box.text(
            left + place * group + 2, bottom + 11, fitted(str(row.get(category, "")), group + 4), colour=GREY, size=9
        )
    legend(box, list(zip(headings, COLOURS, strict=False)), box.height - 8, 1)


def heat(box: Box, found: list[Series]) -> None:
    """A cell for each bucket and moment; cumulative buckets are taken apart."""
    buckets = sorted(found, key=lambda each: float(each.labels["le"]))
    columns: dict[float, list[float]] = {}
    for each in buckets:
        for moment, value in each.points:
            columns.setdefault(moment, []).append(value)
    counts = {moment: [b - a for a, b in zip([0.0, *each], each, strict=False)] for moment, each in columns.items()}
    high = max((value for each in counts.values() for value in each), default=1) or 1
    left, bottom = 40, box.height - 18
    width, tall = (box.width - 6 - left) / len(counts), bottom / len(buckets)
    for place, each in enumerate(counts.values()):
        for row, value in enumerate(each):
            if value > 0:
                opacity = f"{max(value / high, 0.05):.2f}"
                box.rectangle(
                    left + place * width, bottom - (row + 1) * tall, width, tall, COLOURS[0], fill_opacity=opacity
                )
    for row in (0, len(buckets) // 2, len(buckets) - 1):
        box.text(left - 4, bottom - row * tall, buckets[row].labels["le"], colour=GREY, size=9, text_anchor="end")
