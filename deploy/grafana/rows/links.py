"""Links between the dashboards: with the time range, with what is selected, and with what was clicked."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

TITLES = {
    "fleet": "Fleet",
    "model": "Model",
    "data": "Data quality and drift",
    "performance": "Performance",
    "slo": "SLO",
    "resources": "Resources and GPU",
    "telemetry": "Telemetry health",
}
"""Name of the file and title of each dashboard, in the order of the links."""
TARGETS = {
    "fleet": "all models, worst first",
    "model": "its predictions, calls and versions",
    "data": "the inputs, outputs and labels against training",
    "performance": "figures by labels and estimates, segments, versions, decay",
    "slo": "error budgets and how fast they are spent",
    "resources": "processes, containers, machines and GPUs",
    "telemetry": "whether anything is missing here",
}
KEPT = ("datasource", "environment", "cluster", "namespace", "team")
"""What a link from a row of a table keeps of the selection."""


def uid(name: str) -> str:
    return f"otel-ml-{name}"


def address(name: str, *more: str) -> str:
    """The address of a dashboard with the time range, the place and `more` parameters."""
    kept = [f"${{{variable}:queryparam}}" for variable in KEPT]
    return f"/d/{uid(name)}?" + "&".join(["${__url_time_range}", *kept, *more])


def from_row(name: str, title: str, **columns: str) -> Json:
    """A link from a row of a table: each variable takes the value of a column.

    By default Grafana leaves `&`, `+`, `#` and `=` of a value as they are, which ends it there.
    """
    more = [f'var-{variable}=${{__data.fields["{column}"]:percentencode}}' for variable, column in columns.items()]
    return {"title": title, "url": address(name, *more), "targetBlank": False}


MODEL_LINK = from_row("model", "Open the model", job="Service", model="Model")


ALERT_LINKS = [
    from_row("model", "Models of the service", job="Service"),
    from_row("resources", "Resources of the service", job="Service"),
    from_row("telemetry", "Telemetry of the service", job="Service"),
]
"""By service: not every alert names a model."""


def to_dashboard(name: str, title: str = "") -> Json:
    """A link of a panel, with everything that is selected."""
    url = f"/d/{uid(name)}?${{__url_time_range}}&${{__all_variables}}"
    return {"title": title or TITLES[name], "url": url, "targetBlank": False}


def between(name: str) -> list[Json]:
    """The links on top of a dashboard, to all others. The one to the fleet drops the selection: it shows all models."""
    return [
        {
            "title": title,
            "type": "link",
            "url": f"/d/{uid(each)}",
            "icon": "dashboard",
            "tooltip": TARGETS[each],
            "tags": [],
            "asDropdown": False,
            "includeVars": each != "fleet",
            "keepTime": True,
            "targetBlank": False,
        }
        for each, title in TITLES.items()
        if each != name
    ]
