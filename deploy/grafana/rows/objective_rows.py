"""The rows about objectives: what is left of each error budget, and how fast it is spent."""

from __future__ import annotations

from rows.links import MODEL_LINK
from rows.panels import CHOSEN_MODEL, SERVICE, Panel, Row, joined, limit, newest, query, steps, styled

NAME = "{{ml_slo}} {{ml_model_name}} {{k8s_cluster_name}} {{k8s_namespace_name}}"
KEY = f"{SERVICE}, ml_model_name, ml_slo"
EVENTS, BAD = (f"slo:ml_{name}:rate1h{{{CHOSEN_MODEL}}}" for name in ("events", "bad_events"))
LEFT = Panel(
    "Error Budget Left",
    "Share of the budget of 30 days that is left, by events of whole hours. Below 0 the objective is missed.",
    [query(f"slo:ml_error_budget_remaining:30d{{{CHOSEN_MODEL}}}", NAME)],
    unit="percentunit",
    width=8,
    defaults={"max": 1, **limit(0)},
)
BURN_RATE = Panel(
    "Burn Rate",
    "How many times too fast the budget is spent in the last hour and in the last 6 hours: at 1 it lasts for "
    "30 days. Above 14.4 in an hour or 6 in 6 hours an alert pages.",
    [
        query(f"slo:ml_burn_rate:1h{{{CHOSEN_MODEL}}}", f"1h {NAME}"),
        query(f"slo:ml_burn_rate:6h{{{CHOSEN_MODEL}}}", f"6h {NAME}"),
    ],
    width=8,
    defaults={"min": 0, **limit(1)},
)
BAD_EVENTS = Panel(
    "Bad Events",
    "Share of calls that fail, of calls slower than the objective, and of labelled predictions that are wrong: "
    "the last hour.",
    [query(f"{BAD} / ({EVENTS} > 0)", NAME)],
    unit="percentunit",
    width=8,
    defaults={"min": 0},
)
OBJECTIVES = Row("Objectives", [LEFT, BURN_RATE, BAD_EVENTS])


def greatest(series: str) -> str:
    return f"max by ({KEY}) ({series}{{{CHOSEN_MODEL}}})"


TABLE = {
    "Events/s": greatest("slo:ml_events:rate1h"),
    "Budget Left": f"min by ({KEY}) (slo:ml_error_budget_remaining:30d{{{CHOSEN_MODEL}}})",
    "Burn Rate 1 h": greatest("slo:ml_burn_rate:1h"),
    "Burn Rate 6 h": greatest("slo:ml_burn_rate:6h"),
    "Burn Rate 3 d": greatest("slo:ml_burn_rate:3d"),
    "Objective": greatest("slo:ml_objective:ratio"),
    "Bad": f"{greatest('slo:ml_bad_events:rate1h')} / ({greatest('slo:ml_events:rate1h')} > 0)",
}
COLUMNS = {
    "ml_slo": "About",
    "ml_model_name": "Model",
    "job": "Service",
    "team": "Team",
    "deployment_environment_name": "Environment",
    "k8s_cluster_name": "Cluster",
    "k8s_namespace_name": "Namespace",
}
BURNING = steps(green=None, orange=1, red=6)["thresholds"]
OBJECTIVE_TABLE = Row(
    "Objectives, worst first",
    [
        Panel(
            "Objectives",
            "What is left of each budget of 30 days, how many times too fast it is spent, and the share of bad events "
            "in the last hour. A click on the model opens it.",
            [newest(expr) for expr in TABLE.values()],
            kind="table",
            width=24,
            options={"sortBy": [{"displayName": "Burn Rate 6 h", "desc": True}]},
            overrides=[
                styled("Model", links=[MODEL_LINK]),
                styled("/^(Budget Left|Objective|Bad)$/", unit="percentunit", decimals=2),
                styled("/^Burn Rate/", decimals=2, custom__cellOptions={"type": "color-text"}, thresholds=BURNING),
                styled("Events/s", decimals=2),
            ],
            transformations=joined(TABLE, first="Burn Rate 6 h", **COLUMNS),
        ),
    ],
)
"""Every objective of every model in one table."""

SPENDING = Row(
    "Budgets",
    [
        LEFT,
        BURN_RATE,
        BAD_EVENTS,
        Panel(
            "Burn Rate That Pages",
            "An alert is critical while both windows of a pair are above their limit: 5 minutes and 1 hour above 14.4, "
            "30 minutes and 6 hours above 6.",
            [query(f"slo:ml_burn_rate:{window}{{{CHOSEN_MODEL}}}", f"{window} {NAME}") for window in ("5m", "30m")],
            width=8,
            defaults={"min": 0, **limit(6)},
        ),
        Panel(
            "Burn Rate of Days",
            "A warning while 2 hours and 1 day are above 3, or 6 hours and 3 days above 1.",
            [
                query(f"slo:ml_burn_rate:{window}{{{CHOSEN_MODEL}}}", f"{window} {NAME}")
                for window in ("2h", "1d", "3d")
            ],
            width=8,
            defaults={"min": 0, **limit(1)},
        ),
        Panel(
            "Events per Second",
            "Calls and labelled predictions that count. With few of them one bad event is a large share.",
            [query(EVENTS, NAME)],
            unit="suffix: /s",
            width=8,
            defaults={"min": 0},
        ),
    ],
)
"""How the budgets are spent."""
