"""The rows about all models: which of them needs somebody, and why."""

from __future__ import annotations

from rows.links import ALERT_LINKS, MODEL_LINK
from rows.panels import (
    CHOSEN_MODEL,
    CHOSEN_SERVICE,
    RATE,
    SERVICE,
    Json,
    Panel,
    Row,
    coloured,
    joined,
    newest,
    query,
    stat,
    steps,
    styled,
)

FLEET = f"{SERVICE}, ml_model_name"
"""A model in all its versions and roles is one row."""
BY_MODEL = f"by ({FLEET})"
LEGEND = "{{ml_model_name}} {{k8s_cluster_name}} {{k8s_namespace_name}}"
PLACE = {
    "ml_model_name": "Model",
    "job": "Service",
    "team": "Team",
    "deployment_environment_name": "Environment",
    "k8s_cluster_name": "Cluster",
    "k8s_namespace_name": "Namespace",
}
NOT_SHADOW = f'{CHOSEN_MODEL}, ml_model_role!="shadow"'
FIRING = f'ALERTS{{alertstate="firing", ml_model_name!="", {NOT_SHADOW}}}'
DRIFTED = f'count {BY_MODEL} (feature:ml_feature_verdict:current{{{CHOSEN_MODEL}, ml_feature_finding!="absent"}} == 1)'
WORSE = f"sum {BY_MODEL} (model:ml_eval_figure_worse:current{{{CHOSEN_MODEL}}})"
ROWS_PER_SECOND = f"sum {BY_MODEL} (model:ml_predictions:rate5m{{{CHOSEN_MODEL}}})"
PROCESSES = f"serving:ml_model_processes:alive{{{CHOSEN_MODEL}}}"
FAILED = (
    f"sum {BY_MODEL} (model:ml_prediction_errors:rate5m{{{CHOSEN_MODEL}}})"
    f" / sum {BY_MODEL} (model:ml_prediction_calls:rate5m{{{CHOSEN_MODEL}}})"
)
LATENCY = f"max {BY_MODEL} (model:ml_prediction_duration_seconds:p95_5m{{{CHOSEN_MODEL}}})"
BURN_RATE = f"max {BY_MODEL} (slo:ml_burn_rate:6h{{{CHOSEN_MODEL}}})"


def firing(severity: str) -> str:
    """The firing alerts about a model, or about its service as a whole."""
    return f'ALERTS{{alertstate="firing", severity="{severity}", {CHOSEN_SERVICE}}}'


def attention() -> str:
    """3 while a critical alert fires, 2 for a warning, 1 while a figure or feature is off without an alert, else 0."""
    alerts = f'3 * {FIRING[:-1]}, severity="critical"}} or 2 * {FIRING[:-1]}, severity="warning"}}'
    return f"max {BY_MODEL} ({alerts} or ({DRIFTED} > bool 0) or ({WORSE} > bool 0) or 0 * {PROCESSES})"


ATTENTION = {
    "3": {"text": "critical", "color": "red"},
    "2": {"text": "warning", "color": "orange"},
    "1": {"text": "look", "color": "yellow"},
    "0": {"text": "ok", "color": "green"},
}
TABLE = {
    "Attention": attention(),
    "Alerts": f"count {BY_MODEL} ({FIRING}) or 0 * {PROCESSES}",
    "Failed": FAILED,
    "p95": LATENCY,
    "Burn Rate": BURN_RATE,
    "Features Off": DRIFTED,
    "Figures Worse": WORSE,
    "Predictions/s": ROWS_PER_SECOND,
    "Processes": PROCESSES,
}
ALERT_COLUMNS = {
    "alertname": "Alert",
    "severity": "Severity",
    "alertstate": "State",
    "job": "Service",
    "team": "Team",
    "k8s_cluster_name": "Cluster",
    "k8s_namespace_name": "Namespace",
    "ml_model_name": "Model",
    "ml_model_version": "Version",
    "ml_feature_name": "Feature",
}
SEVERITIES = {"critical": {"color": "red"}, "warning": {"color": "orange"}}
ALERT_KEYS = ", ".join(ALERT_COLUMNS)
SUMMARY = Row(
    "At a glance",
    [
        stat("Models", "Models with a living process.", f"count(count {BY_MODEL} ({PROCESSES})) or vector(0)"),
        stat(
            "Processes",
            "Processes that hold at least one model.",
            f"count(count by ({SERVICE}, instance) (ml_prediction_active{{{CHOSEN_MODEL}}})) or vector(0)",
        ),
        stat(
            "Predictions per Second",
            "Rows predicted per second, by all models.",
            f"sum({ROWS_PER_SECOND}) or vector(0)",
            unit="suffix: /s",
        ),
        stat(
            "Critical Alerts",
            "Critical alerts that fire, about models and their services.",
            f"count({firing('critical')}) or vector(0)",
            thresholds=steps(green=None, red=1),
        ),
        stat(
            "Warnings",
            "Warnings that fire, about models and their services.",
            f"count({firing('warning')}) or vector(0)",
            thresholds=steps(green=None, orange=1),
        ),
        stat(
            "Budgets Being Overspent",
            "Objectives whose error budget would not last for its 30 days at the pace of the last 6 hours.",
            f"count(slo:ml_burn_rate:6h{{{CHOSEN_MODEL}}} > 1) or vector(0)",
            thresholds=steps(green=None, orange=1),
        ),
    ],
)
"""One number each."""


def by_model(title: str, description: str, expr: str, unit: str = "short", **more: Json) -> Panel:
    return Panel(title, description, [query(expr, LEGEND)], unit=unit, defaults={"min": 0}, **more)


MODELS = Row(
    "Models, worst first",
    [
        Panel(
            "Models",
            "Attention: critical or warning while such an alert fires; look while a feature or figure is off without "
            "one. Burn rate: of the objective that is spent fastest, in 6 hours. A click on the name opens the model.",
            [newest(expr) for expr in TABLE.values()],
            kind="table",
            width=24,
            height=11,
            options={"sortBy": [{"displayName": "Attention", "desc": True}]},
            overrides=[
                coloured("Attention", ATTENTION),
                styled("Model", links=[MODEL_LINK]),
                styled("Failed", unit="percentunit", decimals=2),
                styled("p95", unit="s"),
                styled("/^(Burn Rate|Predictions.*)$/", decimals=2),
            ],
            transformations=joined(TABLE, first="Attention", **PLACE),
        ),
        Panel(
            "Alerts",
            "What fires, and what waits for its time to pass; with a click to what the alert is about.",
            [newest(f'count by ({ALERT_KEYS}) (ALERTS{{severity!="none", {CHOSEN_SERVICE}}})')],
            kind="table",
            width=24,
            options={"sortBy": [{"displayName": "Severity", "desc": False}]},
            overrides=[
                coloured("Severity", SEVERITIES),
                coloured("State", {"firing": {"color": "red"}, "pending": {"color": "text"}}),
                styled("Alert", links=ALERT_LINKS),
                styled("Model", links=[MODEL_LINK]),
            ],
            transformations=joined(("Series",), **ALERT_COLUMNS),
        ),
        by_model("Predictions per Second by Model", "Rows predicted per second.", ROWS_PER_SECOND, "suffix: /s"),
        by_model("Failed Calls by Model", "Share of finished calls that failed.", FAILED, "percentunit"),
        by_model("Latency by Model (p95)", "Of the slowest version of each model.", LATENCY, "s"),
        by_model("Features Off by Model", "Features with a verdict other than ok: shifted, missing, invalid.", DRIFTED),
        by_model("Figures Worse by Model", "Figures of performance that are worse than in training.", WORSE),
        by_model("Burn Rate by Model", "Of the objective that is spent fastest, in 6 hours.", BURN_RATE),
        by_model("Processes by Model", "Processes that hold each model, in all versions.", PROCESSES),
        Panel(
            "Services and Their Telemetry",
            "Records per second that each service lost on its way to the Collector.",
            [
                query(
                    f"sum by ({SERVICE}) (rate(otelml_export_dropped_total{{{CHOSEN_SERVICE}}}[{RATE}])) or "
                    f"0 * sum by ({SERVICE}) (rate(otelml_export_produced_total{{{CHOSEN_SERVICE}}}[{RATE}]))",
                    "{{job}} {{k8s_cluster_name}} {{k8s_namespace_name}}",
                )
            ],
            unit="suffix: /s",
            defaults={"min": 0},
        ),
    ],
)
"""All models, the one that needs somebody most on top."""
