"""The rows about performance from labels: all tasks, classes and their scores, regressions."""

from __future__ import annotations

from typing import Any

from rows.panels import (
    CHOSEN,
    CHOSEN_REPLICAS,
    DASHED,
    INTERVAL,
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
    newest,
    query,
    styled,
)

ARRIVAL = "by arrival time of the labels"
FIGURE = "{{ml_eval_figure}}"
LABEL_STATES = f"sum by ({MODEL}, ml_eval_label_state) (increase(ml_eval_labels_total{{{CHOSEN_REPLICAS}}}[{RATE}]))"
BY_FIGURE = f"by ({VERSION}, ml_eval_figure)"


def of(series: str, figures: str = ".+") -> str:
    """Selects figures of the chosen models."""
    return f'{series}{{{CHOSEN}, ml_eval_figure=~"{figures}"}}'


def with_interval(figures: str) -> list[Json]:
    """A figure, the ends of its 95 % interval, and its value in training."""
    series = {
        "": "model:ml_eval_figure:$window",
        "low of ": "model:ml_eval_figure_low:$window",
        "high of ": "model:ml_eval_figure_high:$window",
        "training ": "model:ml_eval_reference:max",
    }
    return [query(of(each, figures), f"{name}{FIGURE} {NAME}") for name, each in series.items()]


LINES = [INTERVAL, styled("/^training /", custom__lineStyle=DASHED)]


def figures(title: str, description: str, names: str, **more: Any) -> Panel:
    """A panel of some figures with their intervals and training."""
    described = f"{description} Dotted: the 95 % interval; dashed: training."
    return Panel(title, described, with_interval(names), overrides=LINES, **more)


def greatest(series: str) -> str:
    return f"max {BY_FIGURE} ({of(series)})"


TABLE = {
    "Now": greatest("model:ml_eval_figure:$window"),
    "Low": greatest("model:ml_eval_figure_low:$window"),
    "High": greatest("model:ml_eval_figure_high:$window"),
    "Training": f"max {BY_FIGURE} ({of('model:ml_eval_reference:max')} and {of('model:ml_eval_figure:$window')})",
    "Labels": f"sum {BY_FIGURE} ({of('model:ml_eval_figure_labels:$window')})",
    "Worse": greatest("model:ml_eval_figure_worse:$window"),
}
WORSE = {"0": {"text": "as in training", "color": "green"}, "1": {"text": "worse", "color": "red"}}
PERFORMANCE = Row(
    f"Live performance, {ARRIVAL}",
    [
        Panel(
            "Figures and Training",
            "Each figure of the task with its 95 % interval, its value in training and its number of labels. Worse: by "
            "a practical size and more than chance explains, with at least 100 labels.",
            [newest(expr) for expr in TABLE.values()],
            kind="table",
            width=12,
            options={"sortBy": [{"displayName": "Worse", "desc": True}]},
            overrides=[
                coloured("Worse", WORSE),
                styled("/^(Now|Low|High|Training)$/", decimals=4),
            ],
            transformations=joined(TABLE, ml_eval_figure="Figure", **MODEL_COLUMNS),
        ),
        Panel(
            "Labelled Predictions",
            "Number of labels behind this row: below about 100 the figures are mostly chance.",
            [query(f"max by ({MODEL}) (model:ml_eval_figure_labels:$window{{{CHOSEN}}})")],
            width=4,
            defaults={"min": 0, "decimals": 0},
        ),
        Panel(
            "Label Coverage and Fate",
            "Labels received per predicted row, and all labels by state.",
            [
                query(f"model:ml_eval_labels:coverage$window{{{CHOSEN}}}", f"coverage {NAME}"),
                query(LABEL_STATES, f"{{{{ml_eval_label_state}}}} {NAME}"),
            ],
            width=4,
            defaults={"min": 0},
            overrides=[styled("/^coverage/", unit="percentunit", custom__axisPlacement="right")],
        ),
        Panel(
            "Label Lag (median)",
            "Time from a prediction to its label.",
            [query(f"model:ml_eval_label_lag_seconds:p50_$window{{{CHOSEN}}}")],
            unit="s",
            width=4,
            defaults={"min": 0},
        ),
        Panel(
            "Distribution of Labels",
            "Share of each bin of the labels now and in training.",
            [
                newest(f'max by (ml_feature_bin) ({series}{{{CHOSEN}, ml_feature_name="__label__"}})')
                for series in ("bin:ml_feature_reference_share:max", "bin:ml_feature_share:smoothed$window")
            ],
            kind="barchart",
            unit="percentunit",
            width=8,
            options={"xField": "ml_feature_bin", "xTickLabelRotation": -45},
            transformations=joined(("training", "now")),
        ),
        Panel(
            "PSI of Labels",
            "Distance of the labels from those of training, and what it stays below without drift in 999 of 1,000 "
            "windows.",
            [
                query(f'feature:ml_feature_{name}:$window{{{CHOSEN}, ml_feature_name="__label__"}}', f"{name} {NAME}")
                for name in ("psi", "psi_noise")
            ],
            width=8,
            defaults={"min": 0},
        ),
        figures(
            "Ranking",
            "NDCG, reciprocal rank and hit rate among the first 10 items; empty for other tasks.",
            "ndcg|reciprocal_rank|hit_rate",
            width=8,
            defaults=SHARE,
        ),
    ],
)
"""What every task has, and rankings."""


def by_class(name: str) -> Json:
    return query(f"class:ml_eval_{name}:$window{{{CHOSEN}}}", f"{name} of {{{{ml_eval_class}}}} {NAME}")


CLASSES = Row(
    f"Classes, {ARRIVAL}",
    [
        figures(
            "Accuracy",
            "Share of labelled predictions that were correct.",
            "accuracy",
            unit="percentunit",
            defaults=SHARE,
        ),
        figures(
            "Precision, Recall and F1",
            "Of the positive class of a binary model, else the mean over the classes.",
            "precision|recall|f1",
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "Precision, Recall and F1 by Class",
            "Each class against the rest. Precision is absent for a class that was never predicted.",
            [by_class(name) for name in ("precision", "recall", "f1")],
            unit="percentunit",
            defaults=SHARE,
        ),
        figures(
            "Exact Match and Hamming Loss",
            "Multilabel: share of predictions whose whole set is right, and of wrong decisions; empty for other tasks.",
            "exact_match|hamming_loss",
            unit="percentunit",
            defaults=SHARE,
        ),
        Panel(
            "AUC by Class",
            "For the class whose probability the score is. Computed from 50 score bins: the exact value differs by at "
            "most the bound.",
            [by_class("auc"), by_class("auc_bound")],
            defaults=SHARE,
        ),
        Panel(
            "Average Precision by Class",
            "Area under the precision-recall curve of the scores rounded to 50 bins, and the least and the most that "
            "the exact one can be.",
            [by_class(f"average_precision{end}") for end in ("", "_least", "_most")],
            defaults=SHARE,
        ),
        figures(
            "AUC and Average Precision",
            "Of the positive class, or the mean over the classes, for which average precision has no interval.",
            "auc|average_precision",
            defaults=SHARE,
        ),
        figures(
            "Brier Score and Log Loss",
            "Mean over the labelled predictions; less is better.",
            "brier_score|log_loss",
            defaults={"min": 0},
        ),
        Panel(
            "Reliability Curve",
            "Share of positives among the predictions of each tenth of the score, beside their mean score: of a "
            "calibrated model both are the same. The bin is the number of the first of 50 score bins.",
            [
                newest(f"max by (ml_eval_class, calibration_bin) (calibration_bin:ml_eval_{name}{{{CHOSEN}}})")
                for name in ("mean_score:$window", "positives:share$window")
            ],
            kind="barchart",
            unit="percentunit",
            width=12,
            options={"xField": "calibration_bin"},
            transformations=joined(("mean score", "share of positives")),
        ),
        Panel(
            "Calibration Error by Class",
            "Expected calibration error over ten bins, and what a perfectly calibrated model stays below in 999 of "
            "1,000 windows of this size; dashed: the model in training.",
            [
                by_class("ece"),
                by_class("ece_noise"),
                query(of("model:ml_eval_reference:max", "ece"), f"training {FIGURE} {NAME}"),
            ],
            unit="percentunit",
            width=12,
            defaults={"min": 0},
            overrides=LINES,
        ),
    ],
)
"""Binary, multiclass and multilabel models."""

REGRESSION = Row(
    f"Regression, {ARRIVAL}",
    [
        figures("Mean Absolute Error", "In the unit of the label.", "mae", defaults={"min": 0}),
        figures(
            "Root Mean Squared Error", "In the unit of the label; large errors count more.", "rmse", defaults={"min": 0}
        ),
        figures("Bias", "Mean of prediction minus label: above 0 the predictions are too high.", "bias"),
        figures(
            "Error Quantiles",
            "Half, nine of ten, and 99 of 100 absolute errors are below these; exact to a bin, which is 26 % wide.",
            "error_p50|error_p90|error_p99",
            defaults={"min": 0},
        ),
    ],
)
"""Empty without a regression model."""
