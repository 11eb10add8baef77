"""Reads batches of features from frames, arrays, lists of rows and mappings of columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from otel_ml._guard import attempt
from otel_ml._values import line
from otel_ml._values.arrays import COLUMNS, NUMBERS, plain_array, slice_rows
from otel_ml._values.feature_names import NAME_LIMIT, feature_name, positional_names
from otel_ml._values.kinds import kind, pairs, sequence
from otel_ml._values.unread import UNREAD
from otel_ml.prediction.boundary._feature_batch import FEW_ROWS, FeatureBatch
from otel_ml.prediction.boundary._feature_rows import (
    is_row,
    warn_cut,
)
from otel_ml.prediction.boundary._records import FEATURE_LIMIT, find_nested, find_record
from otel_ml.quality import ColumnNames

ROW_LIMIT = 10_000
"""Rows of a batch that are read at once."""
CELL_LIMIT = 1_000_000
"""Values of a batch that are read at once: of a wide one fewer rows."""
_NESTED_DEPTH = 3
_PLAIN = frozenset({str, int, float, bool, list, type(None)})
_COLUMNS = COLUMNS | {"tensor"}
SHAPED = frozenset({"array", "tensor", "sparse", "shaped"})
"""Kinds of values with a shape of any number of dimensions."""


def columns_to_batch(items: list[tuple[Any, Any]], total: int) -> FeatureBatch | None:
    """Reads the values of a mapping if they are equally long columns of scalars; None if not."""
    rows = common_length([value for _, value in items])
    return None if rows is None else _batch(items, rows, total)


def has_default_names(features: Any, family: str) -> bool:
    """Whether a frame or a Series has only the names that its library gives to data without names. May raise."""
    pattern = None if family != "polars" else "column_{}"
    if family == "polars":
        names = list(features.columns)[: FEATURE_LIMIT + 1]
    else:
        index = features.columns if family == "pandas" else features.index
        if type(index.dtype).__name__ == "StringDtype":  # to list its texts costs as much as to count a column
            return not len(index)
        names = index[: FEATURE_LIMIT + 1].tolist()
    return all(
        type(name) is int and name == position if pattern is None else name == pattern.format(position)
        for position, name in enumerate(names)
    )


def frame_to_batch(frame: Any, family: str, names: Sequence[str] | None = None) -> FeatureBatch:
    """Reads a frame of pandas, polars or arrow. May raise, as its methods may.

    Args:
        frame: The frame.
        family: Which kind it is.
        names: Names of the columns of a frame that has none of its own.
    """
    rows, width = max(0, int(frame.shape[0])), max(0, int(frame.shape[1]))
    kept = rows_kept(width)
    items: list[tuple[Any, Any]]
    if family == "pandas":
        part = frame.iloc[:kept, :FEATURE_LIMIT]
        block = attempt(_block, part) if rows > FEW_ROWS else None
        if block is not None:
            items = list(zip(part.columns.tolist(), block, strict=True))
        elif rows <= FEW_ROWS:  # a Series for each column costs more than the values
            columns = part.to_numpy(dtype=object).T.tolist()
            items = list(zip(part.columns.tolist(), columns, strict=True))
        else:
            items = list(part.items())
    elif family == "polars":
        items = [(column.name, column) for column in frame.head(kept).get_columns()[:FEATURE_LIMIT]]
    else:
        items = list(zip(frame.column_names, frame.slice(0, kept).columns, strict=True))[:FEATURE_LIMIT]
    if names is not None:
        items = list(zip(positional_names(names, len(items)), (value for _, value in items), strict=True))
    return _batch(items, rows, width)


def structured_to_batch(array: Any) -> FeatureBatch:
    """Reads a structured numpy array, whose fields have names. May raise, as its methods may."""
    names = array.dtype.names
    kept = rows_kept(len(names))
    return _batch([(name, array[name][:kept]) for name in names[:FEATURE_LIMIT]], len(array), len(names))


def array_to_batch(array: Any, names: Sequence[str] | None) -> FeatureBatch | None:
    """Reads a two-dimensional array of many rows of numbers; None for any other, which is read row by row."""
    rows, width = first_dimension(array) or 0, array_width(array)
    if rows <= FEW_ROWS or array.ndim != 2 or array.dtype.kind not in NUMBERS:
        return None
    block = plain_array(array)[: rows_kept(width), :FEATURE_LIMIT].T.copy()
    return _batch(list(zip(positional_names(names, len(block)), block, strict=True)), rows, width)


def _block(part: Any) -> Any:
    """Returns the columns of a pandas frame as the rows of one array, a view, if all are numbers of one type."""
    block = part.to_numpy() if len(set(part.dtypes)) == 1 else None
    return None if block is None or block.dtype.kind not in NUMBERS else block.T


def rows_to_batch(
    items: list[Any], total: int, names: Sequence[str] | None, wide: int, columns: ColumnNames | None = None
) -> FeatureBatch | None:
    """Reads a list of rows, which are sequences or records; None if their values are rows again.

    Args:
        items: The rows.
        total: How many there were, with those left out.
        names: Names of the columns of sequences.
        wide: Columns that the whole input has by its shape.
        columns: The declared columns, which the fields of records may mean by an alias.
    """
    records = find_record(items[0]) is not None
    width = len(find_record(items[0]) or []) if records else (sequence(items[0], 0) or ([], 0))[1]
    kept = items[: rows_kept(width)]
    found = (
        _expanded(*_by_column(kept, columns), columns, _NESTED_DEPTH)
        if records
        else _by_position([sequence(item, FEATURE_LIMIT) or ([], 0) for item in kept], names)
    )
    if found is None:
        return None
    named, width = found
    batch = _batch(named, len(kept), max(width, wide))
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


Named = list[tuple[str, list[Any]]]


def _by_column(rows: list[Any], columns: ColumnNames | None) -> tuple[Named, int]:
    """Returns the values of records by column, and how many columns there were."""
    alike = attempt(_alike, rows)
    if alike is not None:
        return alike, len(alike)
    found: dict[str, list[Any]] = {}
    total = 0
    for position, row in enumerate(rows):
        record = find_record(row, columns) or []
        total = max(total, len(record), (pairs(row, 0) or ([], 0))[1])
        own: dict[str, None] = {}
        for order, (key, value) in enumerate(record):
            name = feature_name(key, order, own)
            own[name] = None
            if name not in found and len(found) >= FEATURE_LIMIT:
                total = max(total, len(found) + 1)
                continue
            column = found.setdefault(name, [])
            column += [None] * (position - len(column))
            column.append(value)
    return list(found.items()), max(total, len(found))


def _alike(rows: list[Any]) -> Named | None:
    """Returns the columns of mappings that all have the same clean names; None for others. May raise a KeyError."""
    first = rows[0]
    if set(map(type, rows)) != {dict} or set(map(len, rows)) != {len(first)} or len(first) > FEATURE_LIMIT:
        return None
    if any(type(name) is not str or line(name, NAME_LIMIT) != name or not name for name in first):
        return None
    return [(name, [row[name] for row in rows]) for name in first]


def _expanded(named: Named, total: int, columns: ColumnNames | None, depth: int) -> tuple[Named, int]:
    """Replaces undeclared columns of records by one column for each of their values, named by its path."""
    found: Named = []
    for name, values in named:
        first = next((value for value in values if value is not None), None)
        is_record = depth and type(first) not in _PLAIN and (pairs(first, 0) or find_nested(first))
        if not is_record or (columns is not None and columns.find(name) is not None):
            found.append((name, values))
            continue
        inner, width = _by_column(
            [{} if pairs(value, 0) is None and find_nested(value) is None else value for value in values], columns
        )
        inner, width = _expanded(inner, width, columns, depth - 1)
        total += width - 1
        found += [(f"{name}.{part}"[:NAME_LIMIT], part_values) for part, part_values in inner]
    return found[:FEATURE_LIMIT], total


def _batch(items: Iterable[tuple[Any, Any]], rows: int, total: int) -> FeatureBatch:
    kept = min(rows, rows_kept(total))
    columns: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    for position, (key, value) in enumerate(items):
        name = feature_name(key, position, columns)
        column = _view(value, kept)
        columns[name] = [None] * kept if column is None else column
        if column is None:
            marks[name] = UNREAD
    if total > len(columns):
        warn_cut(total)
    return FeatureBatch(columns, kept, rows, total, marks)


def _view(value: Any, rows: int) -> Any:
    """Returns the first values of a column, not copied if it is one of a known library; None if it cannot be read."""
    if kind(value) in COLUMNS:
        part = attempt(slice_rows, value, 0, rows)
        if part is not None and attempt(len, part) == rows and (kind(value) != "array" or part.ndim == 1):
            return part
    found = sequence(value, rows)
    return None if found is None else found[0] + [None] * (rows - len(found[0]))


def rows_kept(width: int) -> int:
    """Returns how many rows of a batch with this many columns are kept."""
    return max(1, min(ROW_LIMIT, CELL_LIMIT // max(1, min(width, FEATURE_LIMIT))))


def common_length(values: list[Any]) -> int | None:
    """Returns the common length of equally long columns of scalars; None for anything else."""
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
    if family in SHAPED:
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
