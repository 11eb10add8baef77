"""The row of one model that leads to the other dashboards: a number for each of them."""

from __future__ import annotations

from rows.links import to_dashboard
from rows.panels import CHOSEN, CHOSEN_MODEL, CHOSEN_PROCESSES, RATE, Row, stat, steps

ZERO_IF_NONE = "or vector(0)"
STATE = Row(
    "State, with a click to the details",
    [
        stat(
            "Features Off",
            "Features with a verdict other than ok, by the last hour or the last day.",
            f'count(feature:ml_feature_verdict:current{{{CHOSEN}, ml_feature_finding!="absent"}} == 1) {ZERO_IF_NONE}',
            thresholds=steps(green=None, orange=1),
            links=[to_dashboard("data")],
        ),
        stat(
            "Figures Worse",
            "Figures of performance that are worse than in training.",
            f"sum(model:ml_eval_figure_worse:current{{{CHOSEN}}}) {ZERO_IF_NONE}",
            thresholds=steps(green=None, orange=1),
            links=[to_dashboard("performance")],
        ),
        stat(
            "Segments Worse",
            "Values of a column for which the model is worse than for the rest.",
            f"sum(segment:ml_worse:current{{{CHOSEN}}}) {ZERO_IF_NONE}",
            thresholds=steps(green=None, orange=1),
            links=[to_dashboard("performance")],
        ),
        stat(
            "Fastest Burn Rate",
            "Of the objective that is spent fastest, in 6 hours; at 1 its budget lasts for 30 days.",
            f"max(slo:ml_burn_rate:6h{{{CHOSEN_MODEL}}})",
            thresholds=steps(green=None, orange=1, red=6),
            links=[to_dashboard("slo")],
        ),
        stat(
            "Memory of the Processes",
            "Resident memory of all processes of the service.",
            f"sum(process_memory_usage_bytes{{{CHOSEN_PROCESSES}}})",
            unit="bytes",
            links=[to_dashboard("resources")],
        ),
        stat(
            "Records Lost per Second",
            "What the service could not deliver: it is missing here.",
            f"sum(rate(otelml_export_dropped_total{{{CHOSEN_PROCESSES}}}[{RATE}])) {ZERO_IF_NONE}",
            unit="suffix: /s",
            thresholds=steps(green=None, orange=0.001),
            links=[to_dashboard("telemetry")],
        ),
    ],
)
"""What to look at next."""
