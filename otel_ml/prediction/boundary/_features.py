"""The features of a prediction as a plain bounded copy, taken on the caller's thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_ml._guard import attempt
from otel_ml._kinds import kind, pairs, sequence
from otel_ml._values import cell
from otel_ml.prediction.boundary._feature_batches import (
    FeatureBatch,
    array_width,
    columns_to_batch,
    common_length,
    dimensions,
    first_dimension,
    frame_to_batch,
    rows_kept,
    rows_to_batch,
)
from otel_ml.prediction.boundary._feature_rows import (
    FEATURE_LIMIT,
    find_record,
    flat_row,
    is_row,
    known_row,
    positional_names,
    read_row,
)

_FRAMES = frozenset({"pandas", "polars", "arrow"})
_SHAPED = frozenset({"array", "tensor", "shaped"})


def is_positional(features: object) -> bool:
    """Whether the values have no names: arrays, and lists or tuples of scalars or of such."""
    family = kind(features)
    if family in _FRAMES or family in ("series", "polars_series") or pairs(features, 0) is not None:
        return False
    if family in _SHAPED:
        return True
    listed = sequence(features, 1)
    if listed is None or not listed[0]:
        return listed is not None
    first = listed[0][0]
    return sequence(first, 0) is not None or not is_row(first)


def width(features: object) -> int | None:
    """Returns how many values one row of a positional input has."""
    family = kind(features)
    if family in _SHAPED:
        return attempt(array_width, features) if attempt(dimensions, features) == 2 else attempt(len, features)
    listed = sequence(features, 1)
    inner = sequence(listed[0][0], 0) if listed is not None and listed[0] else None
    return inner[1] if inner is not None else None if listed is None else listed[1]


def snapshot(features: object, *, names: Sequence[str] | None = None) -> dict[str, object] | FeatureBatch | None:
    """Copies what came in as one row or as a batch of rows; no object of the caller's is kept.

    A mapping, an object with attributes, a Series or a one-dimensional array is a row; a frame, a two-dimensional
    array, a list of rows and a mapping of equally long columns are a batch; a scalar is the feature ``value``. None for
    what cannot be read without a transfer, a conversion or a side effect: device tensors, iterators, web requests.

    Args:
        features: What the predicting function was called with.
        names: Names of the columns of arrays and lists; further columns are ``f0``, ``f1``, ... by position.
    """
    if type(features) is dict and len(features) <= FEATURE_LIMIT:
        row = attempt(known_row, features) or attempt(flat_row, features.copy())
        if row is not None:
            return row
    return None if features is None else _read(features, kind(features), names)


def _read(features: object, family: str, names: Sequence[str] | None) -> dict[str, object] | FeatureBatch | None:
    if family in _FRAMES:
        return attempt(frame_to_batch, features, family)
    found = pairs(features, FEATURE_LIMIT) or attempt(_labelled, features, family)
    if found is not None:
        return columns_to_batch(*found) or read_row(*found)
    record = None if family else find_record(features)
    if record is not None:
        return read_row(record, len(record))
    wide = (attempt(array_width, features) if family in _SHAPED else None) or 1
    listed = sequence(features, rows_kept(wide))
    if listed is not None:
        items, total = listed
        if items and is_row(items[0]):
            return rows_to_batch(items, total, names, wide)
        return read_row(zip(positional_names(names, min(total, FEATURE_LIMIT)), items, strict=False), total)
    value = cell(features)
    return None if value is None else {"value": value}


def row_count(features: object) -> int | None:
    """Counts the rows of a frame, of a shaped array, of a list of rows or of columns; None for a single row."""
    family = kind(features)
    if family in _FRAMES:
        return attempt(len, features)
    if family in _SHAPED:
        return attempt(first_dimension, features)
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
