"""The row about performance before labels: estimates, beside training, and how wrong they turned out to be."""

from __future__ import annotations

from rows.panels import (
    CHOSEN_REPLICAS,
    MODEL,
    MODEL_COLUMNS,
    NAME,
    RATE,
    SHARE,
    Json,
    Panel,
    Row,
    joined,
    newest,
    query,
    styled,
)
from rows.performance_rows import BY_FIGURE, FIGURE, LINES, greatest, of

ASSUMES = "An estimate: it holds as long as a score means what it did in training."
PREDICTIONS = f"sum by ({MODEL}) (rate(ml_estimate_predictions_total{{{CHOSEN_REPLICAS}}}[{RATE}]))"


def figures(names: str) -> list[Json]:
    """An estimated figure with its interval, its value in training, and what labels say."""
    series = {
        "estimated ": "model:ml_estimate_figure:$window",
        "low of ": "model:ml_estimate_figure_low:$window",
        "high of ": "model:ml_estimate_figure_high:$window",
        "training ": "model:ml_eval_reference:max",
        "labels ": "model:ml_eval_figure:$window",
    }
    return [query(of(each, names), f"{name}{FIGURE} {NAME}") for name, each in series.items()]


TABLE = {
    "Estimate": greatest("model:ml_estimate_figure:$window"),
    "Low": greatest("model:ml_estimate_figure_low:$window"),
    "High": greatest("model:ml_estimate_figure_high:$window"),
    "Training": f"max {BY_FIGURE} ({of('model:ml_eval_reference:max')} and {of('model:ml_estimate_figure:$window')})",
    "Gap to labels": greatest("model:ml_estimate_gap:$window"),
}
ESTIMATES = Row(
    "Estimated performance, before labels",
    [
        Panel(
            "Estimates",
            f"{ASSUMES} The interval is that of the figure which labels will show; the gap is estimated minus realised "
            "figure of the predictions that have labels.",
            [newest(expr) for expr in TABLE.values()],
            kind="table",
            width=8,
            defaults={"decimals": 4},
            transformations=joined(TABLE, ml_eval_figure="Figure", **MODEL_COLUMNS),
        ),
        Panel(
            "Estimated F1",
            f"{ASSUMES} Dotted: its 95 % interval; dashed: training; `labels`: what came true.",
            figures("f1"),
            unit="percentunit",
            width=5,
            defaults=SHARE,
            overrides=LINES,
        ),
        Panel(
            "Estimated Accuracy and AUC",
            f"{ASSUMES} Dotted: the 95 % interval; dashed: training; `labels`: what came true.",
            figures("accuracy|auc"),
            unit="percentunit",
            width=6,
            defaults=SHARE,
            overrides=LINES,
        ),
        Panel(
            "Estimated - Realised",
            "Gap of the predictions that have labels. Far from 0, a score no longer means what it did in training "
            "(concept drift): trust no estimate of this version.",
            [
                query(of("model:ml_estimate_gap:$window"), f"{FIGURE} {NAME}"),
                query(PREDICTIONS, f"predictions/s {NAME}"),
            ],
            width=5,
            overrides=[styled("/^predictions/", custom__axisPlacement="right", custom__lineWidth=1)],
        ),
    ],
)
