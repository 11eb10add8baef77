"""Reads whole columns of labels and outputs: as numbers, as classes, or as sets and lists of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_ml._guard import attempt
from otel_ml._values import class_text, number
from otel_ml._values.arrays import COLUMNS, numbers
from otel_ml._values.kinds import kind, members, sequence
from otel_ml._values.labels import ITEMS_LIMIT, gains_text, label_text, list_text, read_items, read_written, set_text
from otel_ml._values.missing import is_missing

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array

_SLICE: Final = 1024
"""Values that are looked at in one step for the first present one."""


class CountsError(ValueError):
    """Labels and outputs that do not fit together; the message says why and what to do."""


def label_values(values: Any) -> Any:
    """Returns a column of labels with canonical texts for sets of classes and for gains; any other as it is."""
    if not holds_sets(values):
        return values
    return [_label_text(value) for value in listed(values)]


def holds_sets(values: Any) -> bool:
    """Whether the first present value of a column is a set, a list or a mapping."""
    first = _first_present(values)
    return first is not None and (_entries(first) is not None or isinstance(first, Mapping))


def _label_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return gains_text(value)
    items = _entries(value)
    return value if items is None else set_text(items)


def _entries(value: object) -> list[Any] | None:
    """Returns the entries of a set or list; None for a single value."""
    found = members(value, ITEMS_LIMIT) or sequence(value, ITEMS_LIMIT)
    return None if found is None else found[0]


def read_label(value: object) -> str | None:
    """Returns the text of a label of several values, as it is recorded in production; None for a missing one."""
    return None if is_missing(value) else label_text(value)


def read_ranking(value: object) -> tuple[str, ...] | None:
    """Returns the items of a ranking in order, each once; a single value is one of one item.

    None for a missing value.
    """
    if is_missing(value):
        return None
    written = read_written(value) if isinstance(value, str) else None
    items = _entries(value) if written is None else written
    return read_items(list_text([value] if items is None else items))


def listed(values: Any) -> list[Any]:
    """Returns the values of a column of any kind one by one."""
    found = sequence(values, len(values))
    return list(values) if found is None else found[0]


def _first_present(values: Any) -> Any:
    """Returns the first value of a column of objects that is not missing; None for a column of numbers."""
    if type(values) not in {list, tuple} and kind(values) not in COLUMNS:
        return None
    if numbers(values) is not None:
        return None
    for start in range(0, len(values), _SLICE):
        found = sequence(values, _SLICE, start)
        for value in () if found is None else found[0]:
            if not is_missing(value):
                return value
    return None


def read_numbers(values: Any) -> Array | None:
    """Returns a column of numbers as floats, NaN where one is missing or infinite; None if other values are in it.

    Booleans are classes and not numbers.
    """
    import numpy as np

    found = numbers(values)
    if found is None:
        items = listed(values)
        types = set(map(type, items))
        if not types <= {int, float, type(None)}:
            items = [None if is_missing(item) else item for item in items]
            if any(isinstance(item, bool | str) or (item is not None and number(item) is None) for item in items):
                return None
            items = [None if item is None else number(item) for item in items]
        found = attempt(np.array, items, np.float64)
        if found is None:
            return None
    floats: Array = found.astype(np.float64)
    floats[~np.isfinite(floats)] = np.nan
    return floats


def read_classes(values: Any) -> tuple[list[str], Array]:
    """Returns the distinct class texts of a column, and for each row the position of its own; -1 for a missing one."""
    import numpy as np

    found = numbers(values)
    if found is not None:
        distinct, places = np.unique(found, return_inverse=True)
        items = distinct.tolist()
    else:
        seen: dict[Any, int] = {}
        rows = [(type(value), value) for value in map(_hashable, listed(values))]
        places = np.fromiter((seen.setdefault(row, len(seen)) for row in rows), np.int64, len(rows))
        items = [value for _, value in seen]
    texts: dict[str, int] = {}
    positions = np.empty(len(items), np.int64)
    for place, item in enumerate(items):
        text = None if is_missing(item) else class_text(item)
        positions[place] = -1 if not text else texts.setdefault(text, len(texts))
    return list(texts), positions[places]


def _hashable(value: Any) -> Any:
    return None if attempt(hash, value) is None else value
