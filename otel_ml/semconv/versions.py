"""Names for the comparison of two versions or roles of a model: counts of predictions under one id.

The model's own attributes are those of the challenger.
"""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

PAIR_OUTCOMES: Final = Metric(
    "ml.pair.outcomes",
    "counter",
    "{pair}",
    "Labelled pairs of predictions under one id by which of the two was right.",
)
PAIR_PREDICTIONS: Final = Metric(
    "ml.pair.predictions",
    "counter",
    "{pair}",
    "Labelled pairs by the two predicted classes; of a regression without classes.",
)
PAIR_ABSOLUTE_ERROR: Final = Metric(
    "ml.pair.absolute_error", "counter", "1", "Sum of the baseline's absolute errors (regression)."
)
PAIR_ERROR_DIFFERENCE: Final = Metric(
    "ml.pair.error_difference",
    "counter",
    "1",
    "Sum of the differences of the absolute errors, challenger minus baseline, by direction (regression).",
)
PAIR_ERROR_DIFFERENCE_SQUARES: Final = Metric(
    "ml.pair.error_difference.squares",
    "counter",
    "1",
    "Sum of the squares of these differences, for the interval.",
)
PAIR_PREDICTION_DIFFERENCE: Final = Metric(
    "ml.pair.prediction_difference",
    "counter",
    "1",
    "Sum of the differences of the predictions, challenger minus baseline, by direction (regression).",
)
PAIR_VERSION: Final = "ml.pair.version"
"""Version of the baseline."""
PAIR_ROLE: Final = "ml.pair.role"
"""Role of the baseline, mostly ``primary``."""
PAIR_OUTCOME: Final = "ml.pair.outcome"
"""Which of the two was right, one of `PAIR_OUTCOME_VALUES`."""
PAIR_OUTCOME_VALUES: Final = ("both", "only_baseline", "only_challenger", "neither")
PAIR_BASELINE: Final = "ml.pair.baseline"
"""Class that the baseline predicted."""
PAIR_CHALLENGER: Final = "ml.pair.challenger"
"""Class that the challenger predicted."""
PAIR_VERDICT: Final = "ml.pair.verdict"
"""The verdict on the challenger, one of `PAIR_VERDICTS`; only in recorded series."""
PAIR_VERDICTS: Final = ("better", "worse", "no difference seen", "not enough data")
