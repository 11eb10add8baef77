"""Rules that compare the figures of performance with those of the training data."""

from __future__ import annotations

from recording.feature_rules import NULL_Z, newest
from recording.figure_rules import CLASSES, union
from recording.interval_rules import Z
from recording.rule_parts import FIGURE, MODEL, Rule, RuleGroup, in_either_window

FALLING = "accuracy|precision|recall|f1|auc|average_precision|exact_match|ndcg|reciprocal_rank|hit_rate"
"""Less is worse."""
ERRORS = "brier_score|log_loss|hamming_loss|mae|rmse"
QUANTILES = "error_p50|error_p90|error_p99"
POINTS_LIMIT, SHARE_LIMIT = "model:ml_eval_points:limit", "model:ml_eval_share:limit"
"""What is worth an alert, of figures that are shares and of errors: `thresholds.yaml` has the numbers."""
POINTS, SHARE = (f"on ({MODEL}) group_left () {limit}" for limit in (POINTS_LIMIT, SHARE_LIMIT))
QUANTILE_SHARE = 0.5
"""Half of a quantile: its bin is 26 % wide."""
LEAST_LABELS, LEAST_OF_CLASS = 100, 10
"""A class with a few labels moves a mean over classes far, and by an amount that its own counts cannot tell."""
REFERENCE, SIZE = "model:ml_eval_reference:max", "model:ml_eval_reference_size:max"
LIMIT = "model:ml_eval_figure_limit:max"
NOW = "model:ml_eval_figure_worse:current"


def of(series: str, names: str) -> str:
    return f'{series}{{ml_eval_figure=~"{names}"}}'


def reference() -> list[Rule]:
    """Performance on the training data, once for all windows."""
    rmse = f"on ({MODEL}) group_left () ({SHARE_LIMIT} * sum by ({MODEL}) ({of(REFERENCE, 'rmse')}))"
    return [
        Rule(REFERENCE, f"max by ({FIGURE}) ({newest('ml_eval_reference')})", "All processes export the same."),
        Rule(SIZE, f"max by ({MODEL}) ({newest('ml_eval_reference_size')})"),
        Rule(
            LIMIT,
            f"0 * {of(REFERENCE, f'{FALLING}|ece')} + {POINTS}\n"
            f"or {of(REFERENCE, ERRORS)} * {SHARE}\n"
            f"or {QUANTILE_SHARE} * {of(REFERENCE, QUANTILES)}\n"
            f"or 0 * {of(REFERENCE, 'bias')} + {rmse}",
            "What is of practical size: points of a share, a part of an error, a bias of that part of RMSE, half of "
            "a quantile, since its bin is 26 % wide.",
        ),
    ]


def comparison(window: str) -> list[Rule]:
    """How much worse each figure is than in training, and what chance explains."""
    value, low, high, labels, decline, noise, few, worse = (
        f"model:ml_eval_figure{name}:{window}"
        for name in ("", "_low", "_high", "_labels", "_decline", "_decline_noise", "_few", "_worse")
    )
    rising = f"{ERRORS}|{QUANTILES}|ece"
    calibration = f'label_replace(avg by ({MODEL}) (class:ml_eval_ece_noise:{window}), "ml_eval_figure", "ece", "", "")'
    return [
        Rule(
            decline,
            f"{of(REFERENCE, FALLING)} - {value}\n"
            f"or {of(value, rising)} - {REFERENCE}\n"
            f"or abs({of(value, 'bias')} - {REFERENCE})",
        ),
        Rule(
            noise,
            f"{round(NULL_Z / Z, 4)} * (\n"
            f"  {of(high, f'{FALLING}|bias')} - {value}\n"
            f"  or {of(value, rising)} - {low})\n"
            f"  * sqrt(1 + {labels} / on ({MODEL}) group_left () {SIZE})\n"
            f"or {calibration} and {value}",
            "3.09 standard errors, which 1 of 1,000 windows exceeds by chance; training has an error of its own.",
        ),
        Rule(few, _few(window), "Figures of classes of which one has fewer than ten labels."),
        Rule(
            worse,
            f"({decline} > bool {LIMIT}) * ({decline} > bool {noise}) * ({labels} >= bool {LEAST_LABELS})\n"
            f"unless {few}",
            "1 if the figure is worse than in training, else 0.",
        ),
    ]


def _few(window: str) -> str:
    actual, positives, negatives = (
        f"class:ml_eval_{name}:increase{window}" for name in ("actual", "positives", "negatives")
    )
    rare = (
        f"min by ({MODEL}) ({actual} and class:ml_eval_averaged:{window}) < {LEAST_OF_CLASS} "
        f"and model:ml_eval_averaged:{window} > 1"
    )
    one_sided = " or ".join(f"min by ({MODEL}) ({each}) < {LEAST_OF_CLASS}" for each in (positives, negatives))
    return union({**dict.fromkeys(CLASSES, rare), **dict.fromkeys(("auc", "average_precision"), f"({one_sided})")})


def worse_now() -> RuleGroup:
    """What the alerts read: the figures that are worse than in training, by the last hour or by the last day."""
    return RuleGroup("otel-ml-training", [in_either_window(NOW)])
