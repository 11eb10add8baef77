"""The window of time that a command is about."""

from __future__ import annotations

import argparse
import datetime as dt
import re
import time
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def add_window(parser: argparse._ActionsContainer, *, since: str) -> None:
    """Adds ``--since`` and ``--until``."""
    parser.add_argument(
        "--since",
        default=since,
        metavar="WHEN",
        help="start: an age such as 24h or 7d, or a date (default: %(default)s)",
    )
    parser.add_argument("--until", default="0s", metavar="WHEN", help="end, in the same form (default: now)")


def read_window(arguments: argparse.Namespace) -> tuple[float, float]:
    """Returns start and end in seconds since the epoch; raises a ValueError for a text that is neither age nor date."""
    now = time.time()
    return read_moment(arguments.since, now), read_moment(arguments.until, now)


def read_moment(text: str, now: float, zone: dt.tzinfo | None = None) -> float:
    """Returns a moment, given as an age or a date; raises a ValueError for any other text.

    Args:
        text: Such as 24h, 2026-06-01 or 2026-06-01T12:00:00Z.
        now: What an age counts back from.
        zone: Of a date that names none; None is the zone of this machine.
    """
    age = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if age is not None:
        return now - float(age[1]) * _UNITS[age[2]]
    try:
        # before Python 3.11 a Z is no zone
        found = dt.datetime.fromisoformat(re.sub("[Zz]$", "+00:00", text))
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is neither an age such as 24h or 7d nor a date such as 2026-06-01") from None
