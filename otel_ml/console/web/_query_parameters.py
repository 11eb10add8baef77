"""Query parameters of the API and the pages: typed, bounded, refused with one line."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from otel_ml.console.receiving._values import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import QueryParams

LIMIT_MAX = 1000
TEXT_MAX = 512


class BadParameterError(ValueError):
    """A parameter that the API does not accept; the message is one line of fixed text."""


def check(parameters: QueryParams, known: Collection[str], repeated: Collection[str] = ()) -> None:
    """Refuses parameters that are unknown, too long, or repeated where they may not be."""
    names = [name for name, _ in parameters.multi_items() if name not in repeated]
    if not set(names) <= set(known):
        raise BadParameterError(f"unknown parameter; expected {', '.join(known)}")
    if len(names) != len(set(names)):
        raise BadParameterError("a parameter is repeated")
    if any(len(value) > TEXT_MAX for value in parameters.values()):
        raise BadParameterError(f"a parameter is longer than {TEXT_MAX} characters")


def moment(parameters: QueryParams, name: str) -> int | None:
    """A moment, ISO 8601 or seconds since the epoch, as nanoseconds; without a zone it is UTC."""
    given = parameters.get(name)
    found = moment_of(given) if given else None
    if given and found is None:
        raise BadParameterError(f"{name}: expected ISO 8601 or seconds since the epoch")
    return found


def moment_of(text: str) -> int | None:
    """A moment, ISO 8601 or seconds since the epoch, as nanoseconds; None if the text is neither."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _iso_seconds(text)
    if not math.isfinite(seconds) or not 0 <= seconds <= INT64_MAX / 1e9:
        return None
    return min(int(seconds * 1e9), INT64_MAX)


def _iso_seconds(given: str) -> float:
    # an unencoded plus in a time zone arrives as a space
    zoned = re.sub(r" (\d\d:\d\d)$", r"+\1", given) if "T" in given else given
    try:
        when = datetime.fromisoformat(zoned.replace("Z", "+00:00"))
        return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
    except (OverflowError, ValueError):
        return math.nan
