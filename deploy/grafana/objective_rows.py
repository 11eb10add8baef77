"""The row about objectives: what is left of each error budget, and how fast it is spent."""

from __future__ import annotations

from panels import CHOSEN_MODEL, Panel, Row, limit, query

NAME = "{{ml_slo}} {{ml_model_name}} {{k8s_cluster_name}} {{k8s_namespace_name}}"
EVENTS, BAD = (f"slo:ml_{name}:rate1h{{{CHOSEN_MODEL}}}" for name in ("events", "bad_events"))

OBJECTIVES = Row(
    "Objectives",
    [
        Panel(
            "Error Budget Left",
            "Share of the budget of 30 days that is left, by events of whole hours. Below 0 the objective is missed.",
            [query(f"slo:ml_error_budget_remaining:30d{{{CHOSEN_MODEL}}}", NAME)],
            unit="percentunit",
            width=8,
            defaults={"max": 1, **limit(0)},
        ),
        Panel(
            "Burn Rate",
            "How many times too fast the budget is spent in the last hour and in the last 6 hours: at 1 it lasts for "
            "30 days. Above 14.4 in an hour or 6 in 6 hours an alert pages.",
            [
                query(f"slo:ml_burn_rate:1h{{{CHOSEN_MODEL}}}", f"1h {NAME}"),
                query(f"slo:ml_burn_rate:6h{{{CHOSEN_MODEL}}}", f"6h {NAME}"),
            ],
            width=8,
            defaults={"min": 0, **limit(1)},
        ),
        Panel(
            "Bad Events",
            "Share of calls that fail, of calls slower than the objective, and of labelled predictions that are wrong: "
            "the last hour.",
            [query(f"{BAD} / ({EVENTS} > 0)", NAME)],
            unit="percentunit",
            width=8,
            defaults={"min": 0},
        ),
    ],
)
