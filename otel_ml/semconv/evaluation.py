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
EVAL_SCORE_BIN_COUNT: Final = Metric(
    "ml.eval.score_bin", "counter", "{prediction}", "Labelled predictions by actual class and score bin."
)
EVAL_ABSOLUTE_ERROR: Final = Metric("ml.eval.absolute_error", "counter", "1", "Sum of absolute errors (regression).")
EVAL_SQUARED_ERROR: Final = Metric("ml.eval.squared_error", "counter", "1", "Sum of squared errors (regression).")
EVAL_PREDICTIONS: Final = Metric("ml.eval.predictions", "counter", "{prediction}", "Labelled predictions (regression).")
EVAL_PREDICTED: Final = "ml.eval.predicted"
"""The predicted class."""
EVAL_ACTUAL: Final = "ml.eval.actual"
"""The true class."""
EVAL_LABEL_STATE: Final = "ml.eval.label.state"
"""``matched``, ``waiting`` (no such prediction yet), ``duplicate``, ``revised``, ``outdated``, ``expired`` or
``failed``."""
EVAL_LABEL_REASON: Final = "ml.eval.label.reason"
"""Why a label failed, one of `LABEL_REASONS`."""
LABEL_REASONS: Final = ("unreadable", "several_values", "moment", "undeclared_class", "several_models", "store")
EVAL_BIN: Final = "ml.eval.bin"
"""Number of the score bin."""
LABEL_VALUE: Final = "ml.label.value"
"""Canonical text of the true class, or the true number as text."""
LABEL_CORRECT: Final = "ml.label.correct"
"""Whether prediction and label agree, a bool; absent for regression."""
LABEL_EVENT: Final = "ml.label"
"""Name of the event of one label."""
