"""The names of features: of columns, of fields, and of values that have none of their own."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from otel_ml._values.bounded import line
from otel_ml._values.kinds import sequence

NAME_LIMIT = 256
"""Characters kept of a feature's name."""
_NAME_PARTS = 8


def feature_name(key: object, position: int, taken: Container[str]) -> str:
    """Returns a feature's clean, short name, which differs from the taken ones even if two keys read the same."""
    if type(key) is tuple:  # the columns of a pandas MultiIndex
        name = ".".join(line(part, NAME_LIMIT) or "" for part in key[:_NAME_PARTS])[:NAME_LIMIT]
    else:
        name = line(key, NAME_LIMIT) or f"f{position}"
    if name in taken:
        name = f"{name}#{position}"
        while name in taken:
            name += "#"
    return name


def positional_names(names: Sequence[str] | None, count: int) -> list[Any]:
    """Returns the names of this many columns: the given ones, then ``f<position>``."""
    given = sequence(names, count)
    known = given[0] if given is not None else []
    return known + [f"f{position}" for position in range(len(known), count)]
