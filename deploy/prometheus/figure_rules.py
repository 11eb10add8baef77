"""Rules that put the figures of all tasks into one vector, with their 95 % intervals and their numbers of labels."""

from __future__ import annotations

from outcome_rules import mean_error, mean_figure
from rule_parts import MODEL, Rule
from score_rules import mean_of_classes

Z = 1.96
SHARES = "accuracy|exact_match|hit_rate"
"""Shares of labelled predictions."""
SUMS = {
    "brier_score": "brier_score",
    "log_loss": "log_loss",
    "mae": "absolute_error",
    "ndcg": "ndcg",
    "reciprocal_rank": "reciprocal_rank",
}
"""Means: the figure, and the name of its sum."""
QUANTILES = {"error_p50": 0.5, "error_p90": 0.9, "error_p99": 0.99}
NO_GREATER_THAN_ONE = "precision|recall|f1|auc|hamming_loss|ndcg|reciprocal_rank"
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
    of_sets = f"max by ({MODEL}) (class:ml_eval_class_outcomes:increase{window})"
    scored = f"max by ({MODEL}) (class:ml_eval_positives:increase{window} + class:ml_eval_negatives:increase{window})"
    parts = {
        "accuracy": outcomes,
        **dict.fromkeys(CLASSES, f"({outcomes} or {of_sets})"),
        "hamming_loss": of_sets,
        **dict.fromkeys(SCORES, scored),
        **dict.fromkeys([*SUMS, "rmse", "bias", "exact_match", "hit_rate", *QUANTILES], counted),
    }
    kept = f"model:ml_eval_figure:{window}"
    return Rule(f"model:ml_eval_figure_labels:{window}", f"({union(parts)})\nand {kept}")


def values(window: str) -> list[Rule]:
    """The figures themselves."""
    count = f"model:ml_eval_predictions:increase{window}"
    over, under = (summed("absolute_error", window, f'{{ml_eval_direction="{side}"}}') for side in ("over", "under"))
    parts = {
        "accuracy": f"model:ml_eval_accuracy:{window}",
        "exact_match": f"{summed('exact_matches', window)} / ({count} > 0)",
        "hit_rate": f"{summed('hits', window)} / ({count} > 0)",
        **{name: mean_figure(name, window) for name in CLASSES},
        "hamming_loss": mean_of_classes("hamming_loss", window),
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


def quantile_limits(share: float, window: str) -> tuple[str, str]:
    """The interval of a quantile: the values at the ranks that the number of errors below it is between.

    `histogram_quantile` takes the same rank for all models. Errors that are added below all others lower the rank that
    it finds, errors added above raise it.
    """
    count, buckets = f"model:ml_eval_predictions:increase{window}", f"model:ml_eval_error_bin:increase{window}"
    ranks = f"{Z} * sqrt({share * (1 - share):.4g} * {count})"
    added = f"({ranks} / {1 - share:.4g})"
    low = f' + on ({MODEL}) group_left () {added}\n    or label_replace({added}, "le", "0", "", "")'
    high = f'{{le="+Inf"}} + on ({MODEL}) group_left () ({ranks} / {share:g})\n    or 0 + {buckets}'
    lower = f"{quantile(share, window, low)} and {share:g} * {count} > {ranks}"
    upper = f"{quantile(share, window, high)} and {1 - share:.4g} * {count} > {ranks}"
    return lower, upper


def errors(window: str) -> list[Rule]:
    """Standard errors of means, and of what is derived from them."""
    count, value = f"model:ml_eval_predictions:increase{window}", f"model:ml_eval_figure:{window}"
    squares = {name: summed(f"{source}_squares", window) for name, source in SUMS.items()}
    squares |= {"mae": summed("squared_error", window), "bias": summed("squared_error", window)}
    mean_squares = "\n  or ".join(figure(name, f"{each} / {count}") for name, each in squares.items())
    many = f"on ({MODEL}) group_left () ({count} - 1 > 0)"
    mse = f"({summed('squared_error', window)} / {count})"

    def variance(name: str, size: str) -> str:
        share = f"class:ml_eval_{name}:{window}"
        return f"{share} * (1 - {share}) / class:ml_eval_{size}:increase{window}"

    several = f"and model:ml_eval_averaged:{window} > 1"
    wrong, rows = f"class:ml_eval_hamming_loss:{window}", f"class:ml_eval_class_outcomes:increase{window}"
    rest = {
        "rmse": f"sqrt(clamp_min({summed('squared_error_squares', window)} / {count} - {mse} ^ 2, 0)\n"
        f"  / ({count} - 1 > 0) / (4 * {mse} > 0))",
        "precision": f"{mean_error(variance('precision', 'predicted'), window)} {several}",
        "recall": f"{mean_error(variance('recall', 'actual'), window)} {several}",
        "f1": f"(sqrt(clamp_min(model:ml_eval_f1_macro_variance:{window}, 0)) {several}\n"
        f"  or {mean_error(f'class:ml_eval_f1_variance:{window}', window)})",
        "auc": mean_of_classes("auc_error", window),
        "hamming_loss": f"avg by ({MODEL}) (sqrt({wrong} * (1 - {wrong}) / {rows}))",
    }
    means = f"sqrt(clamp_min(({mean_squares})\n  - {value} ^ 2, 0) / {many})"
    return [
        Rule(
            f"model:ml_eval_figure_error:{window}",
            f"{means}\nor {union(rest)}",
            "Standard errors; those of RMSE and F1 by the delta method.",
        )
    ]


def trials(window: str) -> Rule:
    """What a share is a share of: all labelled predictions, or those of the positive class."""
    single = f"and class:ml_eval_averaged:{window} and on ({MODEL}) model:ml_eval_averaged:{window} == 1"
    parts = {
        "precision": f"sum by ({MODEL}) (class:ml_eval_predicted:increase{window} {single})",
        "recall": f"sum by ({MODEL}) (class:ml_eval_actual:increase{window} {single})",
    }
    of_all = f'model:ml_eval_figure_labels:{window}{{ml_eval_figure=~"{SHARES}"}}'
    return Rule(f"model:ml_eval_figure_trials:{window}", f"{of_all}\nor {union(parts)}")


def intervals(window: str) -> list[Rule]:
    """The 95 % intervals: Wilson for shares, order statistics for quantiles, else 1.96 standard errors."""
    value, error, count = (f"model:ml_eval_figure{name}:{window}" for name in ("", "_error", "_trials"))
    squared = round(Z**2, 6)
    lowers, uppers = zip(*(quantile_limits(share, window) for share in QUANTILES.values()), strict=True)

    def wilson(sign: str) -> str:
        spread = f"{Z} * sqrt({value} * (1 - {value}) / {count} + {squared} / (4 * {count} ^ 2))"
        return f"({value} + {squared} / (2 * {count}) {sign} {spread})\n/ (1 + {squared} / {count})"

    def bounded(matcher: str, names: str, sign: str) -> str:
        return f'{value}{{ml_eval_figure{matcher}"{names}"}} {sign} {Z} * ({error} unless {count})'

    low = (
        f"clamp_min({wilson('-')}, 0)\n"
        f"or clamp_min({bounded('!=', 'bias', '-')}, 0)\n"
        f"or {bounded('=', 'bias', '-')}\n"
        f"or {union(dict(zip(QUANTILES, lowers, strict=True)))}"
    )
    high = (
        f"clamp_max({wilson('+')}, 1)\n"
        f"or clamp_max({bounded('=~', NO_GREATER_THAN_ONE, '+')}, 1)\n"
        f"or {bounded('!~', NO_GREATER_THAN_ONE, '+')}\n"
        f"or {union(dict(zip(QUANTILES, uppers, strict=True)))}"
    )
    return [
        Rule(f"model:ml_eval_figure_low:{window}", low, "95 % intervals. Average precision and ECE have none."),
        Rule(f"model:ml_eval_figure_high:{window}", high),
    ]


def figure_rules(window: str) -> list[Rule]:
    """All rules about figures of models."""
    return [*values(window), labels(window), *errors(window), trials(window), *intervals(window)]
