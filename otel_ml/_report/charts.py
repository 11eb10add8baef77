"""The charts of a report as SVG; each has its numbers as text too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import accumulate, groupby
from typing import Final
from unicodedata import east_asian_width

from otel_ml._report.content import AccuracyPeriod, BinBar, FigureRow, Timeline
from otel_ml._report.wording import percent

_MINI_HEIGHT: Final = 28
_MINI_BAR: Final = 5
_MINI_STEP: Final = 2 * _MINI_BAR + 3
_LINE: Final = 30
"""Height of one bin in the chart of a feature."""
_NAME: Final = 150
_BARS: Final = 96
_FIGURES: Final = 124
_LETTER: Final = 8.0
"""Width of a digit, and of most letters, in the widest of the usual fonts."""
_NARROW: Final = frozenset(" .,:;!'|()[]ijlt")
_WIDE: Final = frozenset("mwMWQO@%&")
_MOST_BARS: Final = 12
_WIDTH: Final = 720
_HEIGHT: Final = 150
_WHISKER: Final = 180
SHARES: Final = frozenset(
    {"accuracy", "precision", "recall", "f1", "auc", "average_precision", "exact_match", "ndcg", "reciprocal_rank"}
    | {"hit_rate"}
)
"""Figures in 0..1 of which more is better; they share an axis."""


def mini_bars(bars: Sequence[BinBar]) -> str:
    """Draws two upright bars for each bin; the text is the bin that moved most."""
    if not bars:
        return ""
    top = _top(bars)
    then = "".join(_upright(place * _MINI_STEP, bar.reference / top) for place, bar in enumerate(bars))
    now = "".join(_upright(place * _MINI_STEP + _MINI_BAR, (bar.share or 0.0) / top) for place, bar in enumerate(bars))
    most = max(bars, key=lambda bar: abs((bar.share or 0.0) - bar.reference))
    text = f"Moved most: {most.label}, {percent(most.share or 0.0)}, in training {percent(most.reference)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{len(bars) * _MINI_STEP}" height="{_MINI_HEIGHT}">'
        f'<title>{escape(text)}</title><path class="then" d="{then}"/><path class="now" d="{now}"/></svg>'
    )


def _upright(left: int, share: float) -> str:
    return f"M{left} {_MINI_HEIGHT}v-{_MINI_HEIGHT * share:.1f}h{_MINI_BAR}V{_MINI_HEIGHT}z"


def bin_chart(name: str, bars: Sequence[BinBar]) -> str:
    """Draws the bins of a feature below each other, named, now above training; of many bins those that moved most."""
    kept = sorted(bars, key=lambda bar: -abs((bar.share or 0.0) - bar.reference))[:_MOST_BARS]
    shown = [bar for bar in bars if bar in kept]
    top = _top(shown)
    height = len(shown) * _LINE
    parts = "".join(_bin_line(place * _LINE, bar, top) for place, bar in enumerate(shown))
    width = _NAME + _BARS + _FIGURES
    left_out = len(bars) - len(shown)
    more = f'<p class="note">{left_out} more bins moved less.</p>' if left_out else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wide" role="img" viewBox="0 0 {width} {height}" '
        f'aria-label="{escape(f"Share of each bin of {name}, now and in training")}">{parts}</svg>{more}'
    )


def _bin_line(top: int, bar: BinBar, most: float) -> str:
    share = bar.share or 0.0
    label = _fitted(bar.label, _NAME - 8)
    return (
        f"<g><title>{escape(bar.label)}</title>"
        f'<text x="{_NAME - 8}" y="{top + 17}" text-anchor="end">{escape(label)}</text>'
        f'<rect class="now" x="{_NAME}" y="{top + 3}" width="{max(1.0, _BARS * share / most):.1f}" height="10"/>'
        f'<rect class="then" x="{_NAME}" y="{top + 14}" width="{max(1.0, _BARS * bar.reference / most):.1f}" '
        f'height="8"/><text x="{_NAME + _BARS + 8}" y="{top + 17}">{escape(percent(share))} '
        f'<tspan class="quiet">/ {escape(percent(bar.reference))}</tspan></text></g>'
    )


def _fitted(text: str, room: float) -> str:
    """Returns as much of a text as fits into a width, from its start."""
    widths = list(accumulate(map(_width, text)))
    if not widths or widths[-1] <= room:
        return text
    return f"{text[: sum(width <= room - 1.5 * _LETTER for width in widths)]}…"


def _width(letter: str) -> float:
    if letter in _NARROW:
        return _LETTER / 2
    return 1.5 * _LETTER if letter in _WIDE or east_asian_width(letter) in {"W", "F"} else _LETTER


def _top(bars: Sequence[BinBar]) -> float:
    return max((max(bar.share or 0.0, bar.reference) for bar in bars), default=0.0) or 1.0


def lowest_shown(rows: Sequence[FigureRow]) -> float:
    """Returns the left end of the axis that the shares among the figures have in common; the right end is 1."""
    ends = [
        end
        for row in rows
        if row.name in SHARES
        for end in (row.value, row.training, *(row.interval or ()))
        if end is not None
    ]
    return _axis(min(ends, default=0.0))


def whisker(row: FigureRow, low: float) -> str:
    """Draws a figure as a dot with its interval, and that of training as a tick; empty if it is no share."""
    if row.name not in SHARES:
        return ""

    def across(share: float) -> str:
        return f"{6 + (_WHISKER - 12) * (share - low) / (1 - low):.1f}"

    parts = [f'<line class="axis" x1="0" x2="{_WHISKER}" y1="10" y2="10"/>']
    if row.interval is not None:
        left, right = map(across, row.interval)
        parts.append(f'<line class="stroke" x1="{left}" x2="{right}" y1="10" y2="10"/>')
    if row.training is not None:
        parts.append(f'<line class="tick" x1="{across(row.training)}" x2="{across(row.training)}" y1="3" y2="17"/>')
    parts.append(f'<circle class="now" cx="{across(row.value)}" cy="10" r="4"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" aria-hidden="true" width="{_WHISKER}" height="20">'
        f"{''.join(parts)}</svg>"
    )


def timeline(found: Timeline) -> str:
    """Draws estimated accuracy with its interval, realised accuracy as dots, and that of training."""
    known = [share for each in found.periods for share in (each.realised, *(each.interval or ())) if share is not None]
    if not known:
        return ""
    low = _axis(min([*known, *([] if found.training is None else [found.training])]))

    def down(share: float) -> float:
        return round(_HEIGHT * (1 - share) / (1 - low), 1)

    parts = [
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>',
        '<text class="quiet" x="-6" y="4" text-anchor="end">1.0</text>',
        f'<text class="quiet" x="-6" y="{_HEIGHT + 4}" text-anchor="end">{low:.1f}</text>',
        f'<text class="quiet" x="0" y="{_HEIGHT + 18}">{escape(found.begin)}</text>',
        f'<text class="quiet" x="{_WIDTH}" y="{_HEIGHT + 18}" text-anchor="end">{escape(found.end)}</text>',
    ]
    if found.training is not None:
        height = down(found.training)
        parts.append(f'<line class="dash" x1="0" x2="{_WIDTH}" y1="{height}" y2="{height}"/>')
    parts += _runs(found.periods, down)
    step = _WIDTH / len(found.periods)
    parts += [
        f'<circle class="dot" cx="{step * (place + 0.5):.1f}" cy="{down(each.realised)}" r="3.5"/>'
        for place, each in enumerate(found.periods)
        if each.realised is not None
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wide timeline" role="img" '
        f'viewBox="-52 -12 784 {_HEIGHT + 36}" aria-label="Estimated and realised accuracy over time">'
        f"{''.join(parts)}</svg>"
        '<p class="note">Accuracy. Line: the estimate with its interval. Dots: labels, when they arrived. '
        "Dashes: training.</p>"
    )


def _runs(periods: Sequence[AccuracyPeriod], down: Callable[[float], float]) -> Iterator[str]:
    """Yields band and line of successive periods with an estimate."""
    step = _WIDTH / len(periods)
    for has_estimate, run in groupby(enumerate(periods), lambda item: item[1].interval is not None):
        if not has_estimate:
            continue
        lines: list[list[str]] = [[], [], []]
        for place, each in run:
            low, high = each.interval or (0.0, 0.0)
            for line, share in zip(lines, (each.estimate or 0.0, high, low), strict=True):
                line += [f"{step * across:.1f},{down(share)}" for across in (place, place + 1)]
        estimate, upper, lower = lines
        yield f'<polygon class="band" points="{" ".join([*upper, *reversed(lower)])}"/>'
        yield f'<polyline class="stroke" points="{" ".join(estimate)}"/>'


def _axis(lowest: float) -> float:
    """Returns the tenth below a share, so that an axis up to 1 has a length."""
    return min(max(0.0, math.floor(lowest * 10) / 10), 0.9)
