"""Validates what is given to the instruments of our meter provider: finite numbers and short attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from otel_ml import _guard, _values

_LARGEST: Final = 2**63
"""OTLP integers are signed and have 64 bits."""
_TEXT_LIMIT: Final = 1024
_ATTRIBUTES_KEPT: Final = 64
_NUMBERS: Final = frozenset({int, float, bool})


def finite_number(value: Any) -> int | float | None:
    """Returns a number that can be added up and sent; None for text, NaN, infinities, arrays and more than 64 bits."""
    if type(value) is not float and type(value) is not int:
        value = _values.scalar(value)
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is int or type(value) is bool:
        return int(value) if -_LARGEST <= value < _LARGEST else None
    return None


def clean_attributes(attributes: Any) -> Any:
    """Returns the attributes themselves if they are clean, else a clean copy; None if there are none."""
    if attributes is None or (type(attributes) is dict and all(map(_is_clean, attributes, attributes.values()))):
        return attributes
    if not isinstance(attributes, Mapping):
        return None
    cleaned: dict[str, Any] = {}
    for key, value in list(attributes.items())[:_ATTRIBUTES_KEPT]:
        name, plain = _values.line(key, _TEXT_LIMIT), _clean_value(value)
        if name and plain is not None:
            cleaned[name] = plain
    return cleaned


def count_refused(where: str) -> None:
    """Counts a measurement that is not a number as an internal error and logs the first one."""
    _guard.report("measurement", TypeError(where))


def _is_clean(key: Any, value: Any) -> bool:
    if type(key) is not str or len(key) > _TEXT_LIMIT or not key.isprintable():
        return False
    if type(value) is str:
        return len(value) <= _TEXT_LIMIT and value.isprintable()
    return type(value) in _NUMBERS


def _clean_value(value: Any) -> Any:
    if type(value) in {list, tuple}:
        return [plain for one in value[:_ATTRIBUTES_KEPT] if (plain := _clean_value(one)) is not None]
    return _values.line(value, _TEXT_LIMIT) if type(value) is str else _values.scalar(value)
