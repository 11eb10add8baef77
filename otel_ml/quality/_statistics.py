"""Distances between the counts of a window and the reference shares, exactly as in the recording rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

NULL_Z = 3.09
"""Standard normal quantile of 0.999: one false alarm in a thousand windows."""


def smoothed_shares(counts: Sequence[int], shares: Sequence[float]) -> list[float]:
    """Returns window shares smoothed towards the reference: ``(c + k q) / (N + k)`` with ``k`` the number of bins.

    This never increases a PSI, which is convex, and needs no epsilon for empty bins.
    """
    bins, total = len(shares), sum(counts)
    return [(count + bins * share) / (total + bins) for count, share in zip(counts, shares, strict=True)]


def psi(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """Returns the population stability index of a window against the reference; None for an empty window.

    Source: ``sum (p - q) ln(p / q)`` over the smoothed shares, the recording rule ``ml:feature:psi``.
    """
    if not sum(counts):
        return None
    return math.fsum(
        (window - reference) * math.log(window / reference)
        for window, reference in zip(smoothed_shares(counts, shares), shares, strict=True)
    )


def psi_null_quantile(bins: int, count: int, size: int, z: float = NULL_Z) -> float | None:
    """Returns the PSI that a window without drift stays below, by default in 999 of 1,000 cases; None without values.

    Source: PSI is about ``chi2(bins - 1) (1/count + 1/size)`` (Yurdakul 2018), the quantile by Wilson and Hilferty.

    Args:
        bins: Bins of the feature.
        count: Values in the window.
        size: Values in the reference.
        z: Standard normal quantile of the wanted level.
    """
    if bins < 2 or not count or not size:
        return None
    freedom = bins - 1
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + z * math.sqrt(spread)) ** 3 * (1 / count + 1 / size))


def jensen_shannon_distance(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """Returns the square root of the Jensen-Shannon divergence, base 2, in 0..1; None for an empty window."""
    if not sum(counts):
        return None
    divergence = 0.0
    for window, reference in zip(smoothed_shares(counts, shares), shares, strict=True):
        middle = (window + reference) / 2
        divergence += 0.5 * (window * math.log2(window / middle) + reference * math.log2(reference / middle))
    return math.sqrt(max(divergence, 0.0))
