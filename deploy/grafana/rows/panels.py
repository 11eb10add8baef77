"""The building blocks of a dashboard: rows, panels and queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
LOKI = {"type": "loki", "uid": "${logs}"}
TEMPO = {"type": "tempo", "uid": "${traces}"}

SERVICE = "job, deployment_environment_name, k8s_cluster_name, k8s_namespace_name, team"
MODEL = f"{SERVICE}, ml_model_name, ml_model_version, ml_model_role"
"""The group key of the recording rules."""
CHOSEN_SERVICE = (
    'job=~"$job", deployment_environment_name=~"$environment", k8s_cluster_name=~"$cluster", '
    'k8s_namespace_name=~"$namespace", team=~"$team"'
)
CHOSEN = f'{CHOSEN_SERVICE}, ml_model_name=~"$model", ml_model_version=~"$version", ml_model_role=~"$role"'
"""For what the rules record, which adds up all replicas."""
ONE_INSTANCE = 'instance=~"$instance"'
CHOSEN_REPLICAS = f"{CHOSEN}, {ONE_INSTANCE}"
CHOSEN_PROCESSES = f"{CHOSEN_SERVICE}, {ONE_INSTANCE}"
CHOSEN_PLACE = 'deployment_environment_name=~"$environment", k8s_cluster_name=~"$cluster"'
CHOSEN_HOSTS = f"{CHOSEN_PLACE}, {ONE_INSTANCE}"
"""For what each replica, process or machine exports. The sampler of a node belongs to no service, only to a place."""
CHOSEN_MODEL = f'{CHOSEN_SERVICE}, ml_model_name=~"$model"'
"""A model in all its versions and roles."""
VERSION = "k8s_cluster_name, k8s_namespace_name, ml_model_name, ml_model_version"
"""The model in a row of a table; without Kubernetes the first two columns do not appear."""
MODEL_COLUMNS = {
    "k8s_cluster_name": "Cluster",
    "k8s_namespace_name": "Namespace",
    "ml_model_name": "Model",
    "ml_model_version": "Version",
}
NAME = "{{ml_model_name}} {{ml_model_version}} {{ml_model_role}} {{k8s_cluster_name}} {{k8s_namespace_name}}"
RATE = "$__rate_interval"
"""Four times the least step of a query, or that of the data source, which may be another one than the exports have."""
EXPORT_INTERVAL = "60s"
_TIMED = f"sum by ({MODEL}) (rate(ml_prediction_duration_seconds_count{{{CHOSEN_REPLICAS}}}[{RATE}]))"
_UNTIMED = f"sum by ({MODEL}) (rate(ml_prediction_untimed_total{{{CHOSEN_REPLICAS}}}[{RATE}]))"
CALLS = f"({_TIMED} + {_UNTIMED} or {_TIMED} or {_UNTIMED})"
ERRORS = f'sum by ({MODEL}) (rate(ml_prediction_errors_total{{{CHOSEN_REPLICAS}, error_type!="cancelled"}}[{RATE}]))'

HEIGHT = 8
Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """One panel, without its position: that follows from its width and its order."""

    title: str
    description: str
    targets: list[Json]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 6
    height: int = HEIGHT
    source: Json = field(default_factory=lambda: PROMETHEUS)
    defaults: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    overrides: list[Json] = field(default_factory=list)
    transformations: list[Json] = field(default_factory=list)
    links: list[Json] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A titled group of panels."""

    title: str
    panels: list[Panel]


def query(expr: str, legend: str = NAME, **more: object) -> Json:
    """A PromQL query over the dashboard's time range."""
    least = {"interval": EXPORT_INTERVAL} if RATE in expr else {}
    return {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend, "range": True, **least, **more}


def newest(expr: str) -> Json:
    """A PromQL query of the newest value, as a table."""
    return {"datasource": PROMETHEUS, "expr": expr, "format": "table", "instant": True, "range": False}


def joined(values: Iterable[str], *, first: str = "", hidden: Iterable[str] = (), **labels: str) -> list[Json]:
    """Transformations that join the queries of a panel into one table.

    The first query must have every row: if no other query answers, Grafana calls its value `Value`, without a letter.

    Args:
        values: Heading of each query's value, in their order.
        first: The heading that comes before all other columns, if it is not a label.
        hidden: Headings of columns that do not appear.
        labels: Headings of labels; columns have their order, and that of the values after them.
    """
    headings = list(values)
    names = {f"Value #{letter}": name for letter, name in zip(ascii_uppercase, headings, strict=False)}
    renamed = {**labels, **({"Value": headings[0]} if headings else {}), **names}
    columns = sorted(renamed, key=lambda column: renamed[column] != first)
    excluded = ["Time", *(column for column, heading in renamed.items() if heading in {*hidden})]
    return [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": dict.fromkeys(excluded, True),
                "indexByName": {column: place for place, column in enumerate(columns)},
                "renameByName": renamed,
            },
        },
    ]


def quantile(share: float, bucket: str, by: str = MODEL) -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({bucket}{{{CHOSEN_REPLICAS}}}[{RATE}])))"


def limit(value: float, colour: str = "red") -> Json:
    """A dashed line at a threshold."""
    steps = [{"color": "green", "value": None}, {"color": colour, "value": value}]
    return {"custom": {"thresholdsStyle": {"mode": "dashed"}}, "thresholds": {"mode": "absolute", "steps": steps}}


SHARE = {"min": 0, "max": 1}


def steps(**colours: float | None) -> Json:
    """Colours from a value on; the first one has no value."""
    return {
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": colour, "value": value} for colour, value in colours.items()],
        }
    }


def stat(title: str, description: str, expr: str, unit: str = "short", **more: Any) -> Panel:
    """A panel of one number with its course."""
    return Panel(
        title,
        description,
        [query(expr, title)],
        kind="stat",
        unit=unit,
        width=4,
        height=4,
        defaults={"min": 0, **more.pop("thresholds", {})},
        options={"graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}},
        **more,
    )


def styled(match: str, **values: object) -> Json:
    """Displays a column or a series in another way.

    Args:
        match: Its name, or a pattern between slashes.
        values: Display properties; two underscores stand for a dot.
    """
    kind = "byRegexp" if match.startswith("/") else "byName"
    properties = [{"id": key.replace("__", "."), "value": value} for key, value in values.items()]
    return {"matcher": {"id": kind, "options": match}, "properties": properties}


def coloured(column: str, texts: dict[str, Json]) -> Json:
    """Displays the values of a column as texts in colours."""
    mappings = [{"type": "value", "options": texts}]
    return styled(column, mappings=mappings, custom__cellOptions={"type": "color-text"})


DASHED = {"fill": "dash", "dash": [10, 10]}
INTERVAL = styled("/^(low|high) of /", custom__lineStyle={"fill": "dot", "dash": [2, 6]}, custom__lineWidth=1)
"""The ends of intervals."""
LIMIT = styled("/^limit /", color={"mode": "fixed", "fixedColor": "red"}, custom__lineStyle=DASHED, custom__lineWidth=1)
"""A limit that is a series; see `limit_of`."""


def limit_of(series: str) -> Json:
    """The limit of each model that has one, as thresholds.yaml sets it."""
    return query(f"max by ({MODEL}) ({series}{{{CHOSEN}}}) < Inf", f"limit {NAME}")


def service_limit(series: str, chosen: str = CHOSEN_SERVICE) -> Json:
    """The limit of each service, machine or Collector that has one."""
    selected = f"{series}{{{chosen}}}" if chosen else series
    return query(f"max by ({SERVICE}) ({selected}) < Inf", "limit {{job}}")
