"""A comparison as a report."""

from __future__ import annotations

from typing import Final

from otel_ml import semconv
from otel_ml._figures.against_training import is_worse
from otel_ml._figures.intervals import Estimate, share
from otel_ml._report import (
    BinBar,
    FeatureRow,
    FigureRow,
    FigureTable,
    ReportTable,
    WindowReport,
    bin_text,
    feature_text,
)
from otel_ml._values import line
from otel_ml.quality._performance import Performance
from otel_ml.quality.comparison._feature_drift import FeatureDrift, describe, with_findings
from otel_ml.quality.comparison._result import ComparisonResult
from otel_ml.quality.comparison._table import changed_since

_SHARES: Final = frozenset({"accuracy", "exact_match", "hit_rate"})
"""Figures that are a share of the rows, so that their interval follows from the number of rows."""


def report(comparison: ComparisonResult, title: str | None = None) -> WindowReport:
    """Returns what the page of a comparison says."""
    found = comparison.performance
    return WindowReport(
        ("Drift report" if found is None else "Drift and performance") if title is None else line(title),
        (
            ("Rows", f"{comparison.rows:,}"),
            ("Reference", f"{comparison.reference_rows:,} rows"),
            ("Profile", comparison.profile_id),
        ),
        tuple(map(_row, comparison.features)),
        figures=() if found is None else (_figures(found, comparison.trained),),
        tables=_periods(comparison),
    )


def _figures(found: Performance, trained: Performance | None) -> FigureTable:
    then = trained if trained is not None and trained.task == found.task else None
    rows = tuple(_figure(name, value, found.rows, then) for name, value in found.figures.items())
    out = f" {found.left_out:,} rows have no label or no output." if found.left_out else ""
    return FigureTable("Performance", f"According to the labels of these rows ({found.task}).{out}", "Labels", rows)


def _figure(name: str, value: float, rows: int, trained: Performance | None) -> FigureRow:
    found = Estimate(value, share(value * rows, rows).interval if name in _SHARES else None)
    if trained is None:
        return FigureRow(name, value, found.interval, None, rows)
    training = trained.figures.get(name)
    return FigureRow(name, value, found.interval, training, rows, is_worse(name, found, training, rows, trained.rows))


def _row(feature: FeatureDrift) -> FeatureRow:
    return FeatureRow(
        line(feature_text(feature.name)),
        feature.verdict,
        feature.findings,
        tuple(map(line, describe(feature, with_bins=False))),
        tuple(BinBar(line(bin_text(found.label)), found.share, found.reference) for found in feature.bins),
        feature.psi,
        feature.psi_noise,
        feature.count,
        feature.shares.get(semconv.MISSING),
    )


def _periods(comparison: ComparisonResult) -> tuple[ReportTable, ...]:
    if not comparison.periods:
        return ()
    rows = []
    for period in comparison.periods:
        names = ", ".join(line(feature_text(feature.name)) for feature in with_findings(period.features))
        rows.append((period.label, f"{period.rows:,}", period.verdict.replace("_", " "), names))
    since = tuple(
        f"since {label}: {', '.join(line(feature_text(name)) for name in names)}"
        for label, names in changed_since(comparison)
    )
    bad = frozenset(place for place, period in enumerate(comparison.periods) if with_findings(period.features))
    heads = (f"{comparison.by}".capitalize(), "Rows", "Verdict", "Features")
    note = f"Each {comparison.by} judged by itself."
    return (ReportTable(f"By {comparison.by}", note, heads, tuple(rows), bad, 2, since),)
