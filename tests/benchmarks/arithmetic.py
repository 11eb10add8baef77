"""Arithmetic on runs: percentiles and ratios of paired runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the smallest value that is not below this share of the values (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def paired_ratio(ours: Sequence[float], peers: Sequence[float]) -> float:
    """Returns the median of the ratios within each round: what slows a whole round slows both sides of its ratio.

    A round in which the peer's figure is not above 0 (less than the base that was subtracted) counts as the worst for us.

    Raises:
        ValueError: There is no round in which both were run, or the peer's figure is not above 0 in half of them.
    """
    ratios = [mine / peer if peer > 0 else math.inf for mine, peer in zip(ours, peers, strict=False)]
    if not ratios or not math.isfinite(ratio := statistics.median(ratios)):
        raise ValueError("no ratio: the peer's figures are missing or not above 0")
    return ratio


def above(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Subtracts the base of the same round from each value."""
    return [value - floor for value, floor in zip(values, base, strict=False)]
