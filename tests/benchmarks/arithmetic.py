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

    Raises:
        ValueError: There is no round in which both were run, or a peer's figure is not above 0.
    """
    pairs = list(zip(ours, peers, strict=False))
    if not pairs or any(peer <= 0 for _, peer in pairs):
        raise ValueError("no ratio: a figure of the peer is missing or not above 0")
    return statistics.median(mine / peer for mine, peer in pairs)


def above(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Each value less the base's of the same round."""
    return [value - floor for value, floor in zip(values, base, strict=False)]
