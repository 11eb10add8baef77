"""The HTML of a report; every text in it is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from otel_ml._report.charts import bin_chart, lowest_shown, mini_bars, timeline, whisker
from otel_ml._report.content import FeatureRow, FigureRow, FigureTable, ReportTable, WindowReport
from otel_ml._report.style import STYLE
from otel_ml._report.wording import figure_text, percent, rounded

_CARDS: Final = 12
"""Features whose bins are drawn large."""
_NAMED: Final = 6
"""Features that a sentence names."""
_UNKNOWN: Final = "\N{EN DASH}"
_LEGEND: Final = '<i class="now"></i>now <i class="then"></i>training'


def page(report: WindowReport, links: Sequence[tuple[str, str]] = ()) -> str:
    """Returns the whole page.

    Args:
        report: What it says.
        links: Text and address of what a reader can do; not on paper. A file to keep has none.
    """
    bar = "".join(f'<a href="{escape(address)}">{escape(text)}</a>' for text, address in links)
    bar = f'<nav class="bar">{bar}</nav>' if bar else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head>\n"
        f'<body class="page">{bar}<main>{_body(report)}</main></body></html>\n'
    )


def section(report: WindowReport) -> str:
    """Returns the report as a part of another page, such as a notebook."""
    return f"<style>{STYLE}</style>{_body(report)}"


def _body(report: WindowReport) -> str:
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in report.facts)
    parts = [
        _attention(report),
        *map(_figures, report.figures),
        _changed(report),
        _features(report),
        *map(_table, report.tables),
        *(f'<p class="note">{escape(text)}</p>' for text in report.missing),
    ]
    return f'<div class="otelml"><h1>{escape(report.title)}</h1><dl>{facts}</dl>{"".join(parts)}</div>\n'


def _attention(report: WindowReport) -> str:
    """Returns what was found, before all details."""
    found = list(_found(report))
    if not found:
        what = "Nothing was found." if report.features or report.figures else "There is nothing to report yet."
        return f'<section class="{"calm" if report.features or report.figures else ""}"><h2>{what}</h2></section>'
    items = "".join(f"<li>{escape(text)}</li>" for text in found)
    return f'<section class="attention"><h2>What was found</h2><ul>{items}</ul></section>'


def _found(report: WindowReport) -> Iterator[str]:
    for table in report.figures:
        worse = [(row, row.training) for row in table.rows if row.is_worse and row.training is not None]
        if worse:
            (first, training), *others = worse
            more = f", and so are {', '.join(_named(row) for row, _ in others)}" if others else ""
            then = f"{rounded(training)} in training"
            yield f"{table.title}: {_named(first)} {rounded(first.value)} is worse than {then}{more}"
    wrong = list(dict.fromkeys(row.name for row in report.features if row.findings))
    if wrong:
        names = ", ".join(wrong[:_NAMED]) + (", …" if len(wrong) > _NAMED else "")
        yield f"{len(wrong)} of {len({row.name for row in report.features})} features changed: {names}"
    for other in report.tables:
        if other.bad:
            yield f"{other.title}: {len(other.bad)} of {len(other.rows)} with a finding"


def _figures(table: FigureTable) -> str:
    low = lowest_shown(table.rows)
    drawn = [(row, whisker(row, low)) for row in table.rows]
    has_charts = any(chart for _, chart in drawn)
    axis = f"{low:.1f} to 1" if has_charts else ""
    key = " Dot: the figure, in its interval. Tick: training." if has_charts else ""
    heads = ("Value", "95 % interval", "Training", table.counted)
    rows = "".join(_figure(row, chart) for row, chart in drawn)
    head = f'<th class="text">Figure</th><th class="text drawn">{axis}</th>' + "".join(
        f"<th>{escape(each)}</th>" for each in heads
    )
    drawing = "" if table.timeline is None else timeline(table.timeline)
    return (
        f'<section><h2>{escape(table.title)}</h2><p class="note">{escape(table.note)}{key}</p>'
        f"{_scrolled(table.title, f'{drawing}<table><tr>{head}</tr>{rows}</table>')}</section>"
    )


def _figure(row: FigureRow, chart: str) -> str:
    interval = _UNKNOWN if row.interval is None else " to ".join(map(rounded, row.interval))
    training = _UNKNOWN if row.training is None else rounded(row.training)
    mark = ' class="bad"' if row.is_worse else ""
    return (
        f'<tr><td class="text">{escape(_named(row))}</td><td class="text drawn">{chart}</td>'
        f"<td{mark}>{rounded(row.value)}</td><td>{interval}</td><td>{training}</td><td>{row.count:,}</td></tr>"
    )


def _named(row: FigureRow) -> str:
    return figure_text(row.name)


def _changed(report: WindowReport) -> str:
    """Returns a card for each feature with a finding, with its bins by name; of several versions the most severe."""
    changed: dict[str, list[FeatureRow]] = {}
    for row in report.features:
        if row.findings:
            changed.setdefault(row.name, []).append(row)
    if not changed:
        return ""
    cards = "".join(map(_card, [*changed.values()][:_CARDS]))
    more = f" The table below has {len(changed) - _CARDS} more." if len(changed) > _CARDS else ""
    return (
        f'<section><h2>What changed</h2><p class="note">Share of each bin:{_LEGEND}.{more}</p>'
        f'<div class="cards">{cards}</div></section>'
    )


def _card(rows: Sequence[FeatureRow]) -> str:
    row, *others = rows
    changes = "".join(f"<li>{escape(text)}</li>" for text in row.changes)
    if others:
        changes += f"<li>also in {escape(', '.join(other.more for other in others))}</li>"
    return (
        f'<section><h3>{_name(row)} <span class="bad">{_verdict(row)}</span></h3><ul>{changes}</ul>'
        f"{bin_chart(row.name, row.bars) if row.bars and row.values else ''}</section>"
    )


def _features(report: WindowReport) -> str:
    if not report.features:
        return ""
    heads = "".join(f"<th>{head}</th>" for head in ("PSI", "Noise", "Values", "Missing", "Expected"))
    texts = "".join(f'<th class="text">{head}</th>' for head in ("Feature", "Verdict", "Bins"))
    rows = "\n".join(map(_feature, report.features))
    return (
        f'<section><h2>All features</h2><p class="note">The most severe verdict first. Bins:{_LEGEND}. Without drift, '
        "PSI exceeds its noise in one of 1,000 windows of this size.</p>"
        f"{_scrolled('All features', f'<table><tr>{texts}{heads}</tr>{rows}</table>')}</section>"
    )


def _scrolled(title: str, content: str) -> str:
    """Returns a part that scrolls sideways where it is too wide, also by keys."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">{content}</div>'


def _feature(row: FeatureRow) -> str:
    figures = (
        _UNKNOWN if row.psi is None else rounded(row.psi),
        _UNKNOWN if row.noise is None else rounded(row.noise),
        f"{row.values:,}",
        _UNKNOWN if row.missing is None else percent(row.missing.share),
        _UNKNOWN if row.missing is None else f"{row.missing.expected * 100:.1f} %",
    )
    cells = "".join(f"<td>{escape(figure)}</td>" for figure in figures)
    mark = " bad" if row.findings else ""
    return (
        f'<tr><td class="text">{_name(row)}</td><td class="text{mark}">{_verdict(row)}</td>'
        f'<td class="text">{mini_bars(row.bars)}</td>{cells}</tr>'
    )


def _name(row: FeatureRow) -> str:
    more = f' <span class="note">{escape(row.more)}</span>' if row.more else ""
    return f"{escape(row.name)}{more}"


def _verdict(row: FeatureRow) -> str:
    return escape(", ".join(row.findings or (row.verdict,)).replace("_", " "))


def _table(table: ReportTable) -> str:
    heads = "".join(f'<th class="text">{escape(head)}</th>' for head in table.heads)
    rows = "".join(_cells(row, table.marked if place in table.bad else None) for place, row in enumerate(table.rows))
    below = "".join(f"<li>{escape(text)}</li>" for text in table.below)
    below = f"<ul>{below}</ul>" if below else ""
    return (
        f'<section><h2>{escape(table.title)}</h2><p class="note">{escape(table.note)}</p>'
        f"{_scrolled(table.title, f'<table><tr>{heads}</tr>{rows}</table>')}{below}</section>"
    )


def _cells(row: tuple[str, ...], marked: int | None) -> str:
    cells = "".join(
        f'<td class="text{" bad" if place == marked else ""}">{escape(cell)}</td>' for place, cell in enumerate(row)
    )
    return f"<tr>{cells}</tr>"
