"""Labelled predictions as they come from the store, and how a result names its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from otel_ml._figures.confusion import SLOPES, ClassCounts
from otel_ml._figures.intervals import NONE, Estimate

INTERVALS: Final = "intervals"
"""The key of the intervals, by figure."""
NOTES: Final = "notes"
"""The key of the notes about the figures, such as why one is None; absent without notes."""
Classes = Mapping[str | None, Sequence[str] | None]
"""Sets of declared classes, by key."""


Row = Sequence[Any]
"""The values of a `LabelledRow`, as the database returns them."""


class LabelledRow(NamedTuple):
    """The columns of a labelled prediction from which figures are computed."""

    task: str
    positive: str | None
    classes: str | None
    """Key of the declared classes."""
    predicted: str | None
    label: str
    score: float | None
    probabilities: bytes | None
    """Little-endian doubles, one for each declared class."""
    value: float | None
    number: float | None


class Rows(Protocol):
    """The labelled predictions of one task."""

    def add(self, rows: Iterable[Row]) -> None:
        """Takes rows of the task."""

    def figures(self, classes: Classes) -> dict[str, Any]:
        """Computes the figures of all rows taken."""


def describe(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Returns figures by name, and beside them the intervals of those that have one."""
    intervals = {name: list(each.interval) for name, each in estimates.items() if each.interval is not None}
    return {**{name: each.value for name, each in estimates.items()}, INTERVALS: intervals}


def describe_class(
    counts: ClassCounts | None, scores: Mapping[str, Estimate], *, is_defined: bool = True
) -> dict[str, Any]:
    """Returns the figures of one class.

    Args:
        counts: How it was predicted; None if it was neither predicted nor true.
        scores: The figures of its probability.
        is_defined: Whether predicted and actual classes are of one vocabulary.
    """
    is_known = counts is not None and is_defined
    figures = {name: getattr(counts, name)() if is_known else NONE for name in SLOPES}
    described = describe({**figures, **scores})
    intervals = described.pop(INTERVALS)
    return {**described, "count": 0 if counts is None else counts.tp + counts.fn, INTERVALS: intervals}
