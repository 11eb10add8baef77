"""Labelled predictions of classes, grouped by what is equal in them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from otel_ml.ground_truth.exact._rows import Row


@dataclass(slots=True)
class LabelledGroup:
    """Predictions with the same task, declared and predicted class, and label."""

    task: str
    positive: str | None
    class_key: str | None
    predicted: str | None
    label: str
    count: int = 0
    scores: array[float] = field(default_factory=lambda: array("d"))
    """Of the predictions that have one."""
    probabilities: array[float] = field(default_factory=lambda: array("d"))
    """One for each declared class, of the predictions that have them, one after the other."""


def group_rows(groups: dict[tuple[str | None, ...], LabelledGroup], rows: Iterable[Row]) -> None:
    """Adds rows to their groups."""
    for row in rows:
        key = tuple(row[:5])
        group = groups.get(key)
        if group is None:
            group = groups[key] = LabelledGroup(*key)
        group.count += 1
        if row[5] is not None:
            group.scores.append(row[5])
        if row[6] is not None:
            group.probabilities.frombytes(row[6])


def column(group: LabelledGroup, classes: Sequence[str], name: str) -> array[float]:
    """Returns the probabilities of one class; 0 if it is not among the declared ones, as in an earlier version."""
    if name in classes:
        return group.probabilities[classes.index(name) :: len(classes)]
    return array("d", bytes(len(group.probabilities) // len(classes) * group.probabilities.itemsize))
