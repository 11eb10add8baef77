"""The dashboards have the form that Grafana publishes of itself: the types of `@grafana/schema`, in the deployed version."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_packages import installed

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TYPES = Path(__file__).resolve().parent / "dashboard_types"
FILES = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))


def constant(name: str, kind: str, value: object) -> str:
    return f"export const {name}: {kind} = {json.dumps(value)};"


def display(override: dict[str, Any]) -> dict[str, Any]:
    """The properties of an override as the object that they set."""
    fields: dict[str, Any] = {}
    for each in override["properties"]:
        first, _, second = each["id"].partition(".")
        if second:
            fields.setdefault(first, {})[second] = each["value"]
        else:
            fields[first] = each["value"]
    return fields


def module(name: str, dashboard: dict[str, Any]) -> list[str]:
    """One constant for the dashboard, for each panel and for each override: so does the compiler see excess keys."""
    panels = dashboard.pop("panels")
    lines = [constant(name, "Frame", dashboard)]
    for panel in panels:
        place = f"{name}_{panel['id']}"
        lines.append(constant(place, "RowPanel" if panel["type"] == "row" else "Panel", panel))
        for number, override in enumerate(panel.get("fieldConfig", {}).get("overrides", [])):
            lines.append(constant(f"{place}_{number}", f'Display<"{panel["type"]}">', display(override)))
    return lines


def errors(folder: Path, dashboards: dict[str, dict[str, Any]]) -> list[str]:
    """What the compiler complains about."""
    types = installed(TYPES)
    lines = ['import type { Display, Frame, Panel, RowPanel } from "./types.js";']
    lines += [line for name, each in dashboards.items() for line in module(name, each)]
    for name in ("types.ts", "tsconfig.json", "package.json"):
        (folder / name).write_text((types / name).read_text())
    (folder / "node_modules").symlink_to(types / "node_modules")
    (folder / "dashboards.ts").write_text("\n".join(lines))
    done = subprocess.run(
        ["node", "node_modules/typescript/bin/tsc", "-p", "."], cwd=folder, capture_output=True, text=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def dashboards() -> dict[str, dict[str, Any]]:
    return {file.stem: json.loads(file.read_text()) for file in FILES}


def test_dashboards_have_grafanas_form(tmp_path: Path, dashboards: dict[str, dict[str, Any]]) -> None:
    """Every key and value of a dashboard, of its panels, options and overrides is one that Grafana knows."""
    assert len(dashboards) == 7
    assert errors(tmp_path, dashboards) == []


def test_the_compiler_notices_errors(tmp_path: Path, dashboards: dict[str, dict[str, Any]]) -> None:
    """The check above can fail: a wrong key or value in each part of a dashboard is one error."""
    fleet, model, data, slo = (dashboards[name] for name in ("fleet", "model", "data", "slo"))
    table = next(panel for panel in fleet["panels"] if panel["type"] == "table")
    number = next(panel for panel in fleet["panels"] if panel["type"] == "stat")
    course = next(panel for panel in model["panels"] if panel["type"] == "timeseries")
    fleet["schema"] = 42
    data["links"][0]["type"] = "dashboard"
    table["options"]["sorted"] = True
    table["fieldConfig"]["overrides"][0]["properties"].append({"id": "custom.cellOption", "value": {}})
    number["options"]["graphMode"] = "areas"
    course["fieldConfig"]["defaults"]["custom"] = {"lineInterpolation": "plain"}
    slo["templating"]["list"][0]["type"] = "source"

    found = "\n".join(errors(tmp_path, {"fleet": fleet, "model": model, "data": data, "slo": slo}))

    wrong = ("'schema'", '"dashboard"', "'sorted'", "'cellOption'", '"areas"', '"plain"', '"source"')
    assert [each for each in wrong if each.strip("'\"") not in found] == []


def test_the_types_are_those_of_the_deployed_grafana() -> None:
    """The package has the version of the image."""
    packages = json.loads((TYPES / "package.json").read_text())["dependencies"]
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    image = re.fullmatch(r".*/grafana:(\d+\.\d+\.\d+)(@.*)?", compose["services"]["grafana"]["image"])

    assert image
    assert packages["@grafana/schema"] == image[1]
