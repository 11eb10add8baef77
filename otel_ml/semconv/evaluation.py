"""Names for measured performance: counts that can be merged."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

LAG_BUCKETS: Final = (60, 600, 3600, 21600, 86400, 259200, 604800, 1209600, 2592000)
"""Seconds from a minute to 30 days."""
EVAL_OUTCOMES: Final = Metric(
    "ml.eval.outcomes", "counter", "{prediction}", "Labelled predictions by predicted and actual class."
)
EVAL_LABELS: Final = Metric("ml.eval.labels", "counter", "{label}", "Labels by state.")
EVAL_LABEL_LAG: Final = Metric(
    "ml.eval.label.lag", "histogram", "s", "Time from a prediction to its label.", LAG_BUCKETS
)
EVAL_CLASS_OUTCOMES: Final = Metric(
    "ml.eval.class_outcomes",
    "counter",
    "{prediction}",
    "Labelled predictions of a multilabel model by class: predicted or not, true or not.",
)
EVAL_SCORE_BIN_COUNT: Final = Metric(
    "ml.eval.score_bin",
    "counter",
    "{prediction}",
    "Labelled predictions by class, whether it is the true one, and bin of the probability that the model gave it.",
)
EVAL_SCORE_SUM: Final = Metric(
    "ml.eval.score_sum", "counter", "1", "Sum of the probabilities of labelled predictions by class and score bin."
)
EVAL_PREDICTIONS: Final = Metric(
    "ml.eval.predictions", "counter", "{prediction}", "Labelled predictions that the sums of errors and scores are of."
)
EVAL_ABSOLUTE_ERROR: Final = Metric(
    "ml.eval.absolute_error", "counter", "1", "Sum of absolute errors (regression) by direction."
)
EVAL_SQUARED_ERROR: Final = Metric("ml.eval.squared_error", "counter", "1", "Sum of squared errors (regression).")
EVAL_SQUARED_ERROR_SQUARES: Final = Metric(
    "ml.eval.squared_error.squares", "counter", "1", "Sum of the squares of squared errors, for the interval."
)
EVAL_ERROR_BIN: Final = Metric(
    "ml.eval.error_bin",
    "counter",
    "{prediction}",
    "Labelled predictions whose absolute error is at most the bound of the bin (regression).",
)
EVAL_BRIER_SCORE: Final = Metric("ml.eval.brier_score", "counter", "1", "Sum of the Brier scores.")
EVAL_BRIER_SCORE_SQUARES: Final = Metric(
    "ml.eval.brier_score.squares", "counter", "1", "Sum of the squares of the Brier scores, for the interval."
)
EVAL_LOG_LOSS: Final = Metric("ml.eval.log_loss", "counter", "1", "Sum of the log losses, in nats.")
EVAL_LOG_LOSS_SQUARES: Final = Metric(
    "ml.eval.log_loss.squares", "counter", "1", "Sum of the squares of the log losses, for the interval."
)
EVAL_EXACT_MATCHES: Final = Metric(
    "ml.eval.exact_matches", "counter", "{prediction}", "Labelled predictions whose set of classes is the true one."
)
EVAL_NDCG: Final = Metric("ml.eval.ndcg", "counter", "1", "Sum of NDCG@10 (ranking).")
EVAL_NDCG_SQUARES: Final = Metric(
    "ml.eval.ndcg.squares", "counter", "1", "Sum of the squares of NDCG@10, for the interval."
)
EVAL_RECIPROCAL_RANK: Final = Metric(
    "ml.eval.reciprocal_rank", "counter", "1", "Sum of the reciprocal ranks within the first 10 (ranking)."
)
EVAL_RECIPROCAL_RANK_SQUARES: Final = Metric(
    "ml.eval.reciprocal_rank.squares", "counter", "1", "Sum of the squares of the reciprocal ranks, for the interval."
)
EVAL_HITS: Final = Metric(
    "ml.eval.hits", "counter", "{prediction}", "Labelled predictions with a relevant item among the first 10 (ranking)."
)
EVAL_LABEL_BIN: Final = Metric(
    "ml.eval.label_bin",
    "counter",
    "{prediction}",
    "Labelled predictions by bin of the label; the reference has the bins of the feature ``__label__``.",
)
EVAL_REFERENCE: Final = Metric(
    "ml.eval.reference", "gauge", "{figure}", "A figure of the model's performance on the data of the reference."
)
EVAL_REFERENCE_SIZE: Final = Metric(
    "ml.eval.reference.size", "gauge", "{prediction}", "Labelled rows that the figures of the reference are of."
)
EVAL_CLASS: Final = "ml.eval.class"
"""The class that is compared with all others; of a binary model the positive one."""
EVAL_IS_ACTUAL: Final = "ml.eval.is_actual"
"""``true`` if the class is the true one, else ``false``."""
EVAL_OUTCOME: Final = "ml.eval.outcome"
"""Of one class: ``tp``, ``fp``, ``fn`` or ``tn``. Of a segment without a positive class: ``correct`` or ``wrong``."""
EVAL_DIRECTION: Final = "ml.eval.direction"
"""``over`` if the prediction is above the label, ``under`` if it is below."""
EVAL_FIGURE: Final = "ml.eval.figure"
"""A figure of performance, one of `FIGURES`."""
FIGURES: Final = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "auc",
    "average_precision",
    "brier_score",
    "log_loss",
    "ece",
    "exact_match",
    "hamming_loss",
    "mae",
    "rmse",
    "bias",
    "error_p50",
    "error_p90",
    "error_p99",
    "ndcg",
    "reciprocal_rank",
    "hit_rate",
)
"""Precision, recall and F1 are those of the positive class of a binary model, else the mean over the classes, as are
the AUC (one against the rest), the average precision and the calibration error. Errors are those of regressions."""
SCORE_FIGURES: Final = ("auc", "average_precision", "brier_score", "log_loss", "ece")
"""Those of the scores, or of the probability of each class."""
MAIN_FIGURES: Final = ("accuracy", "exact_match", "mae", "ndcg")
"""Those by which a model is followed unless another one is named; a task has one of them."""
LABEL_FEATURE: Final = "__label__"
"""Feature name under which the labels are binned and compared with the reference."""
EVAL_PREDICTED: Final = "ml.eval.predicted"
"""The predicted class."""
EVAL_ACTUAL: Final = "ml.eval.actual"
"""The true class."""
EVAL_LABEL_STATE: Final = "ml.eval.label.state"
"""``matched``, ``waiting`` (no such prediction yet), ``duplicate``, ``revised``, ``outdated``, ``expired`` or
``failed``."""
EVAL_LABEL_REASON: Final = "ml.eval.label.reason"
"""Why a label failed, one of `LABEL_REASONS`."""
LABEL_REASONS: Final = (
    "unreadable",
    "several_values",
    "not_a_number",
    "moment",
    "undeclared_class",
    "several_models",
    "store",
)
EVAL_BIN: Final = "ml.eval.bin"
"""Number of the score bin, or upper bound of the error bin."""
LABEL_VALUE: Final = "ml.label.value"
"""Canonical text of the true class, or the true number as text."""
LABEL_CORRECT: Final = "ml.label.correct"
"""Whether prediction and label agree, a bool; absent for regression."""
LABEL_EVENT: Final = "ml.label"
"""Name of the event of one label."""
