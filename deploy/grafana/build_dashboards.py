"""Writes the *Model* dashboard as classic JSON, the only form that Grafana's file provisioning takes.

python deploy/grafana/build_dashboards.py           writes dashboards/model.json
python deploy/grafana/build_dashboards.py --check   exits with 1 if the file differs from what would be written
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from string import ascii_uppercase

from estimate_rows import ESTIMATES
from machine_rows import MACHINE
from model_rows import DRIFT, PREDICTIONS
from objective_rows import OBJECTIVES
from panels import CHOSEN, CHOSEN_SERVICE, PROMETHEUS, Json, Panel, Row
from performance_rows import CLASSES, PERFORMANCE, REGRESSION
from segment_rows import SEGMENTS
from service_rows import GPUS, OPERATION, RECORDS, RESOURCES, TELEMETRY
from version_rows import DECAY, VERSIONS

ROWS = [
    PREDICTIONS,
    OBJECTIVES,
    PERFORMANCE,
    ESTIMATES,
    CLASSES,
    REGRESSION,
    SEGMENTS,
    VERSIONS,
    DECAY,
    DRIFT,
    OPERATION,
    RECORDS,
    RESOURCES,
    MACHINE,
    GPUS,
    TELEMETRY,
]
LABELS = (
    ("job", "Service", "job"),
    ("environment", "Environment", "deployment_environment_name"),
    ("cluster", "Cluster", "k8s_cluster_name"),
    ("namespace", "Namespace", "k8s_namespace_name"),
    ("team", "Team", "team"),
    ("model", "Model", "ml_model_name"),
    ("version", "Version", "ml_model_version"),
    ("role", "Role", "ml_model_role"),
)
"""Name, title and label of the variables that choose a model, in the order of `CHOSEN`."""
DASHBOARD = Path(__file__).resolve().parent / "dashboards" / "model.json"


def placed(rows: list[Row]) -> list[Json]:
    """Lays the panels out in reading order, row below row."""
    panels: list[Json] = []
    numbers = itertools.count(1)
    top = 0
    for row in rows:
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        panels.append({"id": next(numbers), "type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        panels[-1]["panels"] = []
        left, top = 0, top + 1
        for panel in row.panels:
            if left + panel.width > 24:
                left, top = 0, top + panel.height
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            panels.append(panel_json(panel, next(numbers), place))
            left += panel.width
        top += row.panels[-1].height
    return panels


def panel_json(panel: Panel, number: int, place: Json) -> Json:
    targets = [{"refId": letter, **target} for letter, target in zip(ascii_uppercase, panel.targets, strict=False)]
    if panel.kind == "timeseries":
        legend = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        legend = {}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": panel.source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.defaults}, "overrides": panel.overrides},
        "options": {**legend, **panel.options},
        "targets": targets,
        "transformations": panel.transformations,
    }


def source_variable(name: str, label: str, kind: str) -> Json:
    return {"name": name, "label": label, "type": "datasource", "query": kind, "refresh": 1, "hide": 0, "regex": ""}


def label_variable(name: str, label: str, series: str, key: str, **more: object) -> Json:
    """A variable over the values of a label; *All* also matches series without it."""
    definition = f"label_values({series}, {key})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": PROMETHEUS,
        "definition": definition,
        "query": {"query": definition, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        **more,
    }


def single_variable(name: str, label: str, series: str, key: str, current: Json) -> Json:
    """A variable with one value at a time."""
    return label_variable(name, label, series, key, multi=False, includeAll=False, current=current)


def variables() -> list[Json]:
    chosen = [part.strip() for part in CHOSEN.split(", ")]
    windows = [{"text": window, "value": window, "selected": window == "1h"} for window in ("1h", "24h")]
    training = {"text": "training", "value": "training"}
    references = f"feature:ml_feature_reference_psi:1h{{{CHOSEN}}}"
    return [
        source_variable("datasource", "Metrics", "prometheus"),
        source_variable("logs", "Logs", "loki"),
        source_variable("traces", "Traces", "tempo"),
        *(
            label_variable(name, label, f"ml_predictions_total{{{', '.join(chosen[:depth])}}}", key)
            for depth, (name, label, key) in enumerate(LABELS)
        ),
        {
            "name": "window",
            "label": "Window",
            "type": "custom",
            "query": "1h,24h",
            "options": windows,
            "current": {"text": "1h", "value": "1h"},
            "hide": 0,
        },
        single_variable("reference", "Reference", references, "ml_reference", training),
        single_variable("feature", "Feature", f"ml_feature_reference_size{{{CHOSEN}}}", "ml_feature_name", {}),
        # Loki and Tempo have the plain service name; Prometheus's job may have a namespace in front of it.
        label_variable("service", "", 'ml_predictions_total{job=~"$job"}', "service_name", allValue=".+", hide=2),
    ]


def dashboard() -> Json:
    alerts = {
        "name": "Alerts",
        "datasource": PROMETHEUS,
        "enable": True,
        "iconColor": "red",
        "expr": f'ALERTS{{alertstate="firing", {CHOSEN_SERVICE}, ml_model_name=~"$model", ml_model_role!="shadow"}}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{ml_model_name}} {{ml_model_version}} {{ml_feature_name}}",
    }
    return {
        "uid": "otel-ml-model",
        "title": "Model",
        "description": "One model: its predictions, live performance, drift, operation, resources and telemetry.",
        "tags": ["otel-ml"],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [alerts]},
        "links": [],
        "templating": {"list": variables()},
        "panels": placed(ROWS),
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare, write nothing")
    options = parser.parse_args(arguments)
    text = json.dumps(dashboard(), indent=2) + "\n"
    if not options.check:
        DASHBOARD.write_text(text, encoding="utf-8")
    elif not DASHBOARD.exists() or DASHBOARD.read_text(encoding="utf-8") != text:
        print("build_dashboards: dashboards/model.json is not what build_dashboards.py writes: run it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
