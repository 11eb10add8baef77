"""The features of a prediction as a plain bounded copy, taken on the caller's thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_ml._guard import attempt
from otel_ml._values import cell
from otel_ml._values.feature_names import positional_names
from otel_ml._values.kinds import FRAMES, kind, pairs, sequence
from otel_ml._values.unread import UNREAD
from otel_ml.prediction.boundary._batch_readers import (
    ROW_LIMIT,
    SHAPED,
    array_to_batch,
    array_width,
    columns_to_batch,
    common_length,
    dimensions,
    first_dimension,
    frame_to_batch,
    has_default_names,
    rows_kept,
    rows_to_batch,
    structured_to_batch,
)
from otel_ml.prediction.boundary._feature_batch import FeatureBatch, Features
from otel_ml.prediction.boundary._feature_rows import (
    PartialRow,
    flat_row,
    is_row,
    known_row,
    read_row,
)
from otel_ml.prediction.boundary._matching import match_batch, match_row
from otel_ml.prediction.boundary._records import FEATURE_LIMIT, find_record
from otel_ml.quality import ColumnNames

_NAMED_BY_DEFAULT = frozenset({"pandas", "polars", "series"})


def is_positional(features: object) -> bool:
    """Whether the values have no names: arrays, frames with default names, lists of scalars or of lists."""
    family = kind(features)
    if family in _NAMED_BY_DEFAULT:
        return attempt(has_default_names, features, family) is True
    if family in FRAMES or family == "polars_series" or pairs(features, 0) is not None:
        return False
    if family in SHAPED:
        return not _is_structured(features)
    listed = sequence(features, 1)
    if listed is None or not listed[0]:
        return listed is not None
    return find_record(features) is None and find_record(listed[0][0]) is None


def _is_structured(features: Any) -> bool:
    """Whether an array has named fields."""
    return bool(attempt(lambda: features.dtype.names))


def width(features: object) -> int | None:
    """Returns how many values each row of a positional input has; None if its rows differ or are no rows of values."""
    family = kind(features)
    if family in SHAPED or family in FRAMES:
        size = attempt(dimensions, features)
        return attempt(array_width, features) if size == 2 else attempt(len, features) if size == 1 else None
    listed = sequence(features, ROW_LIMIT)
    inner = [sequence(item, 0) for item in listed[0]] if listed is not None else []
    if not any(inner):
        return None if listed is None else listed[1]
    widths = {None if row is None else row[1] for row in inner}
    return widths.pop() if len(widths) == 1 else None


def snapshot(
    features: object, *, names: Sequence[str] | None = None, columns: ColumnNames | None = None
) -> Features | None:
    """Copies what came in as one row or as a batch of rows, as `read` reads it; no object of the caller's is kept."""
    found = read(features, names=names, columns=columns)
    return found.copy(ROW_LIMIT) if isinstance(found, FeatureBatch) else found


def read(
    features: object, *, names: Sequence[str] | None = None, columns: ColumnNames | None = None
) -> Features | None:
    """Copies what came in as one row; of a batch of rows the columns stay those of the caller.

    A mapping, an object with attributes, a Series or a one-dimensional array is a row; a frame, a two-dimensional
    array, a list of rows and a mapping of equally long columns are a batch; a scalar is the feature ``value``. None for
    what cannot be read without a transfer, a conversion or a side effect: device tensors, iterators, web requests.

    Args:
        features: What the predicting function was called with.
        names: Names of the columns of arrays and lists; further columns are ``f0``, ``f1``, ... by position.
        columns: The declared columns, whose names replace other spellings and aliases of them.
    """
    if type(features) is dict and len(features) <= FEATURE_LIMIT:
        row = attempt(known_row, features) or attempt(flat_row, features.copy())
        if row is not None:
            return row if columns is None else match_row(row, columns)
    if features is None:
        return None
    found = _read(features, kind(features), names, columns)
    if columns is None or found is None:
        return found
    if isinstance(found, FeatureBatch):
        return match_batch(found, columns, features)
    return match_row(found, columns, features)


def _read(features: object, family: str, names: Sequence[str] | None, columns: ColumnNames | None) -> Features | None:
    if family in FRAMES:
        if family == "pandas" and columns is not None and names is None:
            with_index = attempt(_with_index, features, columns)
            features = features if with_index is None else with_index
        return attempt(frame_to_batch, features, family, names)
    if family == "array" and _is_structured(features):
        return attempt(structured_to_batch, features)
    record = _read_record(features, family, names, columns)
    return record if record is not None else _read_values(features, family, names, columns)


def _with_index(frame: Any, columns: ColumnNames) -> Any:
    """Returns a frame with those levels of its index as columns that are declared; None without such a level."""
    levels = [name for name in frame.index.names if type(name) is str and columns.candidates(name)]
    return frame.reset_index(level=levels) if levels else None


def _read_record(
    features: object, family: str, names: Sequence[str] | None, columns: ColumnNames | None
) -> Features | None:
    """Copies a mapping, a labelled Series or an object with attributes; None for anything else."""
    found = pairs(features, FEATURE_LIMIT) or (attempt(_labelled, features, family) if names is None else None)
    if found is not None:
        return columns_to_batch(*found) or read_row(*found, columns)
    record = find_record(features, columns) if family in ("", "scalar") else None
    return None if record is None else read_row(record, len(record), columns)


def _read_values(
    features: object, family: str, names: Sequence[str] | None, columns: ColumnNames | None
) -> Features | None:
    """Copies a sequence of values or of rows, or one scalar."""
    wide = (attempt(array_width, features) if family in SHAPED else None) or 0
    block = attempt(array_to_batch, features, names) if family == "array" else None
    listed = sequence(features, rows_kept(wide)) if block is None else None
    if listed is not None:
        items, total = listed
        if items and is_row(items[0]):
            return rows_to_batch(items, total, names, wide, columns)
        return read_row(zip(positional_names(names, min(total, FEATURE_LIMIT)), items, strict=False), total, columns)
    value = cell(features) if block is None else None
    if value is None:
        return block
    row: dict[str, object] = {"value": value}
    return row if columns is None or columns.find("value") else PartialRow(row, dict.fromkeys(columns.declared, UNREAD))


def row_count(features: object) -> int | None:
    """Counts the rows of a frame, of a shaped array, of a list of rows or of columns; None for a single row."""
    family = kind(features)
    if family in FRAMES:
        return attempt(len, features)
    if family in SHAPED:
        return attempt(len, features) if _is_structured(features) else attempt(first_dimension, features)
    found = pairs(features, FEATURE_LIMIT)
    if found is not None:
        return common_length([value for _, value in found[0]])
    listed = None if family or find_record(features) else sequence(features, 1)
    return listed[1] if listed is not None and listed[0] and is_row(listed[0][0]) else None


def _labelled(value: Any, family: str) -> tuple[list[tuple[Any, Any]], int] | None:
    """Returns the items of a pandas Series and how many there were."""
    if family != "series":
        return None
    part = value.iloc[:FEATURE_LIMIT]
    return list(zip(part.index.tolist(), part.tolist(), strict=True)), len(value)
