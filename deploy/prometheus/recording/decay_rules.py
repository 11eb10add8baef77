"""Rules about decay: the trend of each figure over days, its interval, and when it crosses the limit; the model's age.

The formulas are those of `otel_ml/_figures/trends.py`, where their sources are.
"""

from __future__ import annotations

from recording.feature_rules import newest
from recording.interval_rules import Z
from recording.reference_rules import ERRORS, FALLING, LEAST_LABELS, LIMIT, POINTS_LIMIT, REFERENCE, SHARE_LIMIT, of
from recording.rule_parts import MODEL, SLOW, Rule, RuleGroup

WINDOWS = ("14d", "30d")
LEAST_DAYS = 10
NULL_Z = 3.5
SOON = 30
"""Days within which the limit must be crossed for an alert."""
DAILY = "model:ml_eval_figure_judged:24h"


def student(z: float, freedom: str) -> str:
    """The quantile of Student's distribution at the level of a normal one (Abramowitz and Stegun 26.7.5)."""
    parts = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return " + ".join([f"{z}", *(f"{part:.12g} / {freedom} ^ {power}" for power, part in enumerate(parts, 1))])


def trend(window: str) -> list[Rule]:
    """The line through the daily figures of a window, by least squares."""
    days, count = f"[{window}:1d]", f"model:ml_eval_figure_days:{window}"
    slope, error, noise, level = (
        f"model:ml_eval_figure_{name}:{window}" for name in ("trend", "trend_error", "trend_noise", "trend_level")
    )
    moments = f"stdvar_over_time((0 * {DAILY} + time()){days})"
    judged, freedom = f"{count} >= {LEAST_DAYS}", f"({count} - 2)"
    half = f"({student(Z, freedom)}) * {error}"
    return [
        Rule(count, f"count_over_time({DAILY}{days})", "Days with enough labels."),
        Rule(slope, f"86400 * deriv({DAILY}{days}) and {judged}", "Change a day."),
        Rule(
            error,
            f"86400 * sqrt(clamp_min(stdvar_over_time({DAILY}{days}) / {moments}\n"
            f"  - ({slope} / 86400) ^ 2, 0) / {freedom})",
            "Standard error, from how the days scatter about the line.",
        ),
        Rule(f"model:ml_eval_figure_trend_low:{window}", f"{slope} - {half}"),
        Rule(f"model:ml_eval_figure_trend_high:{window}", f"{slope} + {half}"),
        Rule(
            noise,
            f"({student(NULL_Z, freedom)}) * {error}",
            "What 1 of 4,300 figures without a trend exceeds in one direction.",
        ),
        Rule(level, f"predict_linear({DAILY}{days}, 0) and {judged}", "The line now."),
    ]


def crossing(window: str) -> list[Rule]:
    """When that line crosses the limit, and whether this is decay."""
    slope, noise, level, limit, left = (
        f"model:ml_eval_figure_{name}:{window}"
        for name in ("trend", "trend_noise", "trend_level", "trend_limit", "days_left")
    )
    days, kept = f"[{window}:1d]", f"on ({MODEL}) group_left ()"
    worse = f"(-{of(slope, FALLING)} or {of(slope, ERRORS)})"
    room = f"({of(level, FALLING)} - {limit} or {limit} - {of(level, ERRORS)})"
    return [
        Rule(
            limit,
            f"{of(REFERENCE, FALLING)} - {LIMIT}\n"
            f"or {of(REFERENCE, ERRORS)} + {LIMIT}\n"
            f"or avg_over_time({of(DAILY, FALLING)}{days}) - {kept} last_over_time({POINTS_LIMIT}{days})\n"
            f"or avg_over_time({of(DAILY, ERRORS)}{days}) * {kept} (1 + last_over_time({SHARE_LIMIT}{days}))",
            "Worse than in training by what is of practical size; without a reference, worse than in these days.",
        ),
        Rule(left, f"({room} >= 0) / ({worse} > 0)", "Days until the line crosses the limit."),
        Rule(
            f"model:ml_eval_figure_decay:{window}",
            f"({worse} > bool {noise}) * ({left} < bool {SOON})\nor 0 * {slope}",
            f"1 if the figure becomes worse, by more than chance explains, and crosses the limit within {SOON} days.",
        ),
    ]


def decay() -> RuleGroup:
    """All rules about decay."""
    figures = of(f"model:ml_eval_figure:{SLOW}", f"{FALLING}|{ERRORS}")
    judged = f"{figures}\nand model:ml_eval_figure_labels:{SLOW} >= {LEAST_LABELS}"
    age = f"(time() - max by ({MODEL}) ({newest('ml_model_train_timestamp_seconds')})) / 86400"
    return RuleGroup(
        "otel-ml-decay",
        [
            Rule("model:ml_model_age:days", age, "Days since training."),
            Rule(DAILY, judged, "Figures of days with enough labels."),
            *(rule for window in WINDOWS for rule in (*trend(window), *crossing(window))),
        ],
        "5m",
    )
