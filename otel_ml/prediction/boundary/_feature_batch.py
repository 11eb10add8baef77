"""A batch of features: the rows of many predictions made in one call, by column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from sys import getsizeof
from typing import Any

from otel_ml._guard import attempt
from otel_ml._values import cell
from otel_ml._values.arrays import NUMBERS
from otel_ml._values.kinds import kind, sequence
from otel_ml._values.missing import is_missing
from otel_ml._values.unread import UNKNOWN, UNREAD, mark
from otel_ml.prediction.boundary._feature_rows import KEPT_AS_THEY_ARE

ROWS_IN_EVENT = 100
"""Rows of a batch that its event has at most."""
FEW_ROWS = 64
"""Rows that are copied as a whole and left to the worker."""
_POINTER = 8
_VALUES_SIZED = 32
"""Values of a column whose size is read."""


@dataclass(slots=True)
class FeatureBatch:
    """The features of many predictions made in one call, by column."""

    columns: dict[str, Any]
    """One column a feature, each as long as `rows`: as read, those of the caller; after `copy`, lists of plain scalars
    and numpy arrays of numbers of our own."""
    rows: int
    """Rows read: the first ones."""
    total_rows: int
    """Rows of the input."""
    total_columns: int = 0
    """Features of the input."""
    marks: dict[str, Any] = field(default_factory=dict)
    """What is counted in place of columns that were not read, or not in whole: `UNREAD`, or a list with marks."""
    is_counted: bool = False
    """Whether its rows are in the bins already."""

    def copy(self, rows: int) -> FeatureBatch:
        """Returns plain copies of the first rows; no object of the caller's is kept."""
        kept = min(rows, self.rows)
        columns: dict[str, Any] = {}
        marks = dict(self.marks)
        for name, column in self.columns.items():
            columns[name], marked = _copy_column(column, kept)
            if marked is not None:
                marks[name] = marked
        return replace(self, columns=columns, rows=kept, marks=marks)

    def has_unread_values(self, names: Iterable[str]) -> bool:
        """Whether a value of these columns cannot be read, such as a nested one."""
        return any(name in self.marks or _copy_column(self.columns[name], self.rows)[1] for name in names)

    def size(self) -> int:
        """Estimates the bytes: for each column the largest of a few values, times the rows."""
        step = max(1, self.rows // _VALUES_SIZED)
        return sum(
            self.rows * (_POINTER + max(map(getsizeof, column[::step]), default=0))
            if type(column) is list
            else column.nbytes
            for column in self.columns.values()
        )

    def row(self, position: int) -> dict[str, object]:
        """Returns the features of one kept row."""
        return {
            name: column[position] if type(column) is list else column[position].item()
            for name, column in self.columns.items()
        }

    def first_rows(self, names: Sequence[str], count: int) -> list[dict[str, object]]:
        """Returns some features of the first kept rows."""
        columns = [self.columns[name][:count] for name in names]
        plain = [column if type(column) is list else column.tolist() for column in columns]
        if not names:
            return [{} for _ in range(min(count, self.rows))]
        return [dict(zip(names, values, strict=True)) for values in zip(*plain, strict=True)]


Features = dict[str, object] | FeatureBatch
"""The copied features of one prediction: a row, or a batch of rows."""


def _copy_column(column: Any, rows: int) -> tuple[Any, list[object] | None]:
    """Returns the first values as plain ones, and again with marks in place of those that were not read, if any."""
    array = None if type(column) is list else attempt(_number_array, column, rows)
    if array is not None:
        return array.copy(), None
    found = sequence(column, rows)
    given = found[0] if found is not None else [None] * rows
    if attempt(KEPT_AS_THEY_ARE.issuperset, map(type, given)):
        return given, None
    copied: list[object] = [cell(value) for value in given]
    if None not in copied:
        return copied, None
    marked = [
        found if found is not None or is_missing(value) else mark(value)
        for value, found in zip(given, copied, strict=True)
    ]
    return copied, marked if UNREAD in marked or UNKNOWN in marked else None


def _number_array(column: Any, rows: int) -> Any:
    """Returns the first values of a numpy array or a Series of numbers as an array, a view. May raise."""
    family = kind(column)
    if rows <= FEW_ROWS or family not in ("array", "series"):
        return None
    part = column[:rows] if family == "array" else column.iloc[:rows].to_numpy()
    return part if part.dtype.kind in NUMBERS else None
