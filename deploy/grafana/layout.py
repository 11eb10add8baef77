"""Places panels on the page and writes them as classic JSON."""

from __future__ import annotations

import itertools
from string import ascii_uppercase

from rows.panels import Json, Panel, Row

WIDTH = 24
LEGENDS: Json = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}


def placed(rows: list[Row]) -> list[Json]:
    """Lays the panels out in reading order, row below row."""
    panels: list[Json] = []
    numbers = itertools.count(1)
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        panels.append({"id": next(numbers), "type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        panels[-1]["panels"] = []
        left, top, tallest = 0, top + 1, 0
        for panel in row.panels:
            if left + panel.width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            panels.append(panel_json(panel, next(numbers), place))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return panels


def panel_json(panel: Panel, number: int, place: Json) -> Json:
    targets = [{"refId": letter, **target} for letter, target in zip(ascii_uppercase, panel.targets, strict=False)]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": panel.source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.defaults}, "overrides": panel.overrides},
        "options": {**LEGENDS.get(panel.kind, {}), **panel.options},
        "targets": targets,
        "transformations": panel.transformations,
        "links": panel.links,
    }
