"""Moments that a user gives, in whatever form, as seconds since the epoch."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Final, TypeAlias

from otel_ml._values.bounded import written_number
from otel_ml._values.kinds import builtin

Moment: TypeAlias = float | str | dt.date
"""Seconds since the epoch, an ISO 8601 text, a date or a datetime; of numpy and pandas too."""
LATEST: Final = 1.8e10
"""Seconds since the epoch of the latest moment, in the year 2540, up to which OTLP has nanoseconds."""
_ZERO_OFFSET: Final = re.compile("(?:[Zz]| UTC)$")
_DATE_DIGITS: Final = 8
"""Digits of a date that ISO 8601 writes without hyphens."""


def seconds(moment: object) -> float:
    """Returns seconds since the epoch of a number, a datetime, a date or an ISO 8601 text, of numpy and pandas too.

    A text that is a number, such as a cell of a CSV file, is seconds; only ``20260601`` is a date. BigQuery writes
    ``UTC`` for ``Z``.

    A moment without a zone is local time, as everywhere in Python; a date is its first moment.

    Raises:
        ValueError: It is none of these, NaN or infinite, or so large that it must be milliseconds.
    """
    if type(moment) is float and -LATEST < moment < LATEST:
        return moment
    plain = builtin(moment)
    plain = plain.strip() if isinstance(plain, str) else plain
    if isinstance(plain, str) and len(plain) != _DATE_DIGITS and (written := written_number(plain)) is not None:
        plain = written
    elif isinstance(plain, str):
        plain = dt.datetime.fromisoformat(_ZERO_OFFSET.sub("+00:00", plain))
    elif isinstance(plain, dt.date) and not isinstance(plain, dt.datetime):
        plain = dt.datetime.combine(plain, dt.time())
    value = plain.timestamp() if isinstance(plain, dt.datetime) else plain
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{moment!r} is not a moment")
    if abs(value) >= LATEST:
        raise ValueError(f"{moment!r} is not a moment in seconds since the epoch: divide milliseconds by 1000")
    return float(value)


def find_seconds(moment: object) -> float | None:
    """Returns what `seconds` does, and None for what is not a moment."""
    try:
        return seconds(moment)
    except (ValueError, OverflowError, OSError):
        return None
