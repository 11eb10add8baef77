"""The share of a class in each bin of its score, made ascending (isotonic regression), from counts by bin.

It replaces the scores only where they are wrong by more than chance: where their chi-square over the tenths of the
score (Hosmer and Lemeshow 1980) is above twice the number of tenths. Below that, the noise of a fit costs more in new
data than the fit improves (Mallows 1973).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from otel_ml._figures.bins import CALIBRATION_BINS, calibration_bin


class _Step(NamedTuple):
    """Neighbouring bins with one share."""

    positives: int
    rows: int
    bins: tuple[int, ...]


def calibrated_shares(positives: Sequence[int], negatives: Sequence[int], scores: Sequence[float]) -> tuple[float, ...]:
    """Returns the share of positives in each bin, ascending; empty if the scores are right as they are.

    A bin without rows is on the line between its neighbours.

    Args:
        positives: Rows of the class in each bin.
        negatives: Rows of the others.
        scores: The sum of the scores in each bin.
    """
    sizes = [sum(pair) for pair in zip(positives, negatives, strict=True)]
    if _are_right(positives, sizes, scores):
        return ()
    steps: list[_Step] = []
    for place, (hits, size) in enumerate(zip(positives, sizes, strict=True)):
        step = _Step(hits, size, (place,))
        while size and steps and steps[-1].positives * step.rows >= step.positives * steps[-1].rows:
            before = steps.pop()
            step = _Step(before.positives + step.positives, before.rows + step.rows, before.bins + step.bins)
        steps += [step] if size else []
    known = {place: step.positives / step.rows for step in steps for place in step.bins}
    return tuple(_between(known, place) for place in range(len(sizes)))


def _are_right(positives: Sequence[int], sizes: Sequence[int], scores: Sequence[float]) -> bool:
    """Whether chance explains how far the scores are from the shares of positives."""
    chi_square, tenths = 0.0, 0
    for tenth in range(CALIBRATION_BINS):
        places = [place for place in range(len(sizes)) if calibration_bin(place) == tenth]
        hits, size, expected = (sum(column[place] for place in places) for column in (positives, sizes, scores))
        if size:
            tenths += 1
            spread = max(expected * (1 - expected / size), 1e-9)
            chi_square += (hits - expected) ** 2 / spread
    return chi_square <= 2 * tenths


def _between(known: dict[int, float], place: int) -> float:
    below = max((each for each in known if each <= place), default=min(known))
    above = min((each for each in known if each >= place), default=max(known))
    if below == above:
        return known[below]
    return known[below] + (known[above] - known[below]) * (place - below) / (above - below)
