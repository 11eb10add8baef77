"""One row of features: a mapping, a dataclass, a pydantic model, a named tuple or another object with attributes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sys import getsizeof
from types import FunctionType, MethodType, ModuleType
from typing import Any

from otel_ml._guard import attempt, warn_once
from otel_ml._kinds import kind, pairs, sequence
from otel_ml._values import TEXT_LIMIT, Copy, cell, line

FEATURE_LIMIT = 1000
"""Features kept of one prediction."""
NAME_LIMIT = 256
"""Characters kept of a feature's name."""
CUT = "__truncated__"
"""The feature that replaces those left out of a row; its value is the number of all of them."""
SMALL_ROW = 4096
"""Bytes of a row that needs no bound of its own while it waits for the worker."""
_NESTED_DEPTH = 3
_NESTED_ITEMS = 100
_NAME_PARTS = 8
KEPT_AS_THEY_ARE = frozenset({float, bool, type(None)})
_TEXT = frozenset({str})
_SEEN_LIMIT = 128
_NOT_RECORDS = (type, FunctionType, MethodType, ModuleType, BaseException)
_seen: dict[int, dict[str, object]] = {}
"""The names of the newest clean row of each length, which repeat: a service always predicts from the same features."""


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
    if not names.isprintable() or (len(names) > NAME_LIMIT and max(map(len, row)) > NAME_LIMIT):
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


def read_row(items: Iterable[tuple[Any, Any]], total: int) -> dict[str, object]:
    """Copies named values of any kind as one row; ``total`` counts those left out, too."""
    nested = Copy(_NESTED_ITEMS)
    row: dict[str, object] = {}
    for position, (key, value) in enumerate(items):
        plain_value: object = cell(value)
        if plain_value is None:
            plain_value = nested.convert(value, _NESTED_DEPTH)
        row[feature_name(key, position, row)] = plain_value
    if total > len(row):
        row[CUT] = total
        warn_cut(total)
    return row


def feature_name(key: object, position: int, taken: dict[str, Any]) -> str:
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


def warn_cut(total: int) -> None:
    """Logs once that features were left out."""
    warn_once("features.cut", f"otel-ml: {total} features in one prediction; the first {FEATURE_LIMIT} are kept")


def is_row(value: object) -> bool:
    """Whether a value has several parts: a sequence or a record."""
    return sequence(value, 0) is not None or find_record(value) is not None


def find_record(value: object) -> list[tuple[Any, Any]] | None:
    """Returns the named values of a mapping, a named tuple or an object with attributes; None for anything else."""
    found = pairs(value, FEATURE_LIMIT)
    if found is not None:
        return found[0]
    if issubclass(type(value), tuple):
        return attempt(_named, value)
    return None if cell(value) is not None or sequence(value, 0) else attempt(_attributes, value)


def _named(value: Any) -> list[tuple[Any, Any]] | None:
    fields = getattr(type(value), "_fields", None)
    if type(fields) is not tuple:
        return None
    return list(zip(fields[:FEATURE_LIMIT], tuple.__iter__(value), strict=False))


def _attributes(value: object) -> list[tuple[str, Any]] | None:
    """Reads the public attributes of an object where they are stored, so that as little user code runs as possible."""
    if value is None or kind(value) or issubclass(type(value), _NOT_RECORDS):
        return None
    stored = attempt(object.__getattribute__, value, "__dict__")
    found = pairs(stored, FEATURE_LIMIT) if type(stored) is dict else None
    items = found[0] if found is not None else []
    for base in type.mro(type(value)):
        slots = base.__dict__.get("__slots__", ())
        for name in [slots] if type(slots) is str else list(slots)[:FEATURE_LIMIT]:
            items.append((name, attempt(object.__getattribute__, value, name)))
    public = [(name, item) for name, item in items if type(name) is str and not name.startswith("_")]
    return public or None


def positional_names(names: Sequence[str] | None, count: int) -> list[Any]:
    """Returns the names of this many columns: the given ones, then ``f<position>``."""
    given = sequence(names, count)
    known = given[0] if given is not None else []
    return known + [f"f{position}" for position in range(len(known), count)]
