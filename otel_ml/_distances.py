"""Distances between the counts of a window and the reference shares, exactly as in the recording rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

NULL_Z = 3.09
"""Standard normal quantile of 0.999: one false alarm in a thousand windows."""


def smoothed_shares(counts: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Returns window shares smoothed towards the reference: ``(c + k q) / (N + k)`` with ``k`` the number of bins.

    This never increases a PSI, which is convex, and needs no epsilon for empty bins.
    """
    bins, total = len(shares), sum(counts)
    return [(count + bins * share) / (total + bins) for count, share in zip(counts, shares, strict=True)]


def psi(counts: Sequence[float], shares: Sequence[float]) -> float | None:
    """Returns the population stability index of a window against the reference; None for an empty window.

    Source: ``sum (p - q) ln(p / q)`` over the smoothed shares, the recording rule ``feature:ml_feature_psi``.
    """
    return math.fsum(psi_parts(counts, shares)) if sum(counts) else None


def psi_parts(counts: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Returns what each bin adds to the PSI; never negative."""
    windows = smoothed_shares(counts, shares)
    return [(p - q) * math.log(p / q) for p, q in zip(windows, shares, strict=True)]


def psi_noise(shares: Sequence[float], count: float, size: float, z: float = NULL_Z) -> float | None:
    """Returns the PSI that a window without drift stays below in 999 of 1,000 cases; None without values.

    Without drift PSI is about ``chi2(B - 1) (1/count + 1/size)`` (Yurdakul 2018). A bin that stays empty by chance adds
    more than a chi-square allows, because of the logarithm: mean and variance get its part, with the probability
    ``exp(-count q)`` that it is empty. The quantile is that of a gamma distribution with this mean and variance, by
    Wilson and Hilferty. Simulated windows without drift exceed it in at most 6 of 1,000 cases, also with nearly all
    values in one bin, and in 1 of 1,000 with equal bins.

    Args:
        shares: Shares of the bins in the reference.
        count: Values in the window.
        size: Values in the reference.
        z: Standard normal quantile of another rate of false alarms than one in a thousand.
    """
    bins = len(shares)
    if bins < 2 or not count or not size:
        return None
    empty = max(math.log((count + bins) / bins), 1.0)
    expected = [(count * share, math.exp(-count * share)) for share in shares]
    mean = bins - 1 + (empty - 1) * math.fsum(many * never for many, never in expected)
    variance = 2 * (bins - 1) + (empty**2 - 1) * math.fsum(many**2 * never for many, never in expected)
    spread = variance / (9 * mean**2)
    return mean * (1 - spread + z * math.sqrt(spread)) ** 3 * (1 / count + 1 / size)


def share_noise(expected: float, count: float, size: float) -> float:
    """Returns the excess over an expected share that chance exceeds in 1 of 1,000 windows.

    The normal quantile of the difference of two proportions, ``z sqrt(q (1 - q) (1/count + 1/size))``, and Fisher's and
    Cornish's correction for the skewness of small counts, ``(z^2 - 1) / (6 count)``.

    Args:
        expected: Share in the reference.
        count: Values in the window.
        size: Values in the reference.
    """
    spread = math.sqrt(expected * (1 - expected) * (1 / count + 1 / size))
    return NULL_Z * spread + (NULL_Z**2 - 1) / (6 * count)


def jensen_shannon_distance(counts: Sequence[float], shares: Sequence[float]) -> float | None:
    """Returns the square root of the Jensen-Shannon divergence, base 2, in 0..1; None for an empty window."""
    if not sum(counts):
        return None
    divergence = 0.0
    for window, reference in zip(smoothed_shares(counts, shares), shares, strict=True):
        middle = (window + reference) / 2
        divergence += 0.5 * (window * math.log2(window / middle) + reference * math.log2(reference / middle))
    return math.sqrt(max(divergence, 0.0))
