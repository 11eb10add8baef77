"""The one rule for missing values of features, profiles and schemas."""

from __future__ import annotations

import math
from typing import Any

from otel_ml._guard import attempt
from otel_ml._values.kinds import builtin, kind


def is_missing(value: object) -> bool:
    """Whether a value is missing: None, NaN of any numeric type, and NA and NaT of pandas and numpy."""
    cls = type(value)
    if cls is str or cls is int or cls is bool:
        return False
    if cls is float or value is None:
        return value != value or value is None  # noqa: PLR0124 - the definition of NaN
    if kind(value) == "decimal":
        return bool(attempt(_is_nan, value))
    found = builtin(value)
    if found is None:
        return bool(attempt(_is_empty, value))
    return type(found) is float and math.isnan(found)


def _is_nan(value: Any) -> bool:
    return bool(value.is_nan())


def _is_empty(value: Any) -> bool:
    """Whether a value of a known library is NA, NaT, null or a masked element."""
    family = kind(value)
    if family == "scalar":
        return value.dtype.kind in "mM" and bool(value != value)  # noqa: PLR0124 - the definition of NaT
    if family == "array":
        return value.ndim == 0 and value.tolist() is None
    return family == "missing" or (family == "arrow_scalar" and not value.is_valid)
