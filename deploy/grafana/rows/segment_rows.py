"""The row about segments: each value of a column against the rest of its column."""

from __future__ import annotations

from rows.panels import (
    CHOSEN,
    CHOSEN_REPLICAS,
    LIMIT,
    MODEL,
    MODEL_COLUMNS,
    NAME,
    RATE,
    SHARE,
    VERSION,
    Json,
    Panel,
    Row,
    coloured,
    joined,
    limit_of,
    newest,
    quantile,
    query,
    styled,
)

BY_SEGMENT = f"by ({VERSION}, ml_segment_name, ml_segment_value)"
LABELS = f"{MODEL}, ml_segment_name, ml_segment_value"
SEGMENT = f"{{{{ml_segment_name}}}}={{{{ml_segment_value}}}} {NAME}"
LABELLED = 'ml_eval_figure=~"accuracy|mae"'


def chosen(series: str, matchers: str = "") -> str:
    """Selects the series of the chosen models."""
    return f"{series}{{{CHOSEN}{', ' if matchers else ''}{matchers}}}"


def by_segment(series: str, *more: str) -> list[Json]:
    """A series of each segment, and others beside it."""
    return [
        query(chosen(series), SEGMENT),
        *(query(chosen(each), f"{each.split(':')[1].removeprefix('ml_')} of {SEGMENT}") for each in more),
    ]


def greatest(series: str, matchers: str = "") -> str:
    return f"max {BY_SEGMENT} ({chosen(series, matchers)})"


TABLE = {
    "Failed": greatest("segment:ml_error_ratio:$window"),
    "Worse": greatest("segment:ml_worse:$window"),
    "Accuracy": greatest("segment:ml_accuracy:$window"),
    "Mean error": greatest("segment:ml_mae:$window"),
    "Worse than rest by": greatest("segment:ml_gap:$window", LABELLED),
    "Standard deviations": greatest("segment:ml_gap_z:$window", LABELLED),
    "Labels": f"sum {BY_SEGMENT} ({chosen('segment:ml_labels:$window')})",
    "Score shift": greatest("segment:ml_score_shift:$window"),
}
WORSE = {"0": {"text": "as the rest", "color": "green"}, "1": {"text": "worse", "color": "red"}}
HEADINGS = {"ml_segment_name": "Column", "ml_segment_value": "Segment", **MODEL_COLUMNS}
SEGMENTS = Row(
    "Segments",
    [
        Panel(
            "Segments",
            "Each value of a column against the rest of its column. Worse: by 5 points (a fifth of the mean error), "
            "and by more than chance explains over all segments of the column, with at least 30 rows.",
            [newest(expr) for expr in TABLE.values()],
            kind="table",
            width=24,
            options={"sortBy": [{"displayName": "Standard deviations", "desc": True}]},
            overrides=[
                coloured("Worse", WORSE),
                styled("/^(Accuracy|Mean error|Worse than.*|Failed|Score shift)$/", decimals=4),
            ],
            transformations=joined(TABLE, first="Worse", **HEADINGS),
        ),
        Panel(
            "Accuracy by Segment",
            "Share of labelled predictions that were correct, by arrival time of the labels.",
            by_segment("segment:ml_accuracy:$window"),
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "Mean Absolute Error by Segment",
            "Of regressions, in the unit of the label.",
            by_segment("segment:ml_mae:$window"),
            defaults={"min": 0},
        ),
        Panel(
            "Error Rate by Segment",
            "Share of rows whose prediction failed.",
            by_segment("segment:ml_error_ratio:$window"),
            unit="percentunit",
            defaults={"min": 0},
        ),
        Panel(
            "Latency by Segment (p95)",
            "From six buckets, the last of which begins at 2.5 s.",
            [query(quantile(0.95, "ml_segment_duration_seconds_bucket", LABELS), SEGMENT)],
            unit="s",
            defaults={"min": 0},
        ),
        Panel(
            "Predictions by Segment",
            "Rows per second.",
            [
                query(
                    f"sum by ({LABELS}) (rate(ml_segment_predictions_total{{{CHOSEN_REPLICAS}}}[{RATE}]))",
                    SEGMENT,
                )
            ],
            unit="suffix: /s",
            defaults={"min": 0},
        ),
        Panel(
            "Score Shift by Segment",
            "PSI of the scores of a segment against the rest of its column, and what it stays below by chance in 999 "
            "of 1,000 windows.",
            by_segment("segment:ml_score_shift:$window", "segment:ml_score_shift_noise:$window"),
            defaults={"min": 0},
        ),
        Panel(
            "Missing Values by Segment",
            "Missing feature values per row.",
            by_segment("segment:ml_missing_values:ratio$window"),
            defaults={"min": 0},
        ),
        Panel(
            "Selection Rate by Segment",
            "Share of each class among the predictions of a binary model.",
            [query(chosen("segment:ml_selection_rate:$window"), f"{{{{ml_prediction_class}}}} for {SEGMENT}")],
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "Selection Ratio",
            "Lowest over highest selection rate of each class; the four-fifths rule of thumb asks for 0.8.",
            [
                query(
                    chosen("segment:ml_selection_ratio:$window"),
                    f"{{{{ml_prediction_class}}}} by {{{{ml_segment_name}}}} {NAME}",
                ),
                limit_of("model:ml_segment_selection_ratio:limit"),
            ],
            width=12,
            defaults=SHARE,
            overrides=[LIMIT],
        ),
        Panel(
            "True and False Positive Rate Differences",
            "Highest minus lowest rate over the segments of a column; with equal rates for equal labels both are 0.",
            [
                query(chosen(f"segment:ml_{name}_rate_difference:$window"), f"{text} by {{{{ml_segment_name}}}} {NAME}")
                for name, text in (("true_positive", "true positives"), ("false_positive", "false positives"))
            ],
            width=12,
            defaults=SHARE,
        ),
    ],
)
"""Empty for models without segment columns."""
