"""Says which columns are not monitored, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_NAMED: Final = 10
"""Columns that are named for each reason."""


def describe_skipped(skipped: Mapping[str, str]) -> list[str]:
    """Returns each reason once, after the columns that it holds for."""
    columns: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        columns.setdefault(reason, []).append(name)
    return [f"{_some(names)}: {reason}" for reason, names in columns.items()]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
