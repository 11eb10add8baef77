"""What stands for a value that has no descriptors."""

from __future__ import annotations

import math
from typing import Final

from otel_ml._values.kinds import builtin, kind, pairs, sequence
from otel_ml._values.missing import is_missing

INVALID: Final = math.inf
"""Stands for a value of another kind. A descriptor is finite, so that an infinite one counts as invalid."""
UNREADABLE: Final = object()
"""Stands for a value that is not read, such as a tensor on a device; the value itself must not get any further."""


def undescribed(value: object) -> object:
    """Returns None for a missing value, `INVALID` for one of another kind, and `UNREADABLE` for one of unknown type."""
    if is_missing(value):
        return None
    is_known = builtin(value) is not None or sequence(value, 0) is not None or pairs(value, 0) is not None
    return INVALID if is_known or kind(value) in ("array", "picture") else UNREADABLE
