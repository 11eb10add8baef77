"""A comparison as HTML: one page without scripts or other files; every text in it is escaped."""

from __future__ import annotations

from html import escape
from typing import Final

from otel_ml import semconv
from otel_ml._values import line
from otel_ml.quality.comparison._feature_drift import FeatureDrift, decimal, describe, percent, with_findings
from otel_ml.quality.comparison._result import ComparisonResult
from otel_ml.quality.comparison._table import changed_since

_STYLE: Final = """
.otelml { font: 14px/1.45 system-ui, sans-serif; color: #1c2330; background: #fff; max-width: 64rem; }
.otelml table { border-collapse: collapse; width: 100%; }
.otelml th, .otelml td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #dde2ea; }
.otelml td { vertical-align: top; }
.otelml th { font-weight: 600; color: #5a6577; }
.otelml .text { text-align: left; }
.otelml .bad { color: #b3261e; font-weight: 600; }
.otelml .note { color: #5a6577; font-size: 12px; }
.otelml .now { fill: #2f6fdb; } .otelml .then { fill: #c3cbd8; }
"""
_HEIGHT: Final = 36
_BAR: Final = 6
_HEADS: Final = ("PSI", "noise", "values", "missing", "expected")


def page(comparison: ComparisonResult) -> str:
    """Returns the whole page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Drift report</title>'
        f"</head><body>\n{section(comparison)}</body></html>\n"
    )


def section(comparison: ComparisonResult) -> str:
    """Returns the part of the page that a notebook shows."""
    heads = "".join(f"<th>{head}</th>" for head in _HEADS)
    rows = "\n".join(map(_row, comparison.features))
    wrong = len(comparison.findings)
    return (
        f'<style>{_STYLE}</style><div class="otelml"><h2>{wrong} of {len(comparison.features)} features changed</h2>'
        f'<p class="note">{comparison.rows:,} rows against profile {escape(comparison.profile_id)} of '
        f"{comparison.reference_rows:,} rows. Bars: share of each bin, now (blue) and in training (grey).</p>"
        f'<table><tr><th class="text">feature</th><th class="text">verdict</th><th class="text">bins</th>{heads}</tr>\n'
        f"{rows}</table>{_periods(comparison)}</div>\n"
    )


def _row(feature: FeatureDrift) -> str:
    missing = feature.shares.get(semconv.MISSING)
    figures = (
        decimal(feature.psi),
        decimal(feature.psi_noise),
        f"{feature.count:,}",
        "-" if missing is None else percent(missing.share),
        "-" if missing is None else f"{missing.expected:.1%}",
    )
    cells = "".join(f"<td>{escape(figure)}</td>" for figure in figures)
    changes = "".join(f"<br>{escape(line(text))}" for text in describe(feature))
    mark = " bad" if feature.findings else ""
    return (
        f'<tr><td class="text">{escape(line(feature.name))}<span class="note">{changes}</span></td>'
        f'<td class="text{mark}">{", ".join(feature.findings) or feature.verdict}</td>'
        f'<td class="text">{_bars(feature)}</td>{cells}</tr>'
    )


def _bars(feature: FeatureDrift) -> str:
    """Draws two bars for each bin, with the figures as a tooltip."""
    top = max((max(found.share or 0.0, found.reference) for found in feature.bins), default=0.0) or 1.0
    drawn = []
    for place, found in enumerate(feature.bins):
        title = f"{line(found.label)}: {percent(found.share or 0.0)}, training {percent(found.reference)}"
        bars = "".join(
            f'<rect class="{name}" x="{place * (2 * _BAR + 3) + shift}" y="{_HEIGHT * (1 - share / top):.1f}" '
            f'width="{_BAR}" height="{_HEIGHT * share / top:.1f}"/>'
            for name, share, shift in (("now", found.share or 0.0, 0), ("then", found.reference, _BAR))
        )
        drawn.append(f"<g><title>{escape(title)}</title>{bars}</g>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{len(feature.bins) * (2 * _BAR + 3)}" '
        f'height="{_HEIGHT}">{"".join(drawn)}</svg>'
    )


def _periods(comparison: ComparisonResult) -> str:
    if not comparison.periods:
        return ""
    rows = []
    for period in comparison.periods:
        found = with_findings(period.features)
        names = escape(", ".join(line(feature.name) for feature in found))
        mark = " bad" if found else ""
        rows.append(
            f'<tr><td class="text">{escape(period.label)}</td><td>{period.rows:,}</td>'
            f'<td class="text{mark}">{period.verdict}</td><td class="text">{names}</td></tr>'
        )
    since = "".join(
        f"<li>since {escape(label)}: {escape(', '.join(map(line, names)))}</li>"
        for label, names in changed_since(comparison)
    )
    heads = (
        f'<th class="text">{comparison.by}</th><th>rows</th><th class="text">verdict</th><th class="text">features</th>'
    )
    return f"<h3>By {comparison.by}</h3><table><tr>{heads}</tr>{''.join(rows)}</table><ul>{since}</ul>"
