"""Exact figures of the labelled predictions of a window, by their task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from otel_ml.ground_truth.exact import _classes, _numbers, _rankings, _sets
from otel_ml.ground_truth.exact._rows import Classes, Row, Rows

_KINDS: Final[Mapping[str, Callable[[], Rows]]] = {
    "regression": _numbers.NumberRows,
    "ranking": _rankings.RankingRows,
    "multilabel": _sets.SetRows,
}
"""Tasks whose labels are not one class, the first to be reported if a window has several."""


class Labelled:
    """The labelled predictions of a window, of which only what the figures need is kept."""

    def __init__(self) -> None:
        self._kinds: dict[str, Rows] = {}
        self.class_keys: set[str | None] = set()
        """Keys of the sets of classes that the models declared."""

    def add(self, rows: Sequence[Row]) -> None:
        """Takes the next rows."""
        self.class_keys.update(row[2] for row in rows)
        tasks = {row[0] for row in rows}
        for task in tasks:
            kind = task if task in _KINDS else ""
            if kind not in self._kinds:
                self._kinds[kind] = _KINDS.get(kind, _classes.ClassRows)()
            self._kinds[kind].add(rows if len(tasks) == 1 else [row for row in rows if row[0] == task])

    def figures(self, classes: Classes) -> dict[str, Any]:
        """Computes the figures; which ones depends on the task.

        Args:
            classes: The declared classes under each of the `class_keys`.
        """
        first = next((kind for kind in _KINDS if kind in self._kinds), "")
        return self._kinds.get(first, _classes.ClassRows()).figures(classes)
