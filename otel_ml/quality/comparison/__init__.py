"""What changed between a data set and the reference: verdicts, figures, table and page."""

from __future__ import annotations

from otel_ml.quality.comparison._comparison import Comparison
from otel_ml.quality.comparison._feature_drift import BinShare, FeatureDrift, compare_counts, in_order
from otel_ml.quality.comparison._periods import By, Period, holds_moments, split, take

__all__ = [
    "BinShare",
    "By",
    "Comparison",
    "FeatureDrift",
    "Period",
    "compare_counts",
    "holds_moments",
    "in_order",
    "split",
    "take",
]
