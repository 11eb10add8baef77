"""Writes, reads and checks the entry of a feature in the file of a profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from otel_ml.quality._bloom import BloomFilter
from otel_ml.quality._feature import SALT_LENGTH, Feature

_FIELDS: Final = tuple(one.name for one in fields(Feature))
_OPTIONAL: Final = frozenset(
    ("infinite", "invalid", "periodic", "rare_filter", "salt", "singletons", "text_numbers", "windows")
)
"""Fields that are left out if they are empty; formats 1 and 2 have only the salt of these."""
_MOST_ROWS: Final = 2**63 - 1


def to_entry(feature: Feature) -> dict[str, Any]:
    """Returns a feature as values of JSON."""
    values = {name: getattr(feature, name) for name in _FIELDS}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in _OPTIONAL or value
    }


def from_entry(entry: Mapping[str, Any]) -> Feature:
    """Reads what `to_entry` made; raises a ValueError, a TypeError or a KeyError for anything else."""
    values: dict[str, Any] = {
        name: tuple(entry[name]) if isinstance(entry[name], list) else entry[name]
        for name in _FIELDS
        if name not in _OPTIONAL or name in entry
    }
    values["windows"] = tuple((str(name), tuple(counts)) for name, counts in entry.get("windows", ()))
    feature = Feature(**values)
    wrong = _find_flaw(feature)
    if wrong is not None:
        raise ValueError(f"feature {feature.name!r} {wrong}")
    return feature


def _find_flaw(feature: Feature) -> str | None:
    bins = len(feature.edges) + 1 if feature.kind == "number" else len(feature.categories) + 2
    bounds = [bound for bound in (feature.low, feature.high) if bound is not None]
    names = (feature.name, feature.kind, feature.salt, feature.rare_filter)
    texts = (*names, *feature.labels, *feature.categories, *feature.rare)
    if feature.rare_filter:
        BloomFilter.from_text(feature.rare_filter)
    if not all(isinstance(text, str) for text in texts) or len(feature.salt.encode()) > SALT_LENGTH:
        return "has names that are not text, or an unusable salt"
    if feature.kind not in {"number", "category"}:
        return f"is of the unknown kind {feature.kind!r}"
    sizes = {
        len(feature.labels),
        len(feature.counts),
        len(set(feature.labels)),
        *(len(one) for _, one in feature.windows),
    }
    if sizes != {bins}:
        return f"has {bins} bins, {len(feature.labels)} labels and {len(feature.counts)} counts"
    windows = [count for _, window in feature.windows for count in window]
    counts = (*feature.counts, *windows, feature.missing, feature.invalid, feature.singletons)
    if any(type(count) is not int or not 0 <= count <= _MOST_ROWS for count in counts):
        return "has counts that are not whole numbers from 0 on"
    if not all(map(math.isfinite, (*feature.edges, *bounds))) or list(feature.edges) != sorted(set(feature.edges)):
        return "has edges that do not ascend"
    return None
