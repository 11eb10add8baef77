"""Finds the values of sensitive and of undeclared columns at any depth of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_ml._values import TRUNCATED
from otel_ml._values.missing import is_missing
from otel_ml.quality import ColumnNames, ReferenceProfile, Schema, column_key

_OURS = frozenset({"__truncated__", TRUNCATED})
"""Names that otel-ml adds itself."""


def column_names(
    profile: ReferenceProfile | None, schema: Schema | None, sensitive: frozenset[str]
) -> tuple[str, ...] | None:
    """Returns the names of all columns in the order of the training frame, or of the schema.

    None for a schema that has no place for a sensitive column: the values could be in another order than its columns.
    """
    if profile is not None and profile.columns:
        return tuple(profile.columns)
    names = () if schema is None else schema.names
    is_complete = set(map(column_key, names)).issuperset(map(column_key, sensitive))
    return names if names and is_complete else None


def monitored_names(profile: ReferenceProfile | None, sensitive: frozenset[str]) -> tuple[str, ...]:
    """Returns the monitored columns in the order of the training frame.

    Empty if a sensitive column is not among them: a value at one of their places could be one of it.
    """
    monitored = {feature.name for feature in profile.features} if profile is not None else set()
    is_complete = set(map(column_key, monitored)).issuperset(map(column_key, sensitive))
    return tuple(name for name in profile.columns if name in monitored) if profile is not None and is_complete else ()


def sensitive_values(value: Any, columns: ColumnNames) -> Iterator[tuple[str, Any]]:
    """Yields canonical name and value of the scalars of sensitive columns, at any depth of a copied value.

    A value derived from such a column has an empty name.
    """
    for path, entry in _entries(value, ""):
        if columns.is_sensitive(path):
            key = columns.sensitive_key(path) or ""
            yield from ((key, scalar) for scalar in _scalars(entry))


def undeclared_values(value: Any, columns: ColumnNames) -> Iterator[Any]:
    """Yields the scalars under names that are not declared, at any depth of a copied value."""
    for path, entry in _entries(value, ""):
        if not is_known(path, columns):
            yield from _scalars(entry)


def is_known(path: str, columns: ColumnNames) -> bool:
    """Whether a name or a path means a declared or a sensitive column, or is one of ours."""
    name = path.rpartition(".")[2]
    return bool(name in _OURS or columns.is_sensitive(path) or columns.candidates(path) or columns.candidates(name))


def is_uncertain(row: dict[str, object], kept: dict[str, object], columns: ColumnNames) -> bool:
    """Whether a kept value may be one of a sensitive column under a name that is not known.

    It may if a sensitive column has no value in the row and a kept value has an undeclared name.
    """
    found = {key for key, value in sensitive_values(row, columns) if not is_missing(value)}
    return not found >= columns.sensitive_keys and any(True for _ in undeclared_values(kept, columns))


def without_sensitive(value: Any, columns: ColumnNames, path: str = "") -> Any:
    """Returns a copied value without the entries of sensitive columns, at any depth."""
    if isinstance(value, dict):
        return {
            name: without_sensitive(entry, columns, f"{path}{name}.")
            for name, entry in value.items()
            if not columns.is_sensitive(f"{path}{name}")
        }
    return [without_sensitive(entry, columns, path) for entry in value] if type(value) is list else value


def _entries(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields the innermost named values with their paths: scalars, and lists of values without names."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _entries(entry, f"{path}.{name}" if path else name)
    elif type(value) is list and any(type(item) is dict for item in value):
        for item in value:
            yield from _entries(item, path)
    else:
        yield path, value


def _scalars(value: Any) -> Iterator[Any]:
    if type(value) is list:
        for entry in value:
            yield from _scalars(entry)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _scalars(entry)
    elif value is not None:
        yield value
