"""Whether probabilities mean what they say: of the cases with 0.8, 80 % should be positive."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from otel_ml._figures.bins import CALIBRATION_BINS, calibration_bin, score_bin


class CalibrationBin(NamedTuple):
    """The predictions whose probability is in one tenth of 0..1."""

    size: int
    probabilities: float
    """Their sum."""
    positives: int


def calibrate(parts: Iterable[tuple[Sequence[float], bool]]) -> list[CalibrationBin]:
    """Counts probabilities by bin.

    Args:
        parts: Probabilities of positives, or of negatives.
    """
    members = [array("d") for _ in range(CALIBRATION_BINS)]
    positives = [0] * CALIBRATION_BINS
    for probabilities, is_positive in parts:
        before = [len(each) for each in members] if is_positive else []
        for probability in probabilities:
            members[calibration_bin(score_bin(probability))].append(probability)
        for position, count in enumerate(before):
            positives[position] += len(members[position]) - count
    return [CalibrationBin(len(each), math.fsum(each), hits) for each, hits in zip(members, positives, strict=True)]


def calibration_error(bins: Sequence[CalibrationBin]) -> float | None:
    """Returns the expected calibration error: the mean gap between probability and share of positives, by bin."""
    count = sum(each.size for each in bins)
    return math.fsum(abs(each.positives - each.probabilities) for each in bins) / count if count else None
