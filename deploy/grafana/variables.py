"""The variables on top of the dashboards. The value *All* also selects series without the label."""

from __future__ import annotations

from rows.panels import CHOSEN, PROMETHEUS, Json

PLACE = {
    "environment": ("Environment", "deployment_environment_name"),
    "cluster": ("Cluster", "k8s_cluster_name"),
    "namespace": ("Namespace", "k8s_namespace_name"),
    "team": ("Team", "team"),
}
SERVICE = {"job": ("Service", "job")}
MODEL = {"model": ("Model", "ml_model_name")}
VERSION = {"version": ("Version", "ml_model_version")}
ROLE = {"role": ("Role", "ml_model_role")}
INSTANCE = {"instance": ("Instance", "instance")}
"""Name, title and label of the variables, in the order in which one narrows the next."""
PREDICTIONS = "ml_predictions_total"
PROCESSES = (
    '__name__=~"ml_predictions_total|process_memory_usage_bytes|system_memory_usage_bytes|otelml_export_produced_total"'
)
"""One series of each thing that reports: models, processes, machines, senders."""


def source_variable(name: str, label: str, kind: str) -> Json:
    return {"name": name, "label": label, "type": "datasource", "query": kind, "refresh": 1, "hide": 0, "regex": ""}


METRICS = source_variable("datasource", "Metrics", "prometheus")
RECORDS = [source_variable("logs", "Logs", "loki"), source_variable("traces", "Traces", "tempo")]


def label_variable(name: str, label: str, series: str, key: str, **more: object) -> Json:
    """A variable over the values of a label."""
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


def narrowing(series: str, *groups: dict[str, tuple[str, str]]) -> list[Json]:
    """Variables of which each offers what those before it leave. `series` is a name, or a matcher of names."""
    name, matchers = (series, []) if "=" not in series else ("", [series])
    found = []
    for variable, (title, label) in (item for group in groups for item in group.items()):
        selector = f"{name}{{{', '.join(matchers)}}}"
        found.append(label_variable(variable, title, selector, label))
        matchers.append(f'{label}=~"${variable}"')
    return found


def of_models(*groups: dict[str, tuple[str, str]]) -> list[Json]:
    """The variables of a dashboard about models."""
    return narrowing(PREDICTIONS, PLACE, SERVICE, MODEL, *groups)


def of_processes() -> list[Json]:
    """The variables of a dashboard about processes: a model selects the services that hold it.

    *All* services are therefore those that the list shows, not every service.
    """
    variables = narrowing(PROCESSES, PLACE, MODEL, VERSION, SERVICE, INSTANCE)
    for variable in variables:
        if variable["name"] == "job":
            del variable["allValue"]
    return variables


def window() -> Json:
    options = [{"text": each, "value": each, "selected": each == "1h"} for each in ("1h", "24h")]
    return {
        "name": "window",
        "label": "Window",
        "type": "custom",
        "query": "1h,24h",
        "options": options,
        "current": {"text": "1h", "value": "1h"},
        "hide": 0,
    }


def reference() -> Json:
    series = f"feature:ml_feature_reference_psi:1h{{{CHOSEN}}}"
    return single_variable("reference", "Reference", series, "ml_reference", {"text": "training", "value": "training"})


def feature() -> Json:
    return single_variable("feature", "Feature", f"ml_feature_reference_size{{{CHOSEN}}}", "ml_feature_name", {})


def service() -> Json:
    """Loki and Tempo have the plain service name; Prometheus's job may have a namespace in front of it."""
    return label_variable("service", "", 'ml_predictions_total{job=~"$job"}', "service_name", allValue=".+", hide=2)
