"""The verdict on one feature in one window, by the formulas of the recording rules.

Everything that is counted about a feature ends in one of these places: a bin, missing, or invalid. Each place has a
share that the reference lets expect and a noise level. Command, rules, dashboard and console judge by this page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from otel_ml import semconv
from otel_ml._distances import jensen_shannon_distance, psi, psi_noise, share_noise

PSI_LIMIT: Final = 0.2
"""PSI above which a feature has drifted: a shift of a normal feature by about 0.45 standard deviations."""
LEAST_VALUES: Final = 300
"""With fewer values nothing counts as drifted."""
SHARE_LIMIT: Final = 0.01
"""A share may exceed the expected one by this much; beyond it by chance only."""
ABSENT_SHARE: Final = 0.99
"""A column is absent if so many of the rows do not have it."""
OK: Final = "ok"
"""Nothing was found."""
TOO_FEW: Final = "too_few"
"""Nothing was found, but there were too few values to judge the distribution."""


@dataclass(frozen=True)
class Reference:
    """What the training reference lets expect of a feature."""

    shares: Sequence[float]
    """Share of each bin; of a category the bins of other and of unseen values are one bin, the last."""
    size: float
    """Values in the reference, without missing ones."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Expected share of ``missing``, ``invalid``, ``unseen`` and ``out_of_range`` values, as far as they can occur."""
    periodic: bool = False
    """Whether the feature follows the clock, so that its distribution in a window is no evidence of drift."""


@dataclass(frozen=True)
class WindowCounts:
    """What was counted of a feature."""

    counts: Sequence[float]
    """Values in each bin, in the order of `Reference.shares`."""
    found: Mapping[str, float] = field(default_factory=dict)
    """Values that were ``absent``, ``missing`` (absent ones included), ``invalid``, ``unseen`` and ``out_of_range``."""

    @property
    def values(self) -> float:
        """Values in bins."""
        return sum(self.counts)

    @property
    def rows(self) -> float:
        """All values that were counted: in bins, missing and invalid ones."""
        return self.values + self.found.get(semconv.MISSING, 0) + self.found.get(semconv.INVALID, 0)


@dataclass(frozen=True)
class ShareFigure:
    """One share of a feature's rows, with the share to expect and what chance may add to it."""

    share: float
    expected: float
    noise: float


@dataclass(frozen=True)
class Judgement:
    """The verdict on a feature, and the figures behind it."""

    findings: tuple[str, ...]
    """What is wrong, of `semconv.FINDINGS`, the most severe first."""
    verdict: str
    """The most severe finding; ``ok`` or ``too_few`` without one."""
    psi: float | None
    """None without values."""
    psi_noise: float | None
    """PSI of a window of this size stays below it in 999 of 1,000 cases without drift."""
    jensen_shannon: float | None
    shares: Mapping[str, ShareFigure]
    """By finding: ``missing``, ``invalid``, ``unseen``, ``out_of_range``."""


def judge(reference: Reference, window: WindowCounts, *, psi_limit: float = PSI_LIMIT) -> Judgement:
    """Returns the verdict on one feature.

    - ``absent``: at least 99 of 100 rows do not have the column; then it is not ``missing`` too.
    - ``invalid``, ``unseen``, ``out_of_range``: the share is above the expected one by more than 0.01 and by more than
      chance explains (`share_noise`). ``missing``: it differs as much, up or down.
    - ``drifted``: PSI is above `psi_limit` and above its noise (`psi_noise`), with at least 300 values.
    """
    rows, values = window.rows, window.values
    figures = {
        name: ShareFigure(window.found.get(name, 0) / rows, expected, share_noise(expected, rows, reference.size))
        for name, expected in reference.expected.items()
        if rows and reference.size
    }
    found = {name for name, figure in figures.items() if _is_found(name, figure)}
    if rows and window.found.get(semconv.ABSENT, 0) >= ABSENT_SHARE * rows:
        found = (found - {semconv.MISSING}) | {semconv.ABSENT}
    distance, noise = psi(window.counts, reference.shares), psi_noise(reference.shares, values, reference.size)
    is_loud = distance is not None and distance > psi_limit and (noise is None or distance > noise)
    if is_loud and values >= LEAST_VALUES and not reference.periodic:
        found.add(semconv.DRIFTED)
    findings = tuple(name for name in semconv.FINDINGS if name in found)
    verdict = findings[0] if findings else OK if values >= LEAST_VALUES else TOO_FEW
    return Judgement(
        findings, verdict, distance, noise, jensen_shannon_distance(window.counts, reference.shares), figures
    )


def _is_found(name: str, figure: ShareFigure) -> bool:
    excess = figure.share - figure.expected
    if name == semconv.MISSING:
        excess = abs(excess)
    return excess > SHARE_LIMIT and excess > figure.noise
