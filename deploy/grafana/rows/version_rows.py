"""The rows about versions: two of them beside each other, and the decay of one over days."""

from __future__ import annotations

from rows.panels import (
    CALLS,
    CHOSEN,
    DASHED,
    ERRORS,
    INTERVAL,
    MODEL_COLUMNS,
    NAME,
    VERSION,
    Json,
    Panel,
    Row,
    coloured,
    joined,
    newest,
    quantile,
    query,
    styled,
)
from rows.performance_rows import BY_FIGURE, FIGURE, of

BASELINE = "ml_pair_version, ml_pair_role"
BY_PAIR = f"by ({VERSION}, ml_model_role, {BASELINE})"
AGAINST = f"{NAME} against {{{{ml_pair_version}}}} {{{{ml_pair_role}}}}"
VERDICTS = {
    "better": {"color": "green"},
    "worse": {"color": "red"},
    "no difference seen": {"color": "blue"},
    "not enough data": {"color": "text"},
}


def pair(name: str) -> str:
    return f"pair:ml_pair_{name}{{{CHOSEN}}}"


TABLE = {
    "Pairs or Labels": pair("size:7d"),
    "Needed": pair("needed:7d"),
    "Accuracy": pair("accuracy_difference:7d"),
    "Error": pair("error_difference:7d"),
    "Standard Errors": pair("z:7d"),
    "Boundary": pair("boundary:7d"),
    "Agreement": pair("agreement:7d"),
}
VERSIONS = Row(
    "Versions side by side",
    [
        Panel(
            "Verdict on Each Challenger",
            "By the labels of 7 days. Better or worse: the standard errors exceed the boundary. It may be read at any "
            "time: of comparisons of equal versions fewer than 1 of 100 ever do.",
            [
                newest(f"max {BY_PAIR[:-1]}, ml_pair_verdict) (model:ml_version_verdict{{{CHOSEN}}})"),
                *(newest(f"max {BY_PAIR} ({expr})") for expr in TABLE.values()),
            ],
            kind="table",
            width=24,
            overrides=[
                coloured("Verdict", VERDICTS),
                styled("/^(Accuracy|Error|Agreement)$/", decimals=4),
            ],
            transformations=joined(
                ("1", *TABLE),
                hidden=("1",),
                ml_pair_verdict="Verdict",
                ml_model_role="Role",
                **MODEL_COLUMNS,
                ml_pair_version="Baseline",
                ml_pair_role="Its Role",
            ),
        ),
        Panel(
            "Difference in Accuracy",
            "Share of right predictions of the challenger minus that of the baseline, by the labels of 7 days.",
            [query(pair("accuracy_difference:7d"), AGAINST)],
            unit="percentunit",
            width=8,
        ),
        Panel(
            "Difference in Errors",
            "Mean absolute error of the challenger minus that of the baseline (regression).",
            [query(pair("error_difference:7d"), AGAINST)],
            width=8,
        ),
        Panel(
            "Confusion of the Two Versions",
            "Labelled predictions under the same ids by the class that each version predicted.",
            [newest(f"sum by (ml_pair_baseline, ml_pair_challenger) ({pair('predictions:increase7d')})")],
            kind="table",
            width=8,
            transformations=joined(("Pairs",), ml_pair_baseline="Baseline", ml_pair_challenger="Challenger"),
        ),
        Panel(
            "Latency Side by Side (p95)",
            "By version and role.",
            [query(quantile(0.95, "ml_prediction_duration_seconds_bucket"), exemplar=True)],
            unit="s",
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Errors Side by Side",
            "Share of calls that failed, by version and role.",
            [query(f"({ERRORS} or 0 * {CALLS}) / ({CALLS} > 0)")],
            unit="percentunit",
            width=8,
            defaults={"min": 0},
        ),
        Panel(
            "Scores: Distance from the Primary",
            "Kolmogorov-Smirnov distance over 24 hours, and what 1 of 1,000 windows exceeds by chance.",
            [
                query(pair("score_ks:24h"), f"distance {AGAINST}"),
                query(pair("score_ks_noise:24h"), f"noise {AGAINST}"),
            ],
            width=8,
            defaults={"min": 0, "max": 1},
            overrides=[styled("/^noise/", custom__lineStyle=DASHED)],
        ),
    ],
)
"""Empty without a second version."""


def trend(name: str, legend: str) -> Json:
    return query(of(f"model:ml_eval_figure_{name}:30d"), f"{legend}{FIGURE} {NAME}")


DAYS_LEFT = " or ".join(
    f'label_replace({of(f"model:ml_eval_figure_days_left:{days}d")}, "days", "{days}", "", "")' for days in (14, 30)
)
DECAY = Row(
    "Model age and decay",
    [
        Panel(
            "Model Age",
            "Days since training; empty without `trained_at`.",
            [query(f"model:ml_model_age:days{{{CHOSEN}}}")],
            unit="d",
            width=4,
            defaults={"min": 0},
        ),
        Panel(
            "Figures of Each Day",
            "Figures of 24 hours with at least 100 labels; choose a time range of weeks.",
            [query(of("model:ml_eval_figure_judged:24h"), f"{FIGURE} {NAME}")],
            width=8,
        ),
        Panel(
            "Trend of the Figures",
            "Change a day by the line through 30 days. Dotted: its 95 % interval, from how the days scatter.",
            [trend("trend", ""), trend("trend_low", "low of "), trend("trend_high", "high of ")],
            width=8,
            overrides=[INTERVAL],
        ),
        Panel(
            "Days until the Limit",
            "When the line through 14 and through 30 days reaches what is worse than in training by a practical size; "
            "of figures that become worse.",
            [newest(f"min {BY_FIGURE[:-1]}, days) ({DAYS_LEFT})")],
            kind="table",
            width=4,
            transformations=joined(("Days Left",), ml_eval_figure="Figure", days="By Days", **MODEL_COLUMNS),
        ),
    ],
)
"""Of models with labels for ten days and more."""
