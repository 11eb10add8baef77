"""The previews of the dashboards: every panel is drawn, with data, with gaps and without data."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import preview
import pytest

FILES = sorted((Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards").glob("*.json"))
LABELS = {"job": "api", "ml_model_name": "<fraud>", "le": "0.5", "ml_feature_bin": "01 [1, 2)", "calibration_bin": "05"}


class Answers:
    """A Prometheus that answers every query with the same values."""

    begin, end = 1_000.0, 1_300.0

    def __init__(self, *values: float) -> None:
        self._values = values

    def course(self, expression: str) -> list[dict[str, Any]]:
        if not self._values:
            return []
        return [{"metric": LABELS, "values": [(self.begin + 60 * n, str(each)) for n, each in enumerate(self._values)]}]

    def newest(self, expression: str) -> list[dict[str, Any]]:
        return [{"metric": each["metric"], "values": each["values"][-1:]} for each in self.course(expression)]

    def first(self, definition: str) -> str:
        return "age"


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture).iter() if each.tag.endswith("text")]


@pytest.mark.parametrize("values", [(), (0.0,), (1.0, math.nan, 3.0), (-1e-9, 5e12), (math.inf, 1.0)], ids=str)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_is_drawn(file: Path, values: tuple[float, ...]) -> None:
    """The picture says that it is a preview and has every title, whatever the values are."""
    dashboard = json.loads(file.read_text())
    found = texts(preview.page(dashboard, Answers(*values)))
    titles = {panel["title"].replace("$feature", "age")[:20] for panel in dashboard["panels"]}

    assert any(each.startswith("Preview: drawn by") for each in found)
    assert {title for title in titles if not any(each.startswith(title[:19]) for each in found)} == set()
    assert ("No data" in found) == (not values)


def test_a_table_joins_its_queries_by_the_labels_that_they_share() -> None:
    """A verdict with a label of its own is in the row of the figures behind it, as Grafana's merge does."""
    verdict = preview.Series("", {"model": "a", "verdict": "worse"}, [(0.0, 1.0)])
    size = preview.Series("", {"model": "a"}, [(0.0, 20.0)])
    organize = {
        "renameByName": {"model": "Model", "verdict": "Verdict", "Value #A": "1", "Value #B": "Size"},
        "excludeByName": {"Value #A": True},
        "indexByName": {"verdict": 0, "model": 1, "Value #A": 2, "Value #B": 3},
    }
    panel = {"targets": [{"refId": "A"}, {"refId": "B"}], "transformations": [{}, {"options": organize}]}

    assert preview.charts.joined(panel, [[verdict], [size]]) == (
        [{"Model": "a", "Verdict": "worse", "Size": 20.0}],
        ["Verdict", "Model", "Size"],
    )
