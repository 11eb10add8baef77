"""Probabilities that come with the names of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from otel_ml._figures.single import is_distribution
from otel_ml._values import class_text, number
from otel_ml._values.equality import find_equal
from otel_ml._values.kinds import builtin, kind, sequence
from otel_ml.prediction.boundary._records import find_record

CLASSES_LIMIT: Final = 1000
"""Probabilities read of one row."""


def shares_of_mapping(value: object) -> dict[str, float] | None:
    """Returns the share of each class of ``{"a": 0.9, "b": 0.1}``; None for anything else."""
    if kind(value) or builtin(value) is not None or sequence(value, 0) is not None:
        return None
    items = find_record(value)
    return None if items is None else _shares([name for name, _ in items], [item for _, item in items])


def shares_of_lists(names: object, shares: object) -> dict[str, float] | None:
    """Returns the share of each class from the classes and their shares, equally long."""
    given, numbers = sequence(names, CLASSES_LIMIT), sequence(shares, CLASSES_LIMIT)
    if given is None or numbers is None or given[1] != numbers[1]:
        return None
    return _shares(given[0], numbers[0])


def shares_in_order(shares: dict[str, float], classes: Sequence[str]) -> list[float] | None:
    """Returns the shares of the declared classes in their order; None if the names are not these classes."""
    found = {find_equal(name, classes): share for name, share in shares.items()}
    return [found[name] for name in classes] if len(shares) == len(found) and found.keys() == set(classes) else None


def positional_classes(names: Sequence[str | None], classes: Sequence[str] | None) -> Sequence[str | None]:
    """Returns the declared classes for columns that have only numbers from 0 on; other names as they are."""
    is_numbered = classes is not None and list(names) == [str(place) for place in range(len(classes))]
    return classes if is_numbered and classes is not None and set(names) != set(classes) else names


def rows_of_frame(
    frame: Any, family: str, limit: int, classes: Sequence[str] | None = None
) -> list[dict[str, float]] | None:
    """Returns the shares in each row of a frame that has one column for each class. May raise."""
    rows, width = (int(size) for size in frame.shape)
    if not 2 <= width <= CLASSES_LIMIT or not 0 < rows <= limit:
        return None
    names = list(frame.column_names if family == "arrow" else frame.columns)
    columns = [frame.column(name) if family == "arrow" else frame[name] for name in names]
    values = [(sequence(column, rows) or ([], 0))[0] for column in columns]
    names = list(positional_classes([class_text(name) for name in names], classes))
    found = [_shares(names, list(row)) for row in zip(*values, strict=True)]
    return None if None in found else found  # type: ignore[return-value]


def _shares(names: Sequence[Any], values: list[Any]) -> dict[str, float] | None:
    if not 2 <= len(names) <= CLASSES_LIMIT:
        return None
    found: dict[str, float] = {}
    for name, value in zip(names, values, strict=True):
        text, share = class_text(name), number(value) if type(builtin(value)) is float else None
        if text is None or share is None:
            return None
        found[text] = share
    return found if len(found) == len(names) and is_distribution(list(found.values())) else None
