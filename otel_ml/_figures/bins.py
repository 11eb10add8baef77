"""The bins in which scores and errors of labelled predictions are counted, live and in a reference alike."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

SCORE_BINS: Final = 50
"""Uniform bins of a score in 0..1: the AUC from them is within 0.0003 of the exact one on census data."""
SCORE_LABELS: Final = tuple(f"{position:02d}" for position in range(SCORE_BINS))
"""Their names."""
BINNED_CLASSES: Final = 20
"""Classes of one model whose scores are counted in bins. With more of them no class has bins, since a mean over some
classes would mislead."""
CALIBRATION_BINS: Final = 10
"""Uniform bins of the calibration error; each is made of five bins of the score."""
ERROR_BOUNDS: Final = tuple(float(f"{10 ** (step / 10):.6g}") for step in range(-60, 91))
"""Upper bounds of the bins of an absolute error: ten a decade from 1e-6 to 1e9. A last bin has no bound."""
ERROR_LABELS: Final = (*(f"{bound:.6g}" for bound in ERROR_BOUNDS), "+Inf")
"""The bounds as Prometheus reads them."""


def score_bin(score: float) -> int:
    """Returns the bin of a score in 0..1: ``bin / 50 <= score < (bin + 1) / 50``; 1 is in the last bin.

    A score beyond 0 or 1 by rounding is in the first or the last one.
    """
    return min(int(score * SCORE_BINS), SCORE_BINS - 1)


def calibration_bin(position: int) -> int:
    """Returns the bin of the calibration error that a score bin is part of."""
    return position * CALIBRATION_BINS // SCORE_BINS


def error_bin(absolute_error: float) -> int:
    """Returns the first bin whose bound is not below an absolute error."""
    return bisect_left(ERROR_BOUNDS, absolute_error)
