"""Names for inputs and their reference: bins, missing values, violations."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

FEATURE_VALUES: Final = Metric("ml.feature.values", "counter", "{value}", "Values that fell into one bin of a feature.")
FEATURE_MISSING: Final = Metric("ml.feature.missing", "counter", "{value}", "Missing values of a feature.")
FEATURE_REFERENCE_SHARE: Final = Metric(
    "ml.feature.reference.share", "gauge", "1", "Smoothed share of one bin in the training reference."
)
FEATURE_REFERENCE_SIZE: Final = Metric(
    "ml.feature.reference.size", "gauge", "{value}", "Values of the feature in the training reference."
)
FEATURE_WINDOW_VALUES: Final = Metric(
    "ml.feature.window.values",
    "gauge",
    "{value}",
    "Values in one bin of a feature in a window that the profile has saved.",
)
FEATURE_EXPECTED_SHARE: Final = Metric(
    "ml.feature.expected.share",
    "gauge",
    "1",
    "Share of a feature's values that is expected to be missing, invalid, unseen or out of range.",
)
DATA_VIOLATIONS: Final = Metric("ml.data.violations", "counter", "{violation}", "Broken rules of the input schema.")
DATA_INVALID_PREDICTIONS: Final = Metric(
    "ml.data.invalid_predictions", "counter", "{prediction}", "Predicted rows with at least one violation."
)
PROFILE_ID: Final = "ml.profile.id"
"""Id of the reference profile."""
FEATURE_NAME: Final = "ml.feature.name"
"""Name of the feature."""
FEATURE_BIN: Final = "ml.feature.bin"
"""Label of the bin: a range of numbers or a category."""
FEATURE_FINDING: Final = "ml.feature.finding"
"""What is wrong with a feature, one of `FINDINGS`."""
FEATURE_PERIODIC: Final = "ml.feature.periodic"
"""``true`` for a feature that follows the clock, whose distribution in a window is no evidence of drift."""
REFERENCE: Final = "ml.reference"
"""Name of the reference profile, absent if that is ``training``; in the rules, which reference a figure is about."""
TRAINING: Final = "training"
"""The name of a profile that nobody named."""
LAST_WEEK: Final = "last_week"
"""In the rules: the same window a week ago."""
PREVIOUS_VERSION: Final = "previous_version"
"""In the rules: what the version before has counted."""
RULE_NAME: Final = "ml.rule.name"
"""The broken rule, one of `RULES`."""
PREDICTION_FEATURE: Final = "__prediction__"
"""Feature name under which the output itself is binned and compared with the reference."""
UNSEEN: Final = "__unseen__"
"""Bin of the categories that the reference does not have."""
ABSENT: Final = "absent"
"""The rows do not have the column."""
INVALID: Final = "invalid"
"""Values of another type, or infinite ones."""
MISSING: Final = "missing"
"""More or fewer missing values than in training, those of absent columns included."""
UNSEEN_CATEGORIES: Final = "unseen"
"""Categories that the reference does not have."""
OUT_OF_RANGE: Final = "out_of_range"
"""Numbers outside the range of the reference."""
DRIFTED: Final = "drifted"
"""The distribution differs from that of the reference."""
FINDINGS: Final = (ABSENT, INVALID, MISSING, UNSEEN_CATEGORIES, OUT_OF_RANGE, DRIFTED)
"""What can be wrong with a feature, the most severe first."""
RULES: Final = (
    "missing_column",
    "extra_column",
    "type",
    "null",
    "non_finite",
    "range_low",
    "range_high",
    "domain",
    "pattern",
    "length",
    "shape",
)
