"""Rules about performance from labels, by arrival time: the counts, the figures, and the comparison with training."""

from __future__ import annotations

from recording.figure_rules import figure_rules
from recording.interval_rules import interval_rules
from recording.outcome_rules import outcome_rules
from recording.reference_rules import comparison, reference
from recording.rule_parts import FAST, MODEL, Rule, RuleGroup
from recording.score_rules import score_rules


def delays(window: str) -> list[Rule]:
    """Number of labels received, and their delay."""
    return [
        Rule(
            f"model:ml_eval_labels:coverage{window}",
            f'(sum by ({MODEL}) (increase(ml_eval_labels_total{{ml_eval_label_state="matched"}}[{window}]))\n'
            f"  or 0 * sum by ({MODEL}) (increase(ml_predictions_total[{window}])))\n"
            f"/ (sum by ({MODEL}) (increase(ml_predictions_total[{window}])) > 0)",
            "Labels received per predicted row; above 1 while a backlog of older labels arrives.",
        ),
        Rule(
            f"model:ml_eval_label_lag_seconds:p50_{window}",
            f"histogram_quantile(0.5, sum by (le, {MODEL}) (rate(ml_eval_label_lag_seconds_bucket[{window}])))",
        ),
    ]


def performance(window: str, interval: str = "") -> RuleGroup:
    """Performance from labels; each rule reads those before it."""
    figures = [*score_rules(window), *outcome_rules(window), *figure_rules(window), *interval_rules(window)]
    compared = [*(reference() if window == FAST else []), *comparison(window)]
    return RuleGroup(f"otel-ml-performance-{window}", [*figures, *compared, *delays(window)], interval)
