"""Reads one column of the training data into a summary. Needs numpy; called at fit only."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml._guard import attempt
from otel_ml._values import class_text, number, written_number
from otel_ml._values.arrays import distinct
from otel_ml._values.equality import count_texts
from otel_ml._values.kinds import builtin, kind
from otel_ml._values.missing import is_missing
from otel_ml.quality.summaries import ColumnSummary, NumberSummary, TextCounts

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, np.dtype[Any]]

_MOMENTS: Final = (dt.date, dt.time, dt.timedelta)
_NO_BINS: Final = "dates, durations and complex numbers are not binned: derive a number such as an age or an hour"
_PLAIN: Final = frozenset((int, float, type(None)))
_TEXTS: Final = frozenset((str, float, type(None)))
"""Types of a column of texts: NaN is a missing value."""
_CATEGORY_TYPES: Final = ("category", "Categorical", "Enum", "dictionary")
"""How pandas, polars and arrow call the types of categories."""
_UNSIGNED: Final = 2**63
"""Whole numbers from here on need an unsigned array."""
_WHOLE: Final = range(-_UNSIGNED, 2 * _UNSIGNED)
"""Whole numbers that an array keeps exactly."""


def read_column(
    values: Any, *, numeric: bool = False, categorical: bool = False, edges: Sequence[float] = ()
) -> ColumnSummary:
    """Reads a column of numpy, pandas, polars or arrow, or a list.

    Args:
        values: The column.
        numeric: Whether it is one of numbers by the user's word: texts and booleans that mean a number are numbers.
        categorical: Whether it is one of categories by the user's word, or else by its own type.
        edges: Edges between bins, if they are known before the data.
    """
    own_type = str(getattr(values, "dtype", None) or getattr(values, "type", ""))
    is_category = not numeric and (categorical or own_type.startswith(_CATEGORY_TYPES))
    array = _array(values)
    if array is None:
        return _read_pairs(values, numeric=numeric, categorical=is_category, edges=edges)
    if array.ndim != 1:
        return _unreadable(f"it has {array.ndim} dimensions, not one value a row", len(array))
    found = _read_numbers(array, edges)
    return _as_category(array) if is_category and found.present else found


def _array(values: Any) -> Numbers | None:
    """Returns a column of numbers as an array, without nulls; None for other columns."""
    family = kind(values)
    if family == "polars_series":
        is_number = values.dtype.is_float() or (values.dtype.is_integer() and "128" not in str(values.dtype))
        return values.drop_nulls().to_numpy() if is_number else None
    if family == "arrow_array":
        types = sys.modules["pyarrow"].types
        is_number = types.is_integer(values.type) or types.is_floating(values.type)
        return values.drop_null().to_numpy(zero_copy_only=False) if is_number else None
    if family == "array" and not hasattr(values, "mask"):
        return values if values.dtype.kind in "iuf" or values.ndim != 1 else None
    if family in {"series", "index"} and getattr(getattr(values, "dtype", None), "kind", "O") in "iuf":
        plain = getattr(values.dtype, "numpy_dtype", None)
        return _as_numpy(values) if plain is None else values.dropna().to_numpy(dtype=plain)
    return _list_to_array(values)


def _as_numpy(values: Any) -> Numbers:
    import numpy as np

    return np.asarray(values.to_numpy())


def _list_to_array(values: Any) -> Numbers | None:
    """Returns a list of builtin numbers and None as an array."""
    import numpy as np

    if type(values) is not list and type(values) is not tuple and type(values) is not range:
        return None
    types = set(map(type, values))
    if types == {int}:
        return attempt(_whole_numbers, values)
    if types <= _PLAIN and types & {int, float} and int not in types:
        return attempt(np.array, values, np.float64)
    return None  # whole numbers beside others stay exact one by one


def _whole_numbers(values: Sequence[int]) -> Numbers:
    """Returns whole numbers as an array; raises if they are beyond 64 bits."""
    import numpy as np

    return np.array(values, dtype=np.uint64 if max(values) >= _UNSIGNED else np.int64)


def _read_numbers(array: Numbers, edges: Sequence[float]) -> ColumnSummary:
    import numpy as np

    if array.dtype.kind != "f":
        return ColumnSummary(NumberSummary.of(array), binned=_count_bins(array, edges))
    floats = array.astype(np.float64, copy=False)
    infinite = int(np.count_nonzero(floats == -np.inf)), int(np.count_nonzero(floats == np.inf))
    finite = floats[np.isfinite(floats)]
    return ColumnSummary(NumberSummary.of(finite), infinite, binned=_count_bins(finite, edges))


def _count_bins(numbers: Numbers, edges: Sequence[float]) -> tuple[int, ...]:
    import numpy as np

    if not edges or not len(numbers):
        return ()
    places = np.searchsorted(np.asarray(edges, np.float64), numbers, side="right")
    return tuple(np.bincount(places, minlength=len(edges) + 1).tolist())


def _as_category(numbers: Numbers) -> ColumnSummary:
    import numpy as np

    present = numbers[~np.isnan(numbers)] if numbers.dtype.kind == "f" else numbers
    values, counts = np.unique(present, return_counts=True)
    pairs = list(zip(values.tolist(), counts.tolist(), strict=True))
    return _read_categories(pairs)


def _read_pairs(values: Any, *, numeric: bool, categorical: bool, edges: Sequence[float]) -> ColumnSummary:
    """Reads a column that is no array of numbers, by its distinct values where possible."""
    missing = _count_missing_moments(values)
    if missing is not None:
        return _unreadable(_NO_BINS, len(values) - missing)
    pairs = [(value, count) for value, count in _pairs(values) if not is_missing(value)]
    if categorical:
        return _read_categories(pairs)
    if not numeric and all(type(value) is str for value, _ in pairs):
        return ColumnSummary(texts=TextCounts.of(count_texts(pairs)))
    return _read_mixed(pairs, numeric=numeric, edges=edges)


def _count_missing_moments(values: Any) -> int | None:
    """Returns how many values of a column of dates, durations or complex numbers are missing; None for others."""
    import numpy as np

    family = kind(values)
    if family == "arrow_array":
        return int(values.null_count) if sys.modules["pyarrow"].types.is_temporal(values.type) else None
    if family not in {"array", "series", "index"} or getattr(getattr(values, "dtype", None), "kind", "O") not in "Mmc":
        return None
    found = values.isna() if family != "array" else np.isnan(values)
    return int(found.sum())


def _pairs(values: Any) -> Iterable[tuple[Any, int]]:
    """Returns values and how often each occurs; some columns are read value by value."""
    known = distinct(values)
    if known is not None:
        return zip(known.values, known.counts, strict=True)
    family = kind(values)
    if family == "arrow_array":
        items = list(values.to_pylist())
    elif family == "polars_series":
        items = list(values.to_list())
    else:
        items = list(values.tolist() if family in {"array", "series", "index"} else values)
    return Counter(items).items() if set(map(type, items)) <= _TEXTS else ((item, 1) for item in items)


def _read_categories(pairs: Sequence[tuple[Any, int]]) -> ColumnSummary:
    counts = count_texts(pairs)
    unreadable: Counter[str] = Counter()
    if counts.total() < sum(count for _, count in pairs):
        for value, count in pairs:
            if class_text(value) is None:
                unreadable[_reason(value)] += count
    return ColumnSummary(texts=TextCounts.of(counts), unreadable=unreadable, is_category=bool(pairs))


def _read_mixed(pairs: Iterable[tuple[Any, int]], *, numeric: bool, edges: Sequence[float]) -> ColumnSummary:
    found = ColumnSummary()
    infinite, texts = [0, 0], Counter[str]()
    numbers: dict[str, list[tuple[float, int]]] = {"int64": [], "uint64": [], "float64": []}
    for value, count in pairs:
        plain = builtin(value)
        if type(plain) is float and math.isinf(plain):
            infinite[plain > 0] += count
            continue
        is_text = type(plain) is bool or type(plain) is str
        read = written_number(plain) if is_text and numeric else None if is_text else number(plain)
        found.text_numbers |= is_text and read is not None
        text = class_text(value) if read is None else None
        if read is not None and type(plain) is int and plain in _WHOLE:
            numbers["int64" if plain < _UNSIGNED else "uint64"].append((plain, count))
        elif read is not None:
            numbers["float64"].append((read, count))
        elif text is not None:
            texts[text] += count
        else:
            found.unreadable[_reason(value)] += count
    for dtype, part in numbers.items():
        if part:
            array = _repeated(part, dtype)
            found = found.merge(ColumnSummary(NumberSummary.of(array), binned=_count_bins(array, edges)))
    found.infinite, found.texts = (infinite[0], infinite[1]), TextCounts.of(texts)
    return found


def _repeated(pairs: Sequence[tuple[float, int]], dtype: str) -> Numbers:
    """Returns numbers as an array in which each occurs as often as it is counted."""
    import numpy as np

    values, counts = zip(*pairs, strict=True)
    return np.repeat(np.array(values, dtype), counts)


def _unreadable(reason: str, count: int) -> ColumnSummary:
    return ColumnSummary(unreadable=Counter({reason: count} if count else {}))


def _reason(value: Any) -> str:
    found = builtin(value)
    if isinstance(found, _MOMENTS) or type(value).__name__ in {"Period", "complex", "NaTType"}:
        return _NO_BINS
    return f"its values are of the type {type(value).__name__}: derive a number or a text from them"
