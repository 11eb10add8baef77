"""The columns of a model by name, and their values at any depth of the features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_ml.quality import ReferenceProfile, Schema


def column_names(profile: ReferenceProfile | None, schema: Schema | None) -> tuple[str, ...] | None:
    """Returns the names of all columns in the order of the training frame, or of the schema."""
    if profile is not None and profile.columns:
        return tuple(profile.columns)
    return tuple(column.name for column in schema.columns) if schema is not None and schema.columns else None


def values_under(value: Any, names: frozenset[str]) -> Iterator[Any]:
    """Yields the scalars under these names, at any depth of a copied value."""
    if type(value) is dict:
        for key, entry in value.items():
            if key in names or key.partition("#")[0] in names:
                yield from _scalars(entry)
            else:
                yield from values_under(entry, names)
    elif type(value) is list:
        for entry in value:
            yield from values_under(entry, names)


def _scalars(value: Any) -> Iterator[Any]:
    if type(value) is dict or type(value) is list:
        for entry in value.values() if type(value) is dict else value:
            yield from _scalars(entry)
    elif value is not None:
        yield value


def without(value: Any, names: frozenset[str]) -> Any:
    """Returns a copied value without the entries of these names, at any depth; ``name#2`` counts as ``name``."""
    if type(value) is dict:
        kept = (item for item in value.items() if item[0] not in names and item[0].partition("#")[0] not in names)
        return {key: without(entry, names) for key, entry in kept}
    return [without(entry, names) for entry in value] if type(value) is list else value
