"""A comparison as lines of text, at most 100 characters wide as far as names allow."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from otel_ml import semconv
from otel_ml._report import decimal, percent
from otel_ml._values import line
from otel_ml._verdicts import TOO_FEW
from otel_ml.quality.comparison._feature_drift import FeatureDrift, describe, with_findings
from otel_ml.quality.comparison._result import ComparisonResult

WIDTH: Final = 100
_NAME: Final = 24
_VERDICT: Final = max(map(len, ("verdict", TOO_FEW, *semconv.FINDINGS)))


def table(comparison: ComparisonResult) -> Iterator[str]:
    """Yields the lines: a row per feature, below it what changed; then a row per period."""
    yield f"{comparison.rows:,} rows against profile {comparison.profile_id} of {comparison.reference_rows:,} rows"
    names = [line(feature.name) for feature in comparison.features]
    width = max((_NAME, *map(len, names)))
    yield (
        f"  {'feature':<{width}} {'verdict':<{_VERDICT}} {'PSI':>8} {'noise':>8} {'JS':>6} {'values':>11} "
        f"{'missing':>8} {'expected':>9}"
    )
    for name, feature in zip(names, comparison.features, strict=True):
        yield f"  {name:<{width}} {feature.verdict:<{_VERDICT}} {_figures(feature)}"
        also = f"also {', '.join(feature.findings[1:])}; " if len(feature.findings) > 1 else ""
        yield from _indented(also + "; ".join(describe(feature)))
    if comparison.periods:
        yield from _periods(comparison)


def _figures(feature: FeatureDrift) -> str:
    psi, noise, distance = map(decimal, (feature.psi, feature.psi_noise, feature.jensen_shannon))
    missing = feature.shares.get(semconv.MISSING)
    now, expected = ("-", "-") if missing is None else (percent(missing.share), f"{missing.expected * 100:.1f} %")
    return f"{psi:>8} {noise:>8} {distance:>6} {feature.count:>11,} {now:>8} {expected:>9}"


def _periods(comparison: ComparisonResult) -> Iterator[str]:
    yield ""
    yield f"  {comparison.by:<16} {'rows':>11}  {'verdict':<{_VERDICT}}  features"
    for period in comparison.periods:
        found = with_findings(period.features)
        names = ", ".join(line(feature.name) for feature in found)
        shown = textwrap.shorten(names, WIDTH - 47, placeholder=", ...") if len(names) > WIDTH - 47 else names
        yield f"  {period.label:<16} {period.rows:>11,}  {period.verdict:<{_VERDICT}}  {shown}".rstrip()
    for label, changed in changed_since(comparison):
        yield from _indented(f"since {label}: {', '.join(map(line, changed))}", "  ")


def changed_since(comparison: ComparisonResult) -> list[tuple[str, list[str]]]:
    """Returns each period since which features have findings, with these features."""
    found: dict[str, list[str]] = {}
    for name, label in comparison.since.items():
        found.setdefault(label, []).append(name)
    return sorted(found.items())


def _indented(text: str, indent: str = "    ") -> list[str]:
    return textwrap.wrap(
        line(text, 4096), WIDTH, initial_indent=indent, subsequent_indent="    ", break_on_hyphens=False
    )
