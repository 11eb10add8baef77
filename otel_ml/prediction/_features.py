"""What a prediction was made from: a plain bounded copy of the features, taken on the caller's thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from sys import getsizeof
from types import FunctionType, MethodType, ModuleType
from typing import Any

from otel_ml._guard import attempt, warn_once
from otel_ml._kinds import kind, pairs, sequence
from otel_ml._values import TEXT_LIMIT, Copy, cell, line

FEATURE_LIMIT = 1000
"""Features kept of one prediction."""
ROW_LIMIT = 10_000
"""Rows kept of a batch."""
CELL_LIMIT = 1_000_000
"""Values kept of a batch: a wide one keeps fewer rows."""
NAME_LIMIT = 256
"""Characters kept of a feature's name."""
CUT = "__truncated__"
"""The feature that stands for those that were left out of a row; its value says how many there were in all."""

_NESTED_DEPTH = 3
_NESTED_ITEMS = 100
_NAME_PARTS = 8
_FEW_ROWS = 64
_AS_THEY_ARE = frozenset({float, bool, type(None)})
_TEXT = frozenset({str})
_SEEN_LIMIT = 128
_POINTER = 8
_WEIGHED = 32
"""Values of a column that are weighed."""
_seen: dict[int, dict[str, object]] = {}
"""The names of the newest clean row of each length: a service predicts from the same features again and again."""
_FRAMES = frozenset({"pandas", "polars", "arrow"})
_SHAPED = frozenset({"array", "tensor", "shaped"})
_COLUMNS = frozenset({"array", "tensor", "series", "index", "polars_series", "arrow_array"})
_NOT_RECORDS = (type, FunctionType, MethodType, ModuleType, BaseException)


@dataclass(slots=True)
class Batch:
    """The features of many predictions made in one call, by column."""

    columns: dict[str, list[object]]
    """Plain scalars, one list a feature, each as long as `rows`."""
    rows: int
    """Rows kept: the first ones."""
    total_rows: int
    """Rows that there were."""
    total_columns: int = 0
    """Features that there were."""

    def weight(self) -> int:
        """Bytes, about: of each column the largest of a few values, for all."""
        step = max(1, self.rows // _WEIGHED)
        return sum(
            self.rows * (_POINTER + max(map(getsizeof, column[::step]), default=0)) for column in self.columns.values()
        )

    def row(self, position: int) -> dict[str, object]:
        """The features of one kept row."""
        return {name: column[position] for name, column in self.columns.items()}


LIGHT = 4096
"""Bytes of a row that need no bound of their own while it waits for the worker."""


def weight_of(row: dict[str, object]) -> int:
    """Bytes that the values of a row of scalars hold."""
    return sum(map(getsizeof, row.values()))


def is_positional(features: object) -> bool:
    """Whether the values come without names: arrays, and lists or tuples of scalars or of such."""
    family = kind(features)
    if family in _FRAMES or family in ("series", "polars_series") or pairs(features, 0) is not None:
        return False
    if family in _SHAPED:
        return True
    listed = sequence(features, 1)
    if listed is None or not listed[0]:
        return listed is not None
    first = listed[0][0]
    return sequence(first, 0) is not None or not _is_row(first)


def width(features: object) -> int | None:
    """Values of one row of a positional input."""
    family = kind(features)
    if family in _SHAPED:
        dimensions = attempt(_dimensions, features)
        return attempt(_width, features) if dimensions == 2 else attempt(len, features)
    listed = sequence(features, 1)
    inner = sequence(listed[0][0], 0) if listed is not None and listed[0] else None
    return inner[1] if inner is not None else None if listed is None else listed[1]


def snapshot(features: object, *, names: Sequence[str] | None = None) -> dict[str, object] | Batch | None:
    """Copies what came in as one row or as a batch of rows; nothing of the caller's is kept.

    A mapping, an object with attributes, a Series or a one-dimensional array is a row; a frame, a two-dimensional
    array, a list of rows and a mapping of equally long columns are a batch; a scalar is the feature ``value``. None for
    what cannot be read without a transfer, a conversion or a side effect: device tensors, iterators, web requests.

    Args:
        features: Whatever the predicting function was called with.
        names: Names of the columns of arrays and lists; ``f0``, ``f1``, ... where they do not reach.
    """
    if type(features) is dict and len(features) <= FEATURE_LIMIT:
        row = attempt(_known, features) or attempt(_flat, features.copy())
        if row is not None:
            return row
    return None if features is None else _read(features, kind(features), names)


def _read(features: object, family: str, names: Sequence[str] | None) -> dict[str, object] | Batch | None:
    if family in _FRAMES:
        return attempt(_frame, features, family)
    found = pairs(features, FEATURE_LIMIT) or attempt(_labelled, features, family)
    if found is not None:
        return _columns(*found) or _row(*found)
    record = None if family else _record(features)
    if record is not None:
        return _row(record, len(record))
    width = (attempt(_width, features) if family in _SHAPED else None) or 1
    listed = sequence(features, _rows_kept(width))
    if listed is not None:
        return _listed(*listed, names, width)
    value = cell(features)
    return None if value is None else {"value": value}


def scalar_row(features: dict[Any, object]) -> dict[str, object] | None:
    """`snapshot` of an exact dict of scalars with text names; None for any other, which takes the general way."""
    return attempt(_known, features) if len(features) <= FEATURE_LIMIT else None


def row_count(features: object) -> int | None:
    """Rows of a frame, of an array of two or more dimensions, of a list of rows, of columns; None for a single row."""
    family = kind(features)
    if family in _FRAMES:
        return attempt(len, features)
    if family in _SHAPED:
        return attempt(_first_dimension, features)
    found = pairs(features, FEATURE_LIMIT)
    if found is not None:
        return _common_length([value for _, value in found[0]])
    listed = None if family or _record(features) else sequence(features, 1)
    return listed[1] if listed is not None and listed[0] and _is_row(listed[0][0]) else None


def _is_row(value: object) -> bool:
    return sequence(value, 0) is not None or _record(value) is not None


def _known(features: dict[str, object]) -> dict[str, object] | None:
    """The copy of a mapping whose names were seen before: merging into them keeps ours and spares their check."""
    names = _seen.get(len(features))
    row = names | features if names is not None else {}
    if len(row) != len(features):
        return None
    return row if _AS_THEY_ARE.issuperset(map(type, row.values())) else _within_limits(row)


def _flat(row: dict[str, object]) -> dict[str, object] | None:
    """A row of clean names and scalars; None for any other. Types are compared, names and values never."""
    if not _TEXT.issuperset(map(type, row)):
        return None
    names = "".join(row)
    if not names.isprintable() or (len(names) > NAME_LIMIT and max(map(len, row)) > NAME_LIMIT):
        return None
    if len(row) <= _SEEN_LIMIT:
        _seen[len(row)] = dict.fromkeys(row)
    return row if _AS_THEY_ARE.issuperset(map(type, row.values())) else _within_limits(row)


def _within_limits(row: dict[str, object]) -> dict[str, object] | None:
    for name, value in row.items():
        cls = type(value)
        if cls is float or cls is bool or value is None:
            continue
        if cls is str and len(value) <= TEXT_LIMIT and value.isprintable():  # type: ignore[arg-type,attr-defined]
            continue
        plain_value = cell(value)
        if plain_value is None:
            return None
        row[name] = plain_value
    return row


def _row(items: Iterable[tuple[Any, Any]], total: int) -> dict[str, object]:
    nested = Copy(_NESTED_ITEMS)
    row: dict[str, object] = {}
    for position, (key, value) in enumerate(items):
        plain_value: object = cell(value)
        if plain_value is None:
            plain_value = nested.convert(value, _NESTED_DEPTH)
        row[_name(key, position, row)] = plain_value
    if total > len(row):
        row[CUT] = total
        _warn(total)
    return row


def _name(key: object, position: int, taken: dict[str, Any]) -> str:
    """A feature's name: clean, short, and its own even when two keys read the same."""
    if type(key) is tuple:  # the columns of a pandas MultiIndex
        name = ".".join(line(part, NAME_LIMIT) or "" for part in key[:_NAME_PARTS])[:NAME_LIMIT]
    else:
        name = line(key, NAME_LIMIT) or f"f{position}"
    if name in taken:
        name = f"{name}#{position}"
        while name in taken:
            name += "#"
    return name


def _warn(total: int) -> None:
    warn_once("features.cut", f"otel-ml: {total} features in one prediction; the first {FEATURE_LIMIT} are kept")


def _columns(items: list[tuple[Any, Any]], total: int) -> Batch | None:
    """A batch, when the values of a mapping are equally long columns of scalars."""
    rows = _common_length([value for _, value in items])
    return None if rows is None else _batch(items, rows, total)


def _batch(items: Iterable[tuple[Any, Any]], rows: int, total: int) -> Batch:
    kept = min(rows, _rows_kept(total))
    columns: dict[str, list[object]] = {}
    for position, (key, value) in enumerate(items):
        found = sequence(value, kept)
        column = found[0] if found is not None else []
        if not attempt(_AS_THEY_ARE.issuperset, map(type, column)):
            column = [cell(value) for value in column]
        if len(column) < kept:
            column = column + [None] * (kept - len(column))
        columns[_name(key, position, columns)] = column
    if total > len(columns):
        _warn(total)
    return Batch(columns, kept, rows, total)


def _rows_kept(width: int) -> int:
    return max(1, min(ROW_LIMIT, CELL_LIMIT // max(1, min(width, FEATURE_LIMIT))))


def _common_length(values: list[Any]) -> int | None:
    length: int | None = None
    for value in values:
        found = _column_length(value)
        if found is None or (length is not None and found != length):
            return None
        length = found
    return length


def _column_length(value: object) -> int | None:
    """The length of a column of scalars; a list of lists is no column."""
    family = kind(value)
    if family and family not in _COLUMNS:
        return None
    if family in _SHAPED:
        return None if attempt(_dimensions, value) != 1 else attempt(_first_of_shape, value)
    found = sequence(value, 1)
    if found is None or (found[0] and (sequence(found[0][0], 0) or pairs(found[0][0], 0))):
        return None
    return found[1]


def _dimensions(value: Any) -> int:
    return len(value.shape)


def _first_of_shape(value: Any) -> int:
    return max(0, int(value.shape[0]))


def _first_dimension(value: Any) -> int | None:
    return int(value.shape[0]) if len(value.shape) > 1 else None


def _width(value: Any) -> int:
    return int(value.shape[1])


def _labelled(value: Any, family: str) -> tuple[list[tuple[Any, Any]], int] | None:
    if family != "series":
        return None
    part = value.iloc[:FEATURE_LIMIT]
    return list(zip(part.index.tolist(), part.tolist(), strict=True)), len(value)


def _frame(frame: Any, family: str) -> Batch:
    rows, width = max(0, int(frame.shape[0])), max(0, int(frame.shape[1]))
    kept = _rows_kept(width)
    items: list[tuple[Any, Any]]
    if family == "pandas":
        part = frame.iloc[:kept, :FEATURE_LIMIT]
        if rows <= _FEW_ROWS:  # a Series a column costs more than the values do
            columns = part.to_numpy(dtype=object).T.tolist()
            items = list(zip(part.columns.tolist(), columns, strict=True))
        else:
            items = list(part.items())
    elif family == "polars":
        items = [(column.name, column) for column in frame.head(kept).get_columns()[:FEATURE_LIMIT]]
    else:
        items = list(zip(frame.column_names, frame.slice(0, kept).columns, strict=True))[:FEATURE_LIMIT]
    return _batch(items, rows, width)


def _listed(items: list[Any], total: int, names: Sequence[str] | None, wide: int) -> dict[str, object] | Batch | None:
    """One row of scalars, or a batch of rows, which are sequences or records."""
    if not items or not _is_row(items[0]):
        return _row(zip(_names(names, min(total, FEATURE_LIMIT)), items, strict=False), total)
    records = _record(items[0]) is not None
    width = len(_record(items[0]) or []) if records else (sequence(items[0], 0) or ([], 0))[1]
    kept = items[: _rows_kept(width)]
    if records:
        columns, width = _by_column([_record(item) or [] for item in kept])
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
    if any(_is_row(value) for value in rows[0][0][:1]):
        return None
    width = max(len(row) for row, _ in rows)
    padded = [row if len(row) == width else row + [None] * (width - len(row)) for row, _ in rows]
    columns = list(zip(_names(names, width), map(list, zip(*padded, strict=True)), strict=True))
    return columns, max(size for _, size in rows)


def _by_column(records: list[list[tuple[Any, Any]]]) -> tuple[list[tuple[str, list[Any]]], int]:
    columns: dict[str, list[Any]] = {}
    total = 0
    for position, record in enumerate(records):
        total = max(total, len(record))
        own: dict[str, None] = {}
        for order, (key, value) in enumerate(record):
            name = _name(key, order, own)
            own[name] = None
            if name not in columns and len(columns) >= FEATURE_LIMIT:
                total = max(total, len(columns) + 1)
                continue
            column = columns.setdefault(name, [])
            column += [None] * (position - len(column))
            column.append(value)
    return list(columns.items()), max(total, len(columns))


def _record(value: object) -> list[tuple[Any, Any]] | None:
    """The named values of a row that is a mapping, a named tuple or an object with attributes."""
    found = pairs(value, FEATURE_LIMIT)
    if found is not None:
        return found[0]
    if issubclass(type(value), tuple):
        return attempt(_named, value)
    return None if cell(value) is not None or sequence(value, 0) else attempt(_attributes, value)


def _named(value: Any) -> list[tuple[Any, Any]] | None:
    fields = getattr(type(value), "_fields", None)
    if type(fields) is not tuple:
        return None
    return list(zip(fields[:FEATURE_LIMIT], tuple.__iter__(value), strict=False))


def _attributes(value: object) -> list[tuple[str, Any]] | None:
    """Public instance attributes of an object, read where they are stored: nothing of the user's runs if it can."""
    if value is None or kind(value) or issubclass(type(value), _NOT_RECORDS):
        return None
    stored = attempt(object.__getattribute__, value, "__dict__")
    found = pairs(stored, FEATURE_LIMIT) if type(stored) is dict else None
    items = found[0] if found is not None else []
    for base in type.mro(type(value)):
        slots = base.__dict__.get("__slots__", ())
        for name in [slots] if type(slots) is str else list(slots)[:FEATURE_LIMIT]:
            items.append((name, attempt(object.__getattribute__, value, name)))
    public = [(name, item) for name, item in items if type(name) is str and not name.startswith("_")]
    return public or None


def _names(names: Sequence[str] | None, count: int) -> list[Any]:
    given = sequence(names, count)
    known = given[0] if given is not None else []
    return known + [f"f{position}" for position in range(len(known), count)]
