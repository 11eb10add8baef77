"""Labelled predictions by segment: outcomes of classes, errors of a regression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from otel_ml import semconv
from otel_ml._figures import single
from otel_ml.ground_truth.live._series import Attributes, Count, LabelSeries, Sum

OUTCOMES: Final = ("tp", "fp", "fn", "tn")
"""Of a binary model whose positive class is known."""
ANSWERS: Final = ("correct", "wrong")
"""Of other classes."""
Segments = Iterable[tuple[str, str]]
"""Columns and their segments."""
_NAMELESS: Final = frozenset({semconv.OTHER, semconv.SEGMENT_MISSING_VALUE})
_T = TypeVar("_T")


class SegmentCounts:
    """Labelled predictions of one model by segment, each column by itself."""

    def __init__(self, series: LabelSeries) -> None:
        self._series = series
        self._outcomes = _Bounded(lambda about: self._start(about, OUTCOMES))
        self._answers = _Bounded(lambda about: self._start(about, ANSWERS))
        self._errors = _Bounded(self._start_errors)

    def expect(self, segments: Segments, task: str, *, has_positive: bool) -> None:
        """Starts at 0 what labels will add to; a ranking has no outcome."""
        if task == "ranking":
            return
        for pair in segments:
            if task == "regression":
                self._errors.find(*pair)
            else:
                (self._outcomes if has_positive else self._answers).find(*pair)

    def add_outcome(self, segments: Mapping[str, str], outcome: str) -> None:
        """Counts one prediction by one of the `OUTCOMES` or `ANSWERS`."""
        kind = self._outcomes if outcome in OUTCOMES else self._answers
        for column, value in segments.items():
            found = kind.find(column, value)
            if found is not None:
                found[outcome].add()

    def add_error(self, segments: Mapping[str, str], error: float) -> None:
        """Counts one error of a regression; one that is too large is left out, as in the other counts."""
        if not abs(error) <= single.LARGEST_ERROR:
            return
        for column, value in segments.items():
            found = self._errors.find(column, value)
            if found is not None:
                predictions, absolute, squared = found
                predictions.add()
                absolute.add(abs(error))
                squared.add(error * error)

    def _start(self, about: Attributes, outcomes: Sequence[str]) -> dict[str, Count] | None:
        metric = semconv.EVAL_SEGMENT_OUTCOMES
        if not self._series.has_room(metric, len(outcomes)):
            return None
        return {name: self._series.count(metric, {**about, semconv.EVAL_OUTCOME: name}) for name in outcomes}

    def _start_errors(self, about: Attributes) -> tuple[Count, Sum, Sum] | None:
        series = self._series
        if not series.has_room(semconv.EVAL_SEGMENT_PREDICTIONS, 1):
            return None
        return (
            series.count(semconv.EVAL_SEGMENT_PREDICTIONS, about),
            series.sum(semconv.EVAL_SEGMENT_ABSOLUTE_ERROR, about),
            series.sum(semconv.EVAL_SEGMENT_SQUARED_ERROR, about),
        )


class _Bounded(Generic[_T]):
    """What is counted of each segment; further segments of a column share one.

    Where services learn their segments, each replica may have others, and the store has those of all.

    Args:
        start: Starts the counts of a segment, from its attributes; None without room.
    """

    def __init__(self, start: Callable[[Attributes], _T | None]) -> None:
        self._start = start
        self._columns: dict[str, dict[str, _T | None]] = {}

    def find(self, column: str, value: str) -> _T | None:
        """Returns the counts of a segment; None if there is no room for it."""
        known = self._columns.get(column)
        if known is None:
            if len(self._columns) >= semconv.SEGMENT_COLUMNS:
                return None
            known = self._columns[column] = {}
        if value not in known and value not in _NAMELESS and len(known.keys() - _NAMELESS) >= semconv.SEGMENT_VALUES:
            value = semconv.OTHER
        if value not in known:
            known[value] = self._start({semconv.SEGMENT_NAME: column, semconv.SEGMENT_VALUE: value})
        return known[value]
