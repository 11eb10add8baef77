"""Many rows of features made in one call, by column: frames, arrays, lists of rows, mappings of columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from otel_ml._guard import attempt
from otel_ml._kinds import kind, pairs, sequence
from otel_ml._values import cell
from otel_ml.prediction.boundary._feature_rows import (
    FEATURE_LIMIT,
    KEPT_AS_THEY_ARE,
    feature_name,
    find_record,
    is_row,
    positional_names,
    warn_cut,
)

ROW_LIMIT = 10_000
"""Rows kept of a batch."""
CELL_LIMIT = 1_000_000
"""Values kept of a batch: a wide one keeps fewer rows."""
_FEW_ROWS = 64
_POINTER = 8
_VALUES_SIZED = 32
"""Values of a column whose size is read."""
_COLUMNS = frozenset({"array", "tensor", "series", "index", "polars_series", "arrow_array"})
_SHAPED = frozenset({"array", "tensor", "shaped"})


@dataclass(slots=True)
class FeatureBatch:
    """The features of many predictions made in one call, by column."""

    columns: dict[str, list[object]]
    """Plain scalars, one list a feature, each as long as `rows`."""
    rows: int
    """Rows kept: the first ones."""
    total_rows: int
    """Rows of the input."""

    def size(self) -> int:
        """Estimates the bytes: for each column the largest of a few values, times the rows."""
        step = max(1, self.rows // _VALUES_SIZED)
        return sum(
            self.rows * (_POINTER + max(map(getsizeof, column[::step]), default=0)) for column in self.columns.values()
        )

    def row(self, position: int) -> dict[str, object]:
        """Returns the features of one kept row."""
        return {name: column[position] for name, column in self.columns.items()}


def columns_to_batch(items: list[tuple[Any, Any]], total: int) -> FeatureBatch | None:
    """Copies the values of a mapping if they are equally long columns of scalars; None if not."""
    rows = common_length([value for _, value in items])
    return None if rows is None else _batch(items, rows, total)


def frame_to_batch(frame: Any, family: str) -> FeatureBatch:
    """Copies a frame of pandas, polars or arrow. May raise, as its methods may."""
    rows, width = max(0, int(frame.shape[0])), max(0, int(frame.shape[1]))
    kept = rows_kept(width)
    items: list[tuple[Any, Any]]
    if family == "pandas":
        part = frame.iloc[:kept, :FEATURE_LIMIT]
        if rows <= _FEW_ROWS:  # a Series for each column costs more than the values
            columns = part.to_numpy(dtype=object).T.tolist()
            items = list(zip(part.columns.tolist(), columns, strict=True))
        else:
            items = list(part.items())
    elif family == "polars":
        items = [(column.name, column) for column in frame.head(kept).get_columns()[:FEATURE_LIMIT]]
    else:
        items = list(zip(frame.column_names, frame.slice(0, kept).columns, strict=True))[:FEATURE_LIMIT]
    return _batch(items, rows, width)


def rows_to_batch(items: list[Any], total: int, names: Sequence[str] | None, wide: int) -> FeatureBatch | None:
    """Copies a list of rows, which are sequences or records; None if their values are rows again.

    Args:
        items: The rows.
        total: How many there were, with those left out.
        names: Names of the columns of sequences.
        wide: Columns that the whole input has by its shape.
    """
    records = find_record(items[0]) is not None
    width = len(find_record(items[0]) or []) if records else (sequence(items[0], 0) or ([], 0))[1]
    kept = items[: rows_kept(width)]
    if records:
        columns, width = _by_column([find_record(item) or [] for item in kept])
    else:
        found = _by_position([sequence(item, FEATURE_LIMIT) or ([], 0) for item in kept], names)
        if found is None:
            return None
        columns, width = found
    batch = _batch(columns, len(kept), max(width, wide))
    batch.total_rows = total
    return batch


def _by_position(
    rows: list[tuple[list[Any], int]], names: Sequence[str] | None
) -> tuple[list[tuple[str, list[Any]]], int] | None:
    if any(is_row(value) for value in rows[0][0][:1]):
        return None
    width = max(len(row) for row, _ in rows)
    padded = [row if len(row) == width else row + [None] * (width - len(row)) for row, _ in rows]
    columns = list(zip(positional_names(names, width), map(list, zip(*padded, strict=True)), strict=True))
    return columns, max(size for _, size in rows)


def _by_column(records: list[list[tuple[Any, Any]]]) -> tuple[list[tuple[str, list[Any]]], int]:
    columns: dict[str, list[Any]] = {}
    total = 0
    for position, record in enumerate(records):
        total = max(total, len(record))
        own: dict[str, None] = {}
        for order, (key, value) in enumerate(record):
            name = feature_name(key, order, own)
            own[name] = None
            if name not in columns and len(columns) >= FEATURE_LIMIT:
                total = max(total, len(columns) + 1)
                continue
            column = columns.setdefault(name, [])
            column += [None] * (position - len(column))
            column.append(value)
    return list(columns.items()), max(total, len(columns))


def _batch(items: Iterable[tuple[Any, Any]], rows: int, total: int) -> FeatureBatch:
    kept = min(rows, rows_kept(total))
    columns: dict[str, list[object]] = {}
    for position, (key, value) in enumerate(items):
        found = sequence(value, kept)
        column = found[0] if found is not None else []
        if not attempt(KEPT_AS_THEY_ARE.issuperset, map(type, column)):
            column = [cell(value) for value in column]
        if len(column) < kept:
            column = column + [None] * (kept - len(column))
        columns[feature_name(key, position, columns)] = column
    if total > len(columns):
        warn_cut(total)
    return FeatureBatch(columns, kept, rows)


def rows_kept(width: int) -> int:
    """Returns how many rows of a batch with this many columns are kept."""
    return max(1, min(ROW_LIMIT, CELL_LIMIT // max(1, min(width, FEATURE_LIMIT))))


def common_length(values: list[Any]) -> int | None:
    """Returns the length of all of these if they are equally long columns of scalars."""
    length: int | None = None
    for value in values:
        found = _column_length(value)
        if found is None or (length is not None and found != length):
            return None
        length = found
    return length


def _column_length(value: object) -> int | None:
    """Returns the length of a column of scalars; None for a list of lists."""
    family = kind(value)
    if family and family not in _COLUMNS:
        return None
    if family in _SHAPED:
        return None if attempt(dimensions, value) != 1 else attempt(_first_of_shape, value)
    found = sequence(value, 1)
    if found is None or (found[0] and (sequence(found[0][0], 0) or pairs(found[0][0], 0))):
        return None
    return found[1]


def dimensions(value: Any) -> int:
    """Returns how many dimensions an array has. May raise."""
    return len(value.shape)


def _first_of_shape(value: Any) -> int:
    return max(0, int(value.shape[0]))


def first_dimension(value: Any) -> int | None:
    """Returns the rows of an array of two or more dimensions. May raise."""
    return int(value.shape[0]) if len(value.shape) > 1 else None


def array_width(value: Any) -> int:
    """Returns the columns of an array of two or more dimensions. May raise."""
    return int(value.shape[1])
