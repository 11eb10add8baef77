"""Counts a whole column of a batch: as an array of numbers, by distinct values, or one by one if types are mixed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml import _guard
from otel_ml._values import cell
from otel_ml._values.arrays import Distinct, distinct, numbers
from otel_ml._values.kinds import kind, sequence
from otel_ml._values.missing import is_missing
from otel_ml._values.unread import UNREAD, mark
from otel_ml.quality.counting._cells import ABSENT, Cells, Slot

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array

Read = Callable[[object], object]

_HASHABLE: Final = frozenset((str, int, float, bool, type(None)))
"""Builtin types with a cheap hash."""
_NUMERIC: Final = frozenset((int, float, bool))
"""Types that are not counted together: 1, 1.0 and True would be one value."""
_NUMBERS: Final = frozenset((float, int, type(None)))
"""Types of a list that is counted as an array: None is missing, as NaN is."""
_MANY: Final = 500
"""In more values it is faster to compare them with each edge than to search each among the edges."""
_FEW_EDGES: Final = 40


def count_column(slot: Slot, values: Any, cells: Cells, invalid: bytearray, read: Read | None = None) -> None:
    """Adds one column of a batch to the cells and marks rows that break a rule.

    Args:
        slot: The column.
        values: A list, a column of numpy, pandas, polars or arrow, or its distinct values.
        cells: Where they are counted.
        invalid: A byte for each row.
        read: Returns a value as it is counted; called for each distinct value unless the column holds numbers.
    """
    rows = len(invalid)
    if values is UNREAD:
        return
    if values is ABSENT:
        if cells.count(slot, slot.place(ABSENT), rows):
            invalid[:] = b"\x01" * rows
        return
    if len(values) != rows or (kind(values) == "array" and values.ndim != 1):
        cells.violate(slot.index, "shape", rows)
        invalid[:] = b"\x01" * rows
        return
    array = None
    if _takes_numbers(slot):
        array = _listed_numbers(values) if type(values) is list else numbers(values)
    if array is not None:
        _count_numbers(slot, array, cells, invalid)
        return
    known = values if isinstance(values, Distinct) else distinct(values)
    if known is not None:
        _count_distinct(slot, known, cells, invalid, read)
    else:
        _count_list(slot, to_list(values), cells, invalid, read)


def to_list(values: Any) -> Sequence[object]:
    """Returns the values of a column of any library one by one; other values as they are."""
    listed = sequence(values, len(values)) if kind(values) else None
    found: Sequence[object] = values if listed is None else listed[0]
    return found


def read_live(value: object) -> object:
    """Returns a value as it is counted in a service: plain, or the mark of one that cannot be read."""
    found = cell(value)
    return found if found is not None or is_missing(value) else mark(value)


def _takes_numbers(slot: Slot) -> bool:
    """Whether numbers are only compared with edges and bounds."""
    column = slot.column
    is_free = slot.feature is None and column is not None and column.domain is None and column.type in ("number", "any")
    return slot.edges is not None or is_free


def _listed_numbers(values: list[object]) -> Array | None:
    """Returns a list of floats, whole numbers and None as an array if numpy is loaded."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if not _guard.attempt(_NUMBERS.issuperset, map(type, values)):
        return None
    found: Array | None = _guard.attempt(lambda: numpy.array(values, dtype=numpy.float64))
    return found


def _count_numbers(slot: Slot, array: Array, cells: Cells, invalid: bytearray) -> None:
    import numpy as np

    if not len(array):
        return
    floats = array.astype(np.float64, copy=False)
    least, greatest = float(floats.min()), float(floats.max())
    is_finite = greatest - least < np.inf  # also false for NaN
    edges = slot.edges
    if edges is not None:
        counts = _count_bins(
            edges, floats if is_finite else floats[~np.isnan(floats) if slot.infinite else np.isfinite(floats)]
        )
        for position, count in enumerate(counts):
            cells.bins[slot.base + position] += count
    if is_finite and slot.low <= least and greatest <= slot.high:
        return
    _count_exceptions(slot, floats, cells, invalid)


def _count_bins(edges: list[float], values: Array) -> list[int]:
    """Returns how many values lie in each bin, as `bisect_right` finds them one by one."""
    import numpy as np

    if len(values) < _MANY or len(edges) > _FEW_EDGES:
        places = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right")
        found: list[int] = np.bincount(places, minlength=len(edges) + 1).tolist()
        return found
    above = [len(values), *(int(np.count_nonzero(values >= edge)) for edge in edges), 0]
    return [above[place] - above[place + 1] for place in range(len(edges) + 1)]


def _count_exceptions(slot: Slot, floats: Array, cells: Cells, invalid: bytearray) -> None:
    """Counts missing numbers and those that break a rule."""
    import numpy as np

    missing, finite = np.isnan(floats), np.isfinite(floats)
    cells.missing[slot.index] += int(np.count_nonzero(missing))
    column = slot.column
    if column is None:
        return
    checks = [("non_finite", ~finite & ~missing)] if column.type == "number" and not column.infinite else []
    if not column.nullable:
        checks.append(("null", missing))
    if column.low is not None:
        checks.append(("range_low", finite & (floats < column.low)))
    if column.high is not None:
        checks.append(("range_high", finite & (floats > column.high)))
    for rule, broken in checks:
        times = int(np.count_nonzero(broken))
        if times:
            cells.violate(slot.index, rule, times)
            _mark(invalid, broken)


def _count_distinct(slot: Slot, found: Distinct, cells: Cells, invalid: bytearray, read: Read | None) -> None:
    broken = []
    for position, (value, count) in enumerate(zip(found.values, found.counts, strict=True)):
        if cells.count(slot, slot.place(value if read is None else read(value)), count):
            broken.append(position)
    if broken:
        _mark(invalid, found.mask(broken))


def _count_list(slot: Slot, values: Sequence[object], cells: Cells, invalid: bytearray, read: Read | None) -> None:
    place = slot.place if read is None else lambda value: slot.place(read(value))
    if _guard.attempt(_is_countable, values):
        broken = {value for value, count in Counter(values).items() if cells.count(slot, place(value), count)}
        if broken:
            _mark_each(invalid, [value in broken for value in values])
    else:
        _mark_each(invalid, [cells.count(slot, place(value)) for value in values])


def _is_countable(values: Sequence[object]) -> bool:
    types = set(map(type, values))
    return len(types & _NUMERIC) <= 1 and types <= _HASHABLE


def _mark(invalid: bytearray, broken: Array) -> None:
    import numpy as np

    marks = np.frombuffer(invalid, dtype=np.uint8)
    marks |= broken


def _mark_each(invalid: bytearray, broken: Sequence[bool]) -> None:
    for position, is_broken in enumerate(broken):
        if is_broken:
            invalid[position] = 1
