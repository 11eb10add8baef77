"""Reads one column of the training data as numbers or as counted texts. Needs numpy; called at fit only."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_ml._equality import count_texts
from otel_ml._guard import attempt
from otel_ml._kinds import builtin, kind
from otel_ml._missing import is_missing
from otel_ml._values import class_text, number, written_number
from otel_ml.quality._feature import DISCRETE_VALUES, ProfileError

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, np.dtype[Any]]

_FEW_INVALID: Final = 0.05
"""Share of other values that a column of numbers may have."""
_MOMENTS: Final = (dt.date, dt.time, dt.timedelta)
_NO_BINS: Final = "dates, durations and complex numbers are not binned: derive a number such as an age or an hour"
_PLAIN: Final = frozenset((int, float, type(None)))
_TEXTS: Final = frozenset((str, float, type(None)))
"""Types of a column of texts: NaN is a missing value."""
_CATEGORY_TYPES: Final = ("category", "Categorical", "Enum", "dictionary")
"""How pandas, polars and arrow call the types of categories."""


class RefusedError(ProfileError):
    """A column that cannot be a feature; the message is the reason."""


@dataclass
class ColumnValues:
    """The values of one column: `numbers`, or `texts` if they are not numbers."""

    numbers: Numbers | None = None
    """The finite ones."""
    texts: Counter[str] = field(default_factory=Counter)
    """How often each canonical text occurs."""
    missing: int = 0
    invalid: int = 0
    """Values that are neither numbers nor texts; in a column of numbers also the texts."""
    infinite: tuple[int, int] = (0, 0)
    """Negative and positive ones."""
    text_numbers: bool = False
    """Whether some numbers were texts or booleans."""
    is_category: bool = False
    """Whether the user, or the column's own type, says that it is one of categories."""

    def counted(self) -> Counter[str]:
        """Counts the canonical texts, also of numbers; those that have none are left out."""
        import numpy as np

        if self.numbers is None:
            return self.texts
        distinct, counts = np.unique(self.numbers, return_counts=True)
        return count_texts(zip(distinct.tolist(), counts.tolist(), strict=True))


def read_column(values: Any, *, numeric: bool = False, categorical: bool = False) -> ColumnValues:
    """Reads a column of numpy, pandas, polars or arrow, or a list.

    Args:
        values: The column.
        numeric: Whether it is one of numbers by the user's word: texts and booleans that mean a number are numbers.
        categorical: Whether it is one of categories by the user's word, or else by its own type.

    Raises:
        RefusedError: It has no values, or values of a type that has no bins.
    """
    own_type = str(getattr(values, "dtype", None) or getattr(values, "type", ""))
    is_category = not numeric and (categorical or own_type.startswith(_CATEGORY_TYPES))
    array, missing = _array(values)
    if array is None:
        found = _read_items(_items(values), numeric=numeric, categorical=is_category)
    else:
        if array.ndim != 1:
            raise RefusedError(f"it has {array.ndim} dimensions, not one value a row")
        found = _read_numbers(array, missing)
    found.is_category = is_category
    return found


def _array(values: Any) -> tuple[Numbers | None, int]:
    """Returns a column of numbers as an array, and how many missing values were left out; None for other columns."""
    family = kind(values)
    if family == "polars_series":
        is_number = values.dtype.is_float() or (values.dtype.is_integer() and "128" not in str(values.dtype))
        return (values.drop_nulls().to_numpy(), values.null_count()) if is_number else (None, 0)
    if family == "arrow_array":
        types = sys.modules["pyarrow"].types
        is_number = types.is_integer(values.type) or types.is_floating(values.type)
        return (values.drop_null().to_numpy(zero_copy_only=False), values.null_count) if is_number else (None, 0)
    if family == "array" and not hasattr(values, "mask"):
        return (values if values.dtype.kind in "iuf" or values.ndim != 1 else None), 0
    if family in {"series", "index"} and getattr(getattr(values, "dtype", None), "kind", "O") in "iuf":
        plain = getattr(values.dtype, "numpy_dtype", None)
        if plain is None:
            return _as_numpy(values), 0
        present = values.dropna()
        return present.to_numpy(dtype=plain), len(values) - len(present)
    return _list_to_array(values), 0


def _as_numpy(values: Any) -> Numbers:
    import numpy as np

    return np.asarray(values.to_numpy())


def _list_to_array(values: Any) -> Numbers | None:
    """Returns a list of builtin numbers and None as an array."""
    import numpy as np

    if type(values) is not list and type(values) is not tuple and type(values) is not range:
        return None
    types = set(map(type, values))
    if not types <= _PLAIN or not types & {int, float} or types == {int, type(None)}:
        return None  # whole numbers with None stay exact one by one
    return attempt(_whole_numbers, values) if types == {int} else attempt(np.array, values, np.float64)


def _whole_numbers(values: Sequence[int]) -> Numbers:
    """Returns whole numbers as an array; raises if they are beyond 64 bits."""
    import numpy as np

    return np.array(values, dtype=np.uint64 if max(values) >= 2**63 else np.int64)


def _read_numbers(array: Numbers, missing: int) -> ColumnValues:
    import numpy as np

    if array.dtype.kind != "f":
        return ColumnValues(array, missing=missing)
    floats = array.astype(np.float64)
    infinite = int(np.count_nonzero(floats == -np.inf)), int(np.count_nonzero(floats == np.inf))
    return ColumnValues(
        floats[np.isfinite(floats)], missing=missing + int(np.count_nonzero(np.isnan(floats))), infinite=infinite
    )


def _items(values: Any) -> list[Any]:
    """Returns the values of a column one by one; refuses types that have no bins before it makes objects of them."""
    family = kind(values)
    if family == "array" and values.dtype.kind in "Mmc":
        raise RefusedError(_NO_BINS)
    if family in {"series", "index"} and getattr(getattr(values, "dtype", None), "kind", "O") in "Mmc":
        raise RefusedError(_NO_BINS)
    if family == "arrow_array":
        if sys.modules["pyarrow"].types.is_temporal(values.type):
            raise RefusedError(_NO_BINS)
        return list(values.to_pylist())
    if family == "polars_series":
        return list(values.to_list())
    return list(values.tolist() if family in {"array", "series", "index"} else values)


def _read_items(items: list[Any], *, numeric: bool, categorical: bool) -> ColumnValues:
    if not numeric and set(map(type, items)) <= _TEXTS:
        distinct = Counter(items)
        missing = sum(distinct.pop(value) for value in list(distinct) if is_missing(value))
        if all(type(value) is str for value in distinct):
            return ColumnValues(texts=count_texts(distinct.items()), missing=missing)
    present = [item for item in items if not is_missing(item)]
    missing = len(items) - len(present)
    if not categorical:
        found = _numbers_among(present, read_texts=numeric)
        found.missing = missing
        if _is_numeric(found, len(present), numeric=numeric):
            return found
    readable: Counter[str] = Counter()
    unreadable: Any = None
    for item in present:
        text = class_text(item)
        if text is None:
            unreadable = item if unreadable is None else unreadable
        else:
            readable[text] += 1
    invalid = len(present) - readable.total()
    if invalid > len(present) / 2:
        raise RefusedError(_reason(unreadable))
    return ColumnValues(texts=readable, missing=missing, invalid=invalid)


def _is_numeric(found: ColumnValues, present: int, *, numeric: bool) -> bool:
    """Whether a column is one of numbers: by the user's word, or because hardly anything else is in it."""
    import numpy as np

    numbers = found.numbers
    if numbers is None or not len(numbers):
        return numeric or sum(found.infinite) == present
    if numeric or not found.invalid:
        return True
    return found.invalid < _FEW_INVALID * present and len(np.unique(numbers)) > DISCRETE_VALUES


def _numbers_among(present: Sequence[Any], *, read_texts: bool) -> ColumnValues:
    """Returns the numbers of a column; all other values are invalid."""
    import numpy as np

    numbers: list[int | float] = []
    infinite = [0, 0]
    has_text_numbers = False
    for item in present:
        plain = builtin(item)
        if type(plain) is bool or type(plain) is str:
            value = written_number(plain) if read_texts else None
            has_text_numbers |= value is not None
        elif type(plain) is float and math.isinf(plain):
            infinite[plain > 0] += 1
            continue
        else:
            value = number(plain)
        if value is not None:
            numbers.append(plain if type(plain) is int else value)
    whole = attempt(_whole_numbers, numbers) if set(map(type, numbers)) == {int} else None
    return ColumnValues(
        np.asarray(numbers, dtype=np.float64) if whole is None else whole,
        invalid=len(present) - len(numbers) - sum(infinite),
        infinite=(infinite[0], infinite[1]),
        text_numbers=has_text_numbers,
    )


def _reason(value: Any) -> str:
    found = builtin(value)
    if isinstance(found, _MOMENTS) or type(value).__name__ in {"Period", "complex", "NaTType"}:
        return _NO_BINS
    return f"its values are of the type {type(value).__name__}: derive a number or a text from them"
