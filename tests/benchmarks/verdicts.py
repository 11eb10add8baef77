"""One row of the table: two figures, how they are compared, and whether the gate is kept."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

from arithmetic import above, paired_ratio
from programs import Results

Verdict = Literal["yes", "yes, aim too", "NO", "not run", "yes, by a published figure", "no, by a published figure", ""]
"""A published figure comes from another machine: it neither keeps nor misses a gate."""


@dataclass(frozen=True)
class Figure:
    """One figure of one contender."""

    program: str
    contender: str
    name: str
    is_quietest: bool = False
    """Whether the smallest value of a round's slices is the value of the round."""

    def seen(self, results: Results) -> list[float]:
        """Returns its value in every slice or round."""
        found = results.quietest if self.is_quietest else results.of
        return found(self.program, self.contender, self.name)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    key: str
    what: str
    unit: str
    ours: Figure
    peer: Figure | None = None
    base: Figure | None = None
    """What is subtracted from both, in the same round: the bare function or the bare application."""
    gate: float | None = None
    """Upper bound of the ratio, or of our own figure where there is no ratio."""
    aim: float | None = None
    judged: Literal["ratio", "value"] = "ratio"
    published: float | None = None
    """The published figure of the peer, if the peer could not be run."""
    slow: bool = False
    """Whether the peer is run with `--full` only."""
    scale: float = 1.0
    """From the programs' unit to the row's."""
    beside: str = ""
    """Name of the peer in the table, if one contender gives both figures."""

    def figures(self, *, full: bool) -> list[Figure]:
        """Returns the figures that must be measured."""
        wanted = (self.ours, None if self.slow and not full else self.peer, self.base)
        return [figure for figure in wanted if figure is not None]


@dataclass(frozen=True)
class Line:
    """A row with what was measured."""

    row: Row
    ours: float | None
    peer: float | None
    ratio: float | None
    kept: Verdict
    note: str


def judge(row: Row, results: Results) -> Line:
    """Computes the medians of the figures and of the ratios of each round, and whether the gate is kept."""
    ours = _values(row, row.ours, results)
    peer = _values(row, row.peer, results) if row.peer else []
    is_published = False
    note = next((why for figure in row.figures(full=True) for why in _why(figure, results)), "")
    if row.published is not None and not peer:
        peer = [row.published] * len(ours)
        is_published = True
    ratio = _ratio(ours, peer)
    mine = statistics.median(ours) if ours else None
    verdict = _verdict(row, mine if row.judged == "value" else ratio, is_failed=_is_failed(row, results))
    return Line(
        row,
        mine,
        statistics.median(peer) if peer else None,
        ratio,
        _by_publication(verdict) if is_published else verdict,
        note,
    )


def _ratio(ours: list[float], peer: list[float]) -> float | None:
    try:
        return paired_ratio(ours, peer)
    except ValueError:
        return None


def _by_publication(verdict: Verdict) -> Verdict:
    if verdict in {"", "not run"}:
        return verdict
    return "no, by a published figure" if verdict == "NO" else "yes, by a published figure"


def _values(row: Row, figure: Figure, results: Results) -> list[float]:
    values = figure.seen(results)
    if row.base is not None:
        values = above(values, row.base.seen(results))
    return [value * row.scale for value in values]


def _why(figure: Figure, results: Results) -> list[str]:
    place = f"{figure.program}/{figure.contender}"
    return [found[place] for found in (results.failed, results.unavailable) if place in found]


def _is_failed(row: Row, results: Results) -> bool:
    return any(f"{figure.program}/{figure.contender}" in results.failed for figure in row.figures(full=True))


def _verdict(row: Row, value: float | None, *, is_failed: bool) -> Verdict:
    if row.gate is None:
        return "NO" if is_failed else ""
    if value is None:
        return "NO" if is_failed else "not run"
    if value > row.gate:
        return "NO"
    return "yes, aim too" if row.aim is not None and value <= row.aim else "yes"
