"""What is kept of a column of training data: the same for the same values, in any order and any partition.

Every part of a summary is a function of the values and their counts alone, and has a bounded size: nested buckets,
exact counts up to a limit, sums, and samples by hash. Needs numpy; nothing here is used during a prediction.
"""

from __future__ import annotations

from otel_ml.quality.summaries._column import MOST_CATEGORIES, ColumnSummary, TextCounts
from otel_ml.quality.summaries._numbers import NumberSummary
from otel_ml.quality.summaries._weighted import WeightedNumbers

__all__ = ["MOST_CATEGORIES", "ColumnSummary", "NumberSummary", "TextCounts", "WeightedNumbers"]
