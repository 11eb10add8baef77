"""Rules about the 95 % interval of each figure."""

from __future__ import annotations

from recording.figure_rules import QUANTILES, SUMS, figure, quantile, summed, union
from recording.outcome_rules import mean_error
from recording.rule_parts import MODEL, Rule
from recording.score_rules import mean_of_classes

Z = 1.959964
SQUARE = f"{Z} ^ 2"
SHARES = "accuracy|exact_match|hit_rate"
"""Shares of all labelled predictions."""
NO_GREATER_THAN_ONE = "precision|recall|f1|auc|hamming_loss|ndcg|reciprocal_rank"


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
        "precision": f"({mean_error(variance('precision', 'predicted'), window)} {several}) > 0",
        "recall": f"({mean_error(variance('recall', 'actual'), window)} {several}) > 0",
        "f1": f"(sqrt(clamp_min(model:ml_eval_f1_macro_variance:{window}, 0)) {several}\n"
        f"  or {mean_error(f'class:ml_eval_f1_variance:{window}', window)} {several}) > 0",
        "auc": f"{mean_of_classes('auc_error', window)} > 0",
        "hamming_loss": f"avg by ({MODEL}) (sqrt({wrong} * (1 - {wrong}) / {rows}))",
    }
    means = f"sqrt(clamp_min(({mean_squares})\n  - {value} ^ 2, 0) / {many})"
    return [
        Rule(
            f"model:ml_eval_figure_error:{window}",
            f"{means}\nor {union(rest)}",
            "Standard errors; those of RMSE and F1 by the delta method. 0 of classes that are all right is not known.",
        )
    ]


def shares(window: str) -> list[Rule]:
    """Figures that are a share, and what they are a share of: all labelled predictions, or those of one class."""
    single = f"and class:ml_eval_averaged:{window} and on ({MODEL}) model:ml_eval_averaged:{window} == 1"
    predicted, actual, correct = (
        f"class:ml_eval_{name}:increase{window}" for name in ("predicted", "actual", "correct")
    )
    parts = {
        "precision": f"sum by ({MODEL}) ({predicted} {single})",
        "recall": f"sum by ({MODEL}) ({actual} {single})",
        "f1": f"sum by ({MODEL}) ({predicted} + {actual} - {correct} {single})",
    }
    value, trials = f"model:ml_eval_figure:{window}", f"model:ml_eval_figure_trials:{window}"
    of_all = f'model:ml_eval_figure_labels:{window}{{ml_eval_figure=~"{SHARES}"}}'
    f1 = f'{value}{{ml_eval_figure="f1"}}'
    return [
        Rule(trials, f"{of_all}\nor {union(parts)}"),
        Rule(
            f"model:ml_eval_figure_share:{window}",
            f'({value}{{ml_eval_figure!="f1"}}\n  or {f1} / (2 - {f1}))\nand {trials}',
            "F1 is 2 J / (1 + J) of the share J of right ones among all that are predicted or true.",
        ),
    ]


def wilson(window: str) -> list[Rule]:
    """The interval of Wilson (1927) of each share."""
    value, count = f"model:ml_eval_figure_share:{window}", f"(model:ml_eval_figure_trials:{window} > 0)"
    spread = f"{Z} * sqrt({value} * (1 - {value}) / {count} + {SQUARE} / (4 * {count} ^ 2))"
    return [
        Rule(
            f"model:ml_eval_figure_share_{end}:{window}",
            f"{bound}(({value} + {SQUARE} / (2 * {count})\n  {sign} {spread})\n  / (1 + {SQUARE} / {count}), {limit})",
        )
        for end, sign, bound, limit in (("low", "-", "clamp_min", 0), ("high", "+", "clamp_max", 1))
    ]


def logit(window: str, sign: str) -> str:
    """One end of the interval of an average precision of one class, by the logit of Boyd, Eng and Page (2013)."""
    value = f"(class:ml_eval_average_precision:{window} > 0 < 1)"
    spread = f"{Z} / sqrt(class:ml_eval_positives:increase{window} * {value} * (1 - {value}))"
    of_class = f"1 / (1 + exp(-(ln({value} / (1 - {value})) {sign} {spread})))"
    return f"sum by ({MODEL}) ({of_class}) and count by ({MODEL}) (class:ml_eval_positives:increase{window}) == 1"


def intervals(window: str) -> list[Rule]:
    """The 95 % intervals: Wilson for shares, order statistics for quantiles, else 1.96 standard errors."""
    value, error = f"model:ml_eval_figure:{window}", f"model:ml_eval_figure_error:{window}"
    lowers, uppers = zip(*(quantile_limits(share, window) for share in QUANTILES.values()), strict=True)

    def bounded(matcher: str, names: str, sign: str) -> str:
        return f'{value}{{ml_eval_figure{matcher}"{names}"}} {sign} {Z} * {error}'

    def of_shares(end: str) -> str:
        share = f"model:ml_eval_figure_share_{end}:{window}"
        f1 = f'{share}{{ml_eval_figure="f1"}}'
        return f'{share}{{ml_eval_figure!="f1"}}\nor 2 * {f1} / (1 + {f1})'

    def others(limits: tuple[str, ...], sign: str) -> str:
        return union({**dict(zip(QUANTILES, limits, strict=True)), "average_precision": logit(window, sign)})

    low = (
        f"{of_shares('low')}\n"
        f"or clamp_min({bounded('!=', 'bias', '-')}, 0)\n"
        f"or {bounded('=', 'bias', '-')}\n"
        f"or {others(lowers, '-')}"
    )
    high = (
        f"{of_shares('high')}\n"
        f"or clamp_max({bounded('=~', NO_GREATER_THAN_ONE, '+')}, 1)\n"
        f"or {bounded('!~', NO_GREATER_THAN_ONE, '+')}\n"
        f"or {others(uppers, '+')}"
    )
    return [
        Rule(f"model:ml_eval_figure_low:{window}", low, "95 % intervals. ECE has none: see its noise."),
        Rule(f"model:ml_eval_figure_high:{window}", high),
    ]


def interval_rules(window: str) -> list[Rule]:
    """All rules about intervals."""
    return [*errors(window), *shares(window), *wilson(window), *intervals(window)]
