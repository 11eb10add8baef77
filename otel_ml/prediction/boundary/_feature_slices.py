"""Reads the rows of a large batch beyond those that were read at once, in slices, while the caller waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_ml._guard import attempt
from otel_ml._values.kinds import kind, pairs, sequence
from otel_ml.prediction.boundary._feature_batch import FeatureBatch
from otel_ml.prediction.boundary._records import FEATURE_LIMIT

_BY_ILOC = frozenset({"pandas", "series"})
_BY_SLICE = frozenset({"polars", "arrow", "polars_series", "arrow_array"})
_BY_INDEX = frozenset({"array", "tensor", "index"})


def slices(features: Any, read: FeatureBatch) -> Iterator[Any]:
    """Yields the rows that were not read yet, as batches of the same kind and size."""
    found = None if kind(features) else pairs(features, FEATURE_LIMIT)
    for first in range(read.rows, read.total_rows, max(1, read.rows)):
        last = min(first + read.rows, read.total_rows)
        if found is None:
            yield _part(features, first, last)
        else:
            yield {key: _part(values, first, last) for key, values in found[0]}


def _part(values: Any, first: int, last: int) -> Any:
    """Returns some rows of a frame, an array, a column or a list, as a view where possible. None on failure."""
    family = kind(values)
    if family in _BY_ILOC:
        return attempt(lambda: values.iloc[first:last])
    if family in _BY_SLICE:
        return attempt(values.slice, first, last - first)
    if family in _BY_INDEX:
        return attempt(lambda: values[first:last])
    listed = sequence(values, last - first, first)
    return None if listed is None else listed[0]
