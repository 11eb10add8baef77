"""Columns of numpy, pandas, polars and arrow as numbers or as distinct values, without an object for each row.

numpy and pyarrow are used if they are loaded; without numpy no column is read here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from otel_ml._guard import attempt
from otel_ml._values.bounded import EXACT_FLOAT
from otel_ml._values.kinds import kind

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

NUMBERS: Final = frozenset("iuf")
"""Codes of the number types of numpy and pandas."""
COLUMNS: Final = frozenset({"array", "series", "index", "polars_series", "arrow_array"})
"""Kinds of columns that are read as a whole."""
_DENSE: Final = 65_536
"""Whole numbers whose range is smaller are counted in a table."""
_POLARS_TYPES: Final = frozenset({"String", "Boolean", "Categorical", "Enum"})
"""Types of polars, without numbers, whose distinct values are counted."""


@dataclass(slots=True)
class Distinct:
    """The values of a column, each once, and how often each occurs."""

    values: list[Any]
    """Builtin values; missing ones are None or NaN."""
    counts: list[int]
    mask: Callable[[list[int]], Array]
    """Returns which rows have one of the values at these positions."""

    def __len__(self) -> int:
        """Rows of the column."""
        return sum(self.counts)


def slice_rows(values: Any, first: int, last: int) -> Any:
    """Returns some rows of a column of one of `COLUMNS`, as a view where possible. May raise."""
    family = kind(values)
    if family == "series":
        return values.iloc[first:last]
    return values.slice(first, last - first) if family in ("polars_series", "arrow_array") else values[first:last]


def _numpy() -> Any:
    return sys.modules["numpy"]


def _is_readable(family: str) -> bool:
    return family in COLUMNS and "numpy" in sys.modules


def plain_array(array: Any) -> Any:
    """Returns an array of a subclass as a plain one: the columns of a `numpy.matrix` have two dimensions."""
    return array if hasattr(array, "mask") else array.view(_numpy().ndarray)


def numbers(values: Any) -> Array | None:
    """Returns a column of numbers as an array, perhaps a view, with NaN for missing ones; None for other columns."""
    family = kind(values)
    found: Any = attempt(_numbers, values, family) if _is_readable(family) else None
    is_numbers = found is not None and _is_ndarray(found) and found.dtype.kind in NUMBERS and found.ndim == 1
    array: Array | None = found if is_numbers else None
    return array


def _is_ndarray(array: Any) -> bool:
    """Whether it is an array of numpy, not of another class with that name."""
    return isinstance(array, _numpy().ndarray)


def _numbers(values: Any, family: str) -> Any:
    if family == "polars_series":
        return values.to_numpy() if values.dtype.is_integer() or values.dtype.is_float() else None
    if family == "arrow_array":
        return values.to_numpy(zero_copy_only=False) if _is_number(values.type) else None
    if family == "array":
        return _filled(values) if hasattr(values, "mask") else values
    if not hasattr(values, "dtype"):  # array.array
        return _numpy().asarray(values)
    if values.dtype.kind not in NUMBERS or _is_numpy_type(values.dtype):
        return values.to_numpy() if values.dtype.kind in NUMBERS else None
    return values.to_numpy(dtype="float64", na_value=float("nan"))


def _is_numpy_type(dtype: Any) -> bool:
    return type(dtype).__module__.partition(".")[0] == "numpy"


def _filled(values: Any) -> Any:
    """Returns a masked array of numbers with NaN where a value is masked."""
    return values.astype("float64").filled(float("nan")) if values.dtype.kind in NUMBERS else None


def _is_number(arrow_type: Any) -> bool:
    types = sys.modules["pyarrow"].types
    return bool(types.is_integer(arrow_type) or types.is_floating(arrow_type))


def distinct(values: Any) -> Distinct | None:
    """Returns the distinct values of a column of numbers, texts, booleans or categories; None for other columns."""
    family = kind(values)
    return attempt(_distinct, values, family) if _is_readable(family) else None


def _distinct(values: Any, family: str) -> Distinct | None:
    if family == "polars_series":
        array = _numbers(values, family)
        return _from_polars(values) if array is None or not _is_exact(values, array) else _from_array(array)
    if family == "arrow_array":
        return _from_arrow(values)
    if family == "array":
        return _from_array(values) if _is_ndarray(values) and not hasattr(values, "mask") else None
    if family == "series" and values.dtype.name == "category":
        return _from_codes(values.array.codes, lambda codes: values.array.categories[codes].tolist())
    arrow = sys.modules.get("pyarrow")
    if family == "series" and arrow is not None and not _is_numpy_type(values.dtype):
        found = attempt(lambda: _from_arrow(arrow.array(values)))
        if found is not None:
            return found
    is_boolean = family == "series" and _is_numpy_type(values.dtype) and values.dtype.kind == "b"
    array = values.to_numpy() if is_boolean else _numbers(values, family)
    return None if array is None or not _is_exact(values, array) else _from_array(array)


def _is_exact(values: Any, array: Array) -> bool:
    """Whether no whole number was rounded: beside a missing value, whole numbers become floats."""
    dtype: Any = getattr(values, "dtype", None)
    is_whole = dtype.is_integer() if hasattr(dtype, "is_integer") else getattr(dtype, "kind", "f") != "f"
    return array.dtype.kind != "f" or not is_whole or not bool((abs(array) >= EXACT_FLOAT).any())


def _from_array(array: Array) -> Distinct | None:
    numpy = _numpy()
    code = array.dtype.kind
    if array.ndim != 1 or code not in "iufb":
        return None
    if code == "b":
        return _from_codes(array.view(numpy.uint8), lambda codes: [bool(value) for value in codes])
    if code == "f":
        whole = attempt(_whole, array)
        array, code = (array, code) if whole is None else (whole, "i")
    if code in "iu" and len(array) and int(array.max()) - int(array.min()) < _DENSE:
        low = int(array.min())
        return _from_codes(array.astype(numpy.int64) - low, lambda codes: (codes + low).tolist())
    found, counts = numpy.unique(array, return_counts=True)
    return Distinct(found.tolist(), counts.tolist(), lambda places: _among(array, found[places]))


def _whole(array: Array) -> Array | None:
    """Returns floats as whole numbers; None if one of them is not whole, or not finite."""
    numpy = _numpy()
    if not len(array) or not -EXACT_FLOAT < float(array.min()) <= float(array.max()) < EXACT_FLOAT:
        return None
    whole = array.astype(numpy.int64)
    return whole if bool((whole == array).all()) else None


def _among(array: Array, values: Array) -> Array:
    numpy = _numpy()
    found: Array = numpy.isin(array, values)
    return found | numpy.isnan(array) if array.dtype.kind == "f" and bool(numpy.isnan(values).any()) else found


def _from_codes(codes: Array, decode: Callable[[Array], list[Any]]) -> Distinct:
    """Returns the distinct values of a column of codes; a negative one is a missing value."""
    numpy = _numpy()
    shifted = codes.astype(numpy.int64) + 1
    times = numpy.bincount(shifted)
    present = numpy.flatnonzero(times)
    values = decode(present[present > 0] - 1)
    if len(present) and not present[0]:
        values = [None, *values]
    return Distinct(values, times[present].tolist(), lambda places: numpy.isin(shifted, present[places]))


def _from_arrow(values: Any) -> Distinct | None:
    types = sys.modules["pyarrow"].types
    if hasattr(values, "chunks"):
        parts = [_from_arrow(chunk) for chunk in values.chunks if len(chunk)]
        known = [part for part in parts if part is not None]
        return _joined(known) if len(known) == len(parts) else None
    plain = values.type.value_type if types.is_dictionary(values.type) else values.type
    if not (_is_number(plain) or types.is_boolean(plain) or _is_text(plain)):
        return None
    found = values if types.is_dictionary(values.type) else values.dictionary_encode()
    codes = found.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _from_codes(codes, lambda places: found.dictionary.take(_arrow_array(places)).to_pylist())


def _is_text(arrow_type: Any) -> bool:
    types = sys.modules["pyarrow"].types
    is_view = getattr(types, "is_string_view", None)
    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type) or (is_view and is_view(arrow_type)))


def _arrow_array(places: Array) -> Any:
    return sys.modules["pyarrow"].array(places)


def _joined(parts: list[Distinct]) -> Distinct:
    """Joins the values of consecutive parts; a value in several parts stays there several times."""
    numpy = _numpy()
    starts = numpy.cumsum([0, *(len(part.values) for part in parts)]).tolist()

    def mask(places: list[int]) -> Array:
        rows: Array = numpy.concatenate(
            [
                part.mask([place - start for place in places if 0 <= place - start < len(part.values)])
                for start, part in zip(starts, parts, strict=False)
            ]
        )
        return rows

    values = [value for part in parts for value in part.values]
    return Distinct(values, [count for part in parts for count in part.counts], mask)


def _from_polars(values: Any) -> Distinct | None:
    if not values.dtype.is_integer() and str(values.dtype).partition("(")[0] not in _POLARS_TYPES:
        return None
    table = values.value_counts()
    found, counts = table.to_series(0).to_list(), table.to_series(1).to_list()

    def mask(places: list[int]) -> Array:
        wanted = [found[place] for place in places]
        rows: Array = (
            values.is_in([value for value in wanted if value is not None]).fill_null(None in wanted).to_numpy()
        )
        return rows

    return Distinct(found, counts, mask)
