"""What stands for a value that has no descriptors."""

from __future__ import annotations

import math
from typing import Final

from otel_ml._values.missing import is_missing
from otel_ml._values.unread import UNREAD, mark

INVALID: Final = math.inf
"""Stands for a value of another kind. A descriptor is finite, so that an infinite one counts as invalid."""


def undescribed(value: object) -> object:
    """Returns None for a missing value, `INVALID` for one of another kind, and `UNREAD` for one on a device."""
    if is_missing(value):
        return None
    return UNREAD if mark(value) is UNREAD else INVALID
