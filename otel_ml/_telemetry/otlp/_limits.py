"""Applies the limits of attributes, events and links to our records, as the SDK does to its own."""

from __future__ import annotations

from itertools import islice
from typing import Any, TypeVar

from otel_ml._telemetry.records import Attributes

T = TypeVar("T")


def limit_attributes(attributes: Attributes, count: int, length: int | None) -> tuple[Attributes, int]:
    """Returns the last ``count`` attributes with their texts cut, and how many attributes were dropped."""
    dropped = max(0, len(attributes) - count)
    kept = dict(islice(attributes.items(), dropped, None)) if dropped else attributes
    if length is not None:
        kept = {key: _cut(value, length) for key, value in kept.items()}
    return kept, dropped


def keep_last(parts: list[T], count: int) -> list[T]:
    """Returns the last ``count`` parts."""
    return parts if len(parts) <= count else parts[len(parts) - count :]


def _cut(value: Any, length: int) -> Any:
    """Returns a value in which no text is longer."""
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, list | tuple):
        return [_cut(item, length) for item in value]
    if isinstance(value, dict):
        return {key: _cut(item, length) for key, item in value.items()}
    return value
