"""Names for segments: predictions, errors, durations, scores and outcomes by the value of one column."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

SEGMENT_COLUMNS: Final = 3
"""Segment columns of a model."""
SEGMENT_VALUES: Final = 12
"""Values of one column that are counted by themselves; the others are counted together as `OTHER`."""
SEGMENT_DURATION_BUCKETS: Final = (0.005, 0.025, 0.1, 0.5, 2.5)
"""Seconds of predictions by segment: some of `DURATION_BUCKETS`."""
SEGMENT_SCORE_BUCKETS: Final = tuple(round(step * 0.1, 1) for step in range(1, 10))
"""9 inner edges: 10 uniform bins in 0..1, two of `SCORE_BUCKETS` each."""
SEGMENT_PREDICTIONS: Final = Metric(
    "ml.segment.predictions",
    "counter",
    "{prediction}",
    "Rows predicted, by segment; of a binary model also by class.",
)
SEGMENT_ERRORS: Final = Metric("ml.segment.errors", "counter", "{error}", "Rows whose prediction failed, by segment.")
SEGMENT_DURATION: Final = Metric(
    "ml.segment.duration",
    "histogram",
    "s",
    "Duration of finished prediction calls of one row, including failed ones, by segment.",
    SEGMENT_DURATION_BUCKETS,
)
SEGMENT_SCORE: Final = Metric(
    "ml.segment.score", "histogram", "1", "Scores of the predicted rows, by segment.", SEGMENT_SCORE_BUCKETS
)
SEGMENT_MISSING: Final = Metric(
    "ml.segment.missing", "counter", "{value}", "Missing feature values in the predicted rows, by segment."
)
EVAL_SEGMENT_OUTCOMES: Final = Metric(
    "ml.eval.segment.outcomes", "counter", "{prediction}", "Labelled predictions by segment and outcome."
)
EVAL_SEGMENT_PREDICTIONS: Final = Metric(
    "ml.eval.segment.predictions",
    "counter",
    "{prediction}",
    "Labelled predictions by segment that the sums of errors are of (regression).",
)
EVAL_SEGMENT_ABSOLUTE_ERROR: Final = Metric(
    "ml.eval.segment.absolute_error", "counter", "1", "Sum of absolute errors by segment (regression)."
)
EVAL_SEGMENT_SQUARED_ERROR: Final = Metric(
    "ml.eval.segment.squared_error", "counter", "1", "Sum of squared errors by segment (regression)."
)
SEGMENT_NAME: Final = "ml.segment.name"
"""Name of the column by whose value predictions are counted."""
SEGMENT_VALUE: Final = "ml.segment.value"
"""Canonical text of the value; `SEGMENT_MISSING_VALUE` or `OTHER`; of a sensitive column a `SEGMENT_GROUP`."""
SEGMENT_MISSING_VALUE: Final = "__missing__"
"""Segment of the predictions without a value in the column."""
SEGMENT_GROUP: Final = "group {number}"
"""Stands for a value of a sensitive column: its number in the closed set."""
