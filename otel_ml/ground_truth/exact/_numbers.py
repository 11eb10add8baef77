"""Figures of regressions."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

from otel_ml._figures.errors import measure_errors
from otel_ml.ground_truth.exact._rows import NOTES, Classes, Row, describe


class NumberRows:
    """Predicted and true numbers, of the rows that have both."""

    def __init__(self) -> None:
        self._labelled = 0
        self._predicted = array("d")
        self._actual = array("d")

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._labelled += 1
            if row[7] is not None and row[8] is not None:
                self._predicted.append(row[7])
                self._actual.append(row[8])

    def figures(self, classes: Classes) -> dict[str, Any]:  # noqa: ARG002 - a regression has none
        count = len(self._predicted)
        figures = {
            "count": count,
            "labelled": self._labelled,
            **describe(measure_errors(self._predicted, self._actual)),
        }
        left_out = self._labelled - count
        if count and left_out:
            figures[NOTES] = [
                f"{left_out} of {self._labelled} labelled predictions have no number on both sides: no figure has them"
            ]
        return figures
