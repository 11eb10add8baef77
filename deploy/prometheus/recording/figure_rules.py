"""Rules that put the figures of all tasks into one vector, with the number of labels behind each."""

from __future__ import annotations

from recording.outcome_rules import mean_figure
from recording.rule_parts import MODEL, Rule
from recording.score_rules import mean_of_classes

SUMS = {
    "brier_score": "brier_score",
    "log_loss": "log_loss",
    "mae": "absolute_error",
    "ndcg": "ndcg",
    "reciprocal_rank": "reciprocal_rank",
}
"""Means: the figure, and the name of its sum."""
QUANTILES = {"error_p50": 0.5, "error_p90": 0.9, "error_p99": 0.99}
CLASSES = ("precision", "recall", "f1")
SCORES = ("auc", "average_precision", "ece")


def figure(name: str, expr: str) -> str:
    """Labels a vector with the name of its figure."""
    return f'label_replace({expr}, "ml_eval_figure", "{name}", "", "")'


def union(parts: dict[str, str]) -> str:
    """One vector of several figures."""
    return "\nor ".join(figure(name, expr) for name, expr in parts.items())


def summed(name: str, window: str, matchers: str = "") -> str:
    """Increase of one counter of `ml.eval`, over all replicas."""
    return f"sum by ({MODEL}) (increase(ml_eval_{name}_total{matchers}[{window}]))"


def labels(window: str) -> Rule:
    """Number of labelled predictions behind each figure."""
    outcomes, counted = f"model:ml_eval_outcomes:increase{window}", f"model:ml_eval_predictions:increase{window}"
    of_sets = f"model:ml_eval_class_outcomes:increase{window}"
    scored = f"max by ({MODEL}) (class:ml_eval_positives:increase{window} + class:ml_eval_negatives:increase{window})"
    parts = {
        "accuracy": outcomes,
        **dict.fromkeys(CLASSES, f"({outcomes} or {of_sets})"),
        **dict.fromkeys(["exact_match", "hamming_loss"], of_sets),
        **dict.fromkeys(SCORES, scored),
        **dict.fromkeys([*SUMS, "rmse", "bias", "hit_rate", *QUANTILES], counted),
    }
    kept = f"model:ml_eval_figure:{window}"
    return Rule(f"model:ml_eval_figure_labels:{window}", f"({union(parts)})\nand {kept}")


def values(window: str) -> list[Rule]:
    """The figures themselves."""
    count, of_sets = f"model:ml_eval_predictions:increase{window}", f"class:ml_eval_class_outcomes:increase{window}"
    over, under = (summed("absolute_error", window, f'{{ml_eval_direction="{side}"}}') for side in ("over", "under"))
    parts = {
        "accuracy": f"model:ml_eval_accuracy:{window}",
        "exact_match": f"{summed('exact_matches', window)} / (model:ml_eval_class_outcomes:increase{window} > 0)",
        "hit_rate": f"{summed('hits', window)} / ({count} > 0)",
        **{name: mean_figure(name, window) for name in CLASSES},
        "hamming_loss": f"sum by ({MODEL}) (class:ml_eval_hamming_loss:{window} * {of_sets})\n"
        f"  / sum by ({MODEL}) ({of_sets} > 0)",
        **{name: mean_of_classes(name, window) for name in SCORES},
        **{name: f"{summed(source, window)} / ({count} > 0)" for name, source in SUMS.items()},
        "bias": f"({over} - {under}) / ({count} > 0)",
        "rmse": f"sqrt({summed('squared_error', window)} / ({count} > 0))",
        **{name: quantile(share, window) for name, share in QUANTILES.items()},
    }
    return [
        Rule(count, f"sum by ({MODEL}) (increase(ml_eval_predictions_total[{window}]))"),
        Rule(
            f"model:ml_eval_error_bin:increase{window}",
            f"sum by ({MODEL}, le) (label_replace(\n"
            f'  increase(ml_eval_error_bin_total[{window}]), "le", "$1", "ml_eval_bin", "(.*)"))',
            "A histogram of absolute errors.",
        ),
        Rule(f"model:ml_eval_figure:{window}", union(parts), "Every figure of every task."),
    ]


def quantile(share: float, window: str, more: str = "") -> str:
    """A quantile of the absolute error, exact to one bin; absent without errors."""
    buckets = f"model:ml_eval_error_bin:increase{window}"
    counted = f'on ({MODEL}) {buckets}{{le="+Inf"}} > 0'
    return f"histogram_quantile({share:g}, {buckets}{more}) and {counted}"


def figure_rules(window: str) -> list[Rule]:
    """All rules about the figures of models."""
    return [*values(window), labels(window)]
