"""One feature of a data set compared with the reference: its verdict, and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from otel_ml import semconv
from otel_ml._distances import psi_parts
from otel_ml._report import describe_shares, percent
from otel_ml._values import line
from otel_ml._verdicts import ShareFigure, WindowCounts, judge, severity
from otel_ml.quality._feature import Feature

_NEW_SHOWN: Final = 5
_NEW_LENGTH: Final = 40
_MOVED_SHOWN: Final = 3
_LEAST_MOVE: Final = 0.01
"""A bin that moved less is not listed."""
_LEAST_SHIFT: Final = 0.02
"""Direction is None below this difference: the share of pairs in which the new value is larger, minus smaller."""


@dataclass(frozen=True)
class BinShare:
    """One bin of a feature, now and in training."""

    label: str
    share: float | None
    """None without values."""
    reference: float
    psi: float
    """What the bin adds to the PSI."""


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of a data set compared with the reference."""

    name: str
    verdict: str
    """The most severe finding; ``ok`` or ``too_few`` without one."""
    findings: tuple[str, ...]
    """What is wrong, of `semconv.FINDINGS`, the most severe first."""
    psi: float | None
    """None without values."""
    psi_noise: float | None
    """The PSI stays below it in 999 of 1,000 windows of this size without drift."""
    jensen_shannon: float | None
    """Distance, base 2, in 0..1."""
    count: int
    """Values in bins."""
    missing: int
    invalid: int
    """Values of another type, or infinite ones."""
    shares: Mapping[str, ShareFigure]
    """Share, expected share and noise of ``missing``, ``invalid``, ``unseen`` and ``out_of_range`` values."""
    bins: tuple[BinShare, ...] = ()
    """All bins; the rare and the unseen values of a category are one bin, ``__other__``."""
    changes: tuple[BinShare, ...] = ()
    """The bins that moved most, if the feature has a finding."""
    direction: str | None = None
    """``up`` or ``down`` for a number with a finding whose values moved."""
    new_categories: Mapping[str, int] | None = None
    """The most frequent categories that the reference does not have, with their counts; never of a sensitive column."""
    invalid_kinds: tuple[str, ...] = ()
    """What the invalid values are: ``text``, ``boolean``, ``infinite``, ..."""

    @property
    def drifted(self) -> bool:
        """Whether the distribution differs from that of the reference."""
        return semconv.DRIFTED in self.findings

    @property
    def severity(self) -> tuple[int, float]:
        """A sort key that puts the most severe verdict first."""
        return severity(self.verdict, self.psi)


def sort_by_severity(features: Iterable[FeatureDrift]) -> list[FeatureDrift]:
    """Returns the features, the most severe verdict first."""
    return sorted(features, key=lambda feature: feature.severity)


def with_findings(features: Iterable[FeatureDrift]) -> list[FeatureDrift]:
    """Returns the features with a finding, the most severe verdict first."""
    return sort_by_severity(feature for feature in features if feature.findings)


def compare_counts(
    feature: Feature, window: WindowCounts, threshold: float, *, new: Counter[str], invalid_kinds: tuple[str, ...]
) -> FeatureDrift:
    """Returns the verdict on what was counted of a feature, and what changed."""
    judgement = judge(feature.reference, window, psi_limit=threshold)
    bins = _bins(feature, window)
    is_wrong = bool(judgement.findings)
    return FeatureDrift(
        name=feature.name,
        verdict=judgement.verdict,
        findings=judgement.findings,
        psi=judgement.psi,
        psi_noise=judgement.psi_noise,
        jensen_shannon=judgement.jensen_shannon,
        count=int(window.values),
        missing=int(window.found[semconv.MISSING]),
        invalid=int(window.found[semconv.INVALID]),
        shares=judgement.shares,
        bins=bins,
        changes=_moved(bins) if is_wrong else (),
        direction=_direction(bins) if is_wrong and feature.kind == "number" else None,
        new_categories={line(text, _NEW_LENGTH): count for text, count in new.most_common(_NEW_SHOWN)} or None,
        invalid_kinds=invalid_kinds if window.found[semconv.INVALID] else (),
    )


def _bins(feature: Feature, window: WindowCounts) -> tuple[BinShare, ...]:
    labels = feature.labels[:-1] if feature.kind == "category" else feature.labels
    reference = feature.merge_rest(feature.counts)
    size = sum(reference) or 1
    values = window.values
    parts = psi_parts(window.counts, feature.reference.shares)
    return tuple(
        BinShare(label, count / values if values else None, trained / size, part)
        for label, count, trained, part in zip(labels, window.counts, reference, parts, strict=True)
    )


def _moved(bins: tuple[BinShare, ...]) -> tuple[BinShare, ...]:
    moved = [found for found in bins if found.share is not None and abs(found.share - found.reference) >= _LEAST_MOVE]
    return tuple(sorted(moved, key=lambda found: -found.psi)[:_MOVED_SHOWN])


def _direction(bins: tuple[BinShare, ...]) -> str | None:
    """Returns ``up`` if a value is more often above one of training than below it: the common language effect size."""
    below, shift = 0.0, 0.0
    for found in bins:
        shift += (found.share or 0.0) * (2 * below + found.reference)
        below += found.reference
    if not any(found.share for found in bins) or abs(shift - 1) < _LEAST_SHIFT:
        return None
    return "up" if shift > 1 else "down"


def describe(feature: FeatureDrift, *, with_bins: bool = True) -> list[str]:
    """Returns what changed in a feature with a finding: a short sentence for each change and moved bin."""
    if semconv.ABSENT in feature.findings:
        return ["the data has no such column"]
    sentences = []
    for finding, sentence in describe_shares(feature.findings, feature.shares):
        kinds = f": {', '.join(feature.invalid_kinds)}" if finding == semconv.INVALID else ""
        sentences.append(f"{sentence}{kinds}")
    new = feature.new_categories if semconv.UNSEEN_CATEGORIES in feature.findings else None
    if new:
        sentences.append("new: " + ", ".join(f"{text!r} {count:,}" for text, count in new.items()))
    if feature.direction is not None and {semconv.DRIFTED, semconv.OUT_OF_RANGE}.intersection(feature.findings):
        sentences.append(f"values went {feature.direction}")
    if with_bins and semconv.DRIFTED in feature.findings:
        sentences += [
            f"{change.label}: {percent(change.share or 0.0)} (training {change.reference * 100:.1f} %)"
            for change in feature.changes
            if not (new and change.label == semconv.OTHER)
        ]
    return sentences
