"""Counts a whole column of a batch: as an array, by distinct values, or one by one if types are mixed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml import _guard
from otel_ml._kinds import kind
from otel_ml.quality._cells import ABSENT, UNREAD, Cells, Slot

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_COUNTABLE: Final = frozenset((str, int, bool, type(None)))
"""Builtin types with a cheap hash. They are not mixed: 1 and True would be counted as one value."""
_FLOATS: Final = frozenset((float, type(None)))
"""Types of a list that is counted as an array: None is missing, as NaN is."""
_DENSE: Final = 65_536
"""Whole numbers within a smaller range are counted by a table."""


def count_column(slot: Slot, values: object, rows: int, cells: Cells, invalid: bytearray) -> None:
    """Adds one column of a batch to the cells and marks rows that break a rule."""
    if values is UNREAD:
        return
    if values is ABSENT:
        if cells.count(slot, slot.judge(ABSENT), rows):
            invalid[:] = b"\x01" * rows
        return
    array = _array(values)
    plain: Any = values if array is None else array
    if len(plain) != rows or (array is not None and array.ndim != 1):
        cells.violate(slot.index, "shape", rows)
        invalid[:] = b"\x01" * rows
        return
    if array is not None and array.dtype.kind in "iuf" and slot.edges is not None:
        _count_numbers(slot, array, cells, invalid)
    elif array is not None and array.dtype.kind in "iufb":
        _count_distinct_array(slot, array, cells, invalid)
    else:
        _count_list(slot, array.tolist() if array is not None else plain, cells, invalid)


def _array(values: Any) -> Array | None:
    """Returns the numpy array that the values are or hold; None for other sequences."""
    family = kind(values)
    if family == "array":
        return _as_array(values)
    if family in {"series", "index"} and hasattr(values, "to_numpy"):
        return _as_array(_guard.attempt(values.to_numpy))
    if family == "arrow_array":
        return _as_array(_guard.attempt(_from_arrow, values))
    return None


def _from_arrow(values: Any) -> Any:
    return values.to_numpy() if kind(values) == "arrow_array" and hasattr(values, "chunks") else values.to_numpy(False)


def _as_array(values: Any) -> Array | None:
    numpy = sys.modules.get("numpy")
    return values if numpy is not None and isinstance(values, numpy.ndarray) else None


def _count_numbers(slot: Slot, array: Array, cells: Cells, invalid: bytearray) -> None:
    import numpy as np

    floats = array.astype(np.float64, copy=False)
    finite = np.isfinite(floats)
    is_finite = bool(finite.all())
    edges = np.asarray(slot.edges, dtype=np.float64)
    known = floats if is_finite else floats[finite]
    found = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    for position, count in enumerate(found.tolist()):
        cells.bins[slot.base + position] += count
    column = slot.column
    low, high = (None, None) if column is None else (column.low, column.high)
    if is_finite and (
        not len(known) or ((low is None or known.min() >= low) and (high is None or known.max() <= high))
    ):
        return
    missing = np.isnan(floats)
    cells.missing[slot.index] += int(missing.sum())
    if column is None:
        return
    checks = [("non_finite", ~finite & ~missing)] if column.type == "number" else []
    if not column.nullable:
        checks.append(("null", missing))
    if column.low is not None:
        checks.append(("range_low", finite & (floats < column.low)))
    if column.high is not None:
        checks.append(("range_high", finite & (floats > column.high)))
    marks = np.frombuffer(invalid, dtype=np.uint8)
    for rule, broken in checks:
        times = int(np.count_nonzero(broken))
        if times:
            cells.violate(slot.index, rule, times)
            marks |= broken


def _count_distinct_array(slot: Slot, array: Array, cells: Cells, invalid: bytearray) -> None:
    import numpy as np

    if array.dtype.kind in "iu" and len(array) and int(array.max()) - int(array.min()) < _DENSE:
        low = int(array.min())
        offsets = array.astype(np.int64) - low
        counts = np.bincount(offsets)
        distinct, times = (np.flatnonzero(counts) + low).tolist(), counts[counts > 0].tolist()
    else:
        values, found = np.unique(array, return_counts=True)
        distinct, times = values.tolist(), found.tolist()
    marks = np.frombuffer(invalid, dtype=np.uint8)
    for value, count in zip(distinct, times, strict=True):
        if cells.count(slot, slot.judge(value), count):
            marks |= array == value if value == value else np.isnan(array)  # noqa: PLR0124 - NaN


def _count_list(slot: Slot, values: Sequence[object], cells: Cells, invalid: bytearray) -> None:
    numpy = sys.modules.get("numpy")
    if numpy is not None and slot.edges is not None and _guard.attempt(_FLOATS.issuperset, map(type, values)):
        _count_numbers(slot, numpy.array(values, dtype=numpy.float64), cells, invalid)
    elif _guard.attempt(_is_countable, values):
        broken = {value for value, count in Counter(values).items() if cells.count(slot, slot.judge(value), count)}
        if broken:
            _mark(invalid, [value in broken for value in values])
    else:
        _mark(invalid, [cells.count(slot, slot.judge(value)) for value in values])


def _is_countable(values: Sequence[object]) -> bool:
    types = set(map(type, values))
    return len(types - {type(None)}) <= 1 and types <= _COUNTABLE


def _mark(invalid: bytearray, broken: Sequence[bool]) -> None:
    for position, is_broken in enumerate(broken):
        if is_broken:
            invalid[position] = 1
