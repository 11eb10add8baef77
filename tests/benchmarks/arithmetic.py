"""What is reckoned from the runs: percentiles, ratios of paired runs, verdicts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def paired_ratio(ours: Sequence[float], peers: Sequence[float]) -> float:
    """The median of the ratios of runs of the same round: what slows a whole round slows both sides of its ratio.

    A round in which the peer's figure is not above 0 (less than the base that was subtracted) counts as the worst for us.

    Raises:
        ValueError: There is no round in which both were run, or the peer's figure is not above 0 in half of them.
    """
    ratios = [mine / peer if peer > 0 else math.inf for mine, peer in zip(ours, peers, strict=False)]
    if not ratios or not math.isfinite(ratio := statistics.median(ratios)):
        raise ValueError("no ratio: the peer's figures are missing or not above 0")
    return ratio


def above(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Each value less the base's of the same round."""
    return [value - floor for value, floor in zip(values, base, strict=False)]
