"""Names for the estimate of performance before labels: sums of calibrated probabilities, which add up."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

ESTIMATE_PREDICTIONS: Final = Metric(
    "ml.estimate.predictions",
    "counter",
    "{prediction}",
    "Predictions whose outcome is estimated, by predicted class.",
)
ESTIMATE_CORRECT: Final = Metric(
    "ml.estimate.correct",
    "counter",
    "{prediction}",
    "How many of them are expected to be right: sum of the calibrated probabilities of the predicted class.",
)
ESTIMATE_CORRECT_VARIANCE: Final = Metric(
    "ml.estimate.correct.variance", "counter", "1", "Variance of the expected right predictions: sum of c (1 - c)."
)
ESTIMATE_MISSED: Final = Metric(
    "ml.estimate.missed",
    "counter",
    "{prediction}",
    "How many predictions of another class are expected to be of this one; of a binary model the positive class.",
)
ESTIMATE_MISSED_VARIANCE: Final = Metric(
    "ml.estimate.missed.variance", "counter", "1", "Variance of the expected missed ones: sum of c (1 - c)."
)
ESTIMATE_SCORE_BIN: Final = Metric(
    "ml.estimate.score_bin", "counter", "{prediction}", "Predictions of a binary model by bin of the score."
)
ESTIMATE_SCORE_SUM: Final = Metric(
    "ml.estimate.score_sum",
    "counter",
    "{prediction}",
    "How many of them are expected to be positive: sum of the calibrated probabilities.",
)
EVAL_ESTIMATE_PREDICTIONS: Final = Metric(
    "ml.eval.estimate.predictions",
    "counter",
    "{prediction}",
    "Labelled predictions whose outcome was estimated, by predicted class.",
)
EVAL_ESTIMATE_CORRECT: Final = Metric(
    "ml.eval.estimate.correct", "counter", "{prediction}", "How many of them were expected to be right."
)
EVAL_ESTIMATE_CORRECT_VARIANCE: Final = Metric(
    "ml.eval.estimate.correct.variance", "counter", "1", "Variance of the expected right ones: sum of c (1 - c)."
)
EVAL_ESTIMATE_MISSED: Final = Metric(
    "ml.eval.estimate.missed",
    "counter",
    "{prediction}",
    "How many labelled predictions of another class were expected to be of this one.",
)
EVAL_ESTIMATE_MISSED_VARIANCE: Final = Metric(
    "ml.eval.estimate.missed.variance", "counter", "1", "Variance of the expected missed ones: sum of c (1 - c)."
)
ESTIMATED_FIGURES: Final = ("accuracy", "precision", "recall", "f1", "auc")
"""The figures that are estimated without labels; a model of several classes has no estimated AUC."""
