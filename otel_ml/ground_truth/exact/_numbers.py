"""Figures of regressions."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any, Final

from otel_ml._figures.errors import measure_errors
from otel_ml._figures.single import LARGEST_ERROR
from otel_ml.ground_truth.exact._rows import NOTES, Classes, Row, describe

_BEYOND: Final = f"an error beyond {LARGEST_ERROR:g}"


class NumberRows:
    """Predicted and true numbers, of the rows that have both."""

    def __init__(self) -> None:
        self._labelled = 0
        self._beyond = 0
        """Rows whose error is too large."""
        self._predicted = array("d")
        self._actual = array("d")

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._labelled += 1
            if row[7] is None or row[8] is None:
                continue
            if abs(row[7] - row[8]) > LARGEST_ERROR:
                self._beyond += 1
                continue
            self._predicted.append(row[7])
            self._actual.append(row[8])

    def figures(self, classes: Classes) -> dict[str, Any]:  # noqa: ARG002 - a regression has none
        count = len(self._predicted)
        figures = {
            "count": count,
            "labelled": self._labelled,
            **describe(measure_errors(self._predicted, self._actual)),
        }
        known = count + self._beyond
        left_out = {"no number on both sides": known and self._labelled - known, _BEYOND: self._beyond}
        notes = [
            f"{rows} of {self._labelled} labelled predictions have {why}: no figure has them"
            for why, rows in left_out.items()
            if rows
        ]
        return {**figures, NOTES: notes} if notes else figures
