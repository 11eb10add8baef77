"""Whether a figure is worse than in training, by more than chance explains. The recording rules repeat the formula."""

from __future__ import annotations

import math
from typing import Final

from otel_ml._distances import NULL_Z
from otel_ml._figures.intervals import Estimate, Z

RISING: Final = frozenset(
    {"brier_score", "log_loss", "ece", "hamming_loss", "mae", "rmse", "error_p50", "error_p90", "error_p99"}
)
"""Figures of which more is worse; a bias is worse away from 0."""


def is_worse(name: str, found: Estimate, training: float | None, rows: float = 0, training_rows: float = 0) -> bool:
    """Returns whether chance explains the difference in fewer than 1 of 1,000 windows; a bias has no worse side.

    Args:
        name: The figure.
        found: What it is now; without an interval it is not judged.
        training: What it was in training.
        rows: Labels behind the figure.
        training_rows: Rows behind that of training; 0 if it is exact, or has its part in the interval.
    """
    value, interval = found
    if training is None or value is None or interval is None or name == "bias":
        return False
    low, high = interval
    decline, half = (value - training, value - low) if name in RISING else (training - value, high - value)
    return decline > NULL_Z / Z * half * math.sqrt(1 + (rows / training_rows if training_rows else 0))
