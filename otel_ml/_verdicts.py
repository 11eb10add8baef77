"""The verdict on one feature in one window, by the formulas of the recording rules.

Each value of a feature is counted in exactly one place: in a bin, as missing, or as invalid. Each finding has an
expected share, which comes from training, and a noise level. Command, rules, dashboard and console use these formulas.
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
"""With fewer values no feature counts as drifted."""
SHARE_LIMIT: Final = 0.01
"""A share may exceed the expected one by this much, or by its noise if that is more."""
UNSEEN_VARIANCE: Final = 4
"""The expected share of unseen categories is so much less certain than a share that was counted. It is estimated from
the n1 categories that training has once, with the variance ``(n1 + 2 n2) / m^2`` (Good 1953); the n2 that it has twice
are at most about 1.5 times as many in the laws of practice."""
ABSENT_SHARE: Final = 0.99
"""A column is absent if at least this share of the rows does not have it."""
OK: Final = "ok"
"""Nothing was found."""
TOO_FEW: Final = "too_few"
"""Nothing was found, but there were too few values to judge the distribution."""
RULES_OF_FINDING: Final[Mapping[str, tuple[str, ...]]] = {
    semconv.ABSENT: ("missing_column",),
    semconv.INVALID: ("type", "non_finite"),
    semconv.OUT_OF_RANGE: ("range_low", "range_high"),
}
"""The rules of a schema, of `semconv.RULES`, whose violations are counted under a finding."""
_RANK: Final = {finding: rank for rank, finding in enumerate(semconv.FINDINGS)}


@dataclass(frozen=True)
class Reference:
    """What is expected of a feature: its distribution in the training data, and the share of each finding."""

    shares: Sequence[float]
    """Share of each bin; of a category the bins of other and of unseen values are one bin, the last."""
    size: float
    """Values in the reference, without missing ones."""
    expected: Mapping[str, float] = field(default_factory=dict)
    """Expected share of each finding that the feature can have; see `Judgement.shares`."""
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
    """The share of a feature's rows with one finding, the expected share, and what chance may add to that."""

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


def severity(verdict: str, psi: float | None) -> tuple[int, float]:
    """Returns a sort key that puts the most severe verdict first, and of equal ones the largest PSI."""
    return _RANK.get(verdict, len(_RANK)), -(psi or 0.0)


def judge(reference: Reference, window: WindowCounts, *, psi_limit: float = PSI_LIMIT) -> Judgement:
    """Returns the verdict on one feature.

    - ``absent``: at least 99 of 100 rows do not have the column; then it is not ``missing`` too.
    - ``invalid``, ``unseen``, ``out_of_range``: the share is above the expected one by more than 0.01 and by more than
      chance explains (`share_noise`). ``missing``: it differs as much, up or down.
    - ``drifted``: PSI is above `psi_limit` and above its noise (`psi_noise`), with at least 300 values.
    """
    rows, values = window.rows, window.values
    figures = {
        name: ShareFigure(
            window.found.get(name, 0) / rows, expected, share_noise(expected, rows, _certain_size(name, reference))
        )
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


def _certain_size(name: str, reference: Reference) -> float:
    return reference.size / (UNSEEN_VARIANCE if name == semconv.UNSEEN_CATEGORIES else 1)


def _is_found(name: str, figure: ShareFigure) -> bool:
    excess = figure.share - figure.expected
    if name == semconv.MISSING:
        excess = abs(excess)
    return excess > SHARE_LIMIT and excess > figure.noise
