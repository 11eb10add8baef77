"""What the instruments of our meter provider let in: finite builtin numbers and short clean attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from otel_ml import _guard, _values

_LARGEST: Final = 2**63
"""OTLP's integers are signed and have 64 bits."""
_LABEL_LIMIT: Final = 1024
_LABELS_KEPT: Final = 64
_PLAIN: Final = frozenset({int, float, bool})


def amount(value: Any) -> int | float | None:
    """A number that can be added up and sent; None for text, NaN, infinities, arrays and what exceeds 64 bits."""
    if type(value) is not float and type(value) is not int:
        value = _values.scalar(value)
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is int or type(value) is bool:
        return int(value) if -_LARGEST <= value < _LARGEST else None
    return None


def labels(attributes: Any) -> Any:
    """The attributes themselves when they are clean, else a clean copy; None when there are none."""
    if attributes is None or (type(attributes) is dict and all(map(_is_clean, attributes, attributes.values()))):
        return attributes
    if not isinstance(attributes, Mapping):
        return None
    cleaned: dict[str, Any] = {}
    for key, value in list(attributes.items())[:_LABELS_KEPT]:
        name, plain = _values.line(key, _LABEL_LIMIT), _label(value)
        if name and plain is not None:
            cleaned[name] = plain
    return cleaned


def refuse(where: str) -> None:
    """A measurement that is no number is counted among the internal errors and named once."""
    _guard.report("measurement", TypeError(where))


def _is_clean(key: Any, value: Any) -> bool:
    if type(key) is not str or len(key) > _LABEL_LIMIT or not key.isprintable():
        return False
    if type(value) is str:
        return len(value) <= _LABEL_LIMIT and value.isprintable()
    return type(value) in _PLAIN


def _label(value: Any) -> Any:
    if type(value) in {list, tuple}:
        return [plain for one in value[:_LABELS_KEPT] if (plain := _label(one)) is not None]
    return _values.line(value, _LABEL_LIMIT) if type(value) is str else _values.scalar(value)
