"""One row of features as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Any

from otel_ml._guard import attempt, warn_once
from otel_ml._values import TEXT_LIMIT, Copy, cell
from otel_ml._values.feature_names import NAME_LIMIT, feature_name
from otel_ml._values.kinds import sequence
from otel_ml._values.missing import is_missing
from otel_ml._values.unread import mark
from otel_ml.prediction.boundary._records import FEATURE_LIMIT, find_nested, find_record
from otel_ml.quality import ColumnNames

CUT = "__truncated__"
"""The feature that replaces those left out of a row; its value is the number of all of them."""
SMALL_ROW = 4096
"""Bytes of a row that needs no bound of its own while it waits for the worker."""
_NESTED_DEPTH = 3
_NESTED_ITEMS = 100
KEPT_AS_THEY_ARE = frozenset({float, bool, type(None)})
_TEXT = frozenset({str})
_SEEN_LIMIT = 128
_seen: dict[int, dict[str, object]] = {}
"""The names of the newest clean row of each length, which repeat: a service always predicts from the same features."""


class PartialRow(dict[str, object]):
    """A row of which some values were not read. Its names are those of the input, or of declared columns."""

    __slots__ = ("marks",)

    def __init__(self, row: dict[str, object], marks: dict[str, object]) -> None:
        super().__init__(row)
        self.marks = marks
        """What is counted in place of each value that was not read, by name."""


def row_size(row: dict[str, object]) -> int:
    """Returns the bytes that the values of a row of scalars hold."""
    return sum(map(getsizeof, row.values()))


def scalar_row(features: dict[Any, object]) -> dict[str, object] | None:
    """Copies an exact dict of scalars with clean names; None for any other, which takes the general path."""
    return attempt(known_row, features) if len(features) <= FEATURE_LIMIT else None


def known_row(features: dict[str, object]) -> dict[str, object] | None:
    """Copies a mapping with names seen before; merging into those keeps our names and saves their check."""
    names = _seen.get(len(features))
    row = names | features if names is not None else {}
    if len(row) != len(features):
        return None
    return row if KEPT_AS_THEY_ARE.issuperset(map(type, row.values())) else _within_limits(row)


def flat_row(row: dict[str, object]) -> dict[str, object] | None:
    """Returns a row of clean names and scalars, None for any other. Compares types, never names and values."""
    if not _TEXT.issuperset(map(type, row)):
        return None
    names = "".join(row)
    if not names.isprintable() or "" in row or (len(names) > NAME_LIMIT and max(map(len, row)) > NAME_LIMIT):
        return None
    if len(row) <= _SEEN_LIMIT:
        _seen[len(row)] = dict.fromkeys(row)
    return row if KEPT_AS_THEY_ARE.issuperset(map(type, row.values())) else _within_limits(row)


def _within_limits(row: dict[str, object]) -> dict[str, object] | None:
    for name, value in row.items():
        cls = type(value)
        if cls is float or cls is bool or value is None:
            continue
        if cls is str and len(value) <= TEXT_LIMIT and value.isprintable():  # type: ignore[arg-type,attr-defined]
            continue
        plain_value = cell(value)
        if plain_value is None:
            return None
        row[name] = plain_value
    return row


def read_row(items: Iterable[tuple[Any, Any]], total: int, columns: ColumnNames | None = None) -> dict[str, object]:
    """Copies named values of any kind as one row; ``total`` counts those left out, too.

    Fields of records at any depth get the name of the declared column that an alias of theirs means.
    """
    nested = Copy(_NESTED_ITEMS, lambda value: find_nested(value, columns))
    row: dict[str, object] = {}
    marks: dict[str, object] = {}
    for position, (key, value) in enumerate(items):
        plain_value: object = cell(value)
        name = feature_name(key, position, row)
        if plain_value is None:
            plain_value = nested.convert(value, _NESTED_DEPTH)
            if plain_value is None and not is_missing(value):
                marks[name] = mark(value)
        row[name] = plain_value
    if total > len(row):
        row[CUT] = total
        warn_cut(total)
    return PartialRow(row, marks) if marks else row


def warn_cut(total: int) -> None:
    """Logs once that features were left out."""
    warn_once("features.cut", f"otel-ml: {total} features in one prediction; the first {FEATURE_LIMIT} are kept")


def is_row(value: object) -> bool:
    """Whether a value has several parts: a sequence or a record."""
    return sequence(value, 0) is not None or find_record(value) is not None
