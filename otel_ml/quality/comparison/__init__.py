"""What changed between a data set and the reference: verdicts, figures, table and page."""

from __future__ import annotations

from otel_ml.quality.comparison._comparison import Comparison
from otel_ml.quality.comparison._feature_drift import BinShare, FeatureDrift, compare_counts, sort_by_severity
from otel_ml.quality.comparison._periods import By, Period, holds_moments, split_periods, take_rows

__all__ = [
    "BinShare",
    "By",
    "Comparison",
    "FeatureDrift",
    "Period",
    "compare_counts",
    "holds_moments",
    "sort_by_severity",
    "split_periods",
    "take_rows",
]
