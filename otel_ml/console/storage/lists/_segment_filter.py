"""A segment of a model as a condition on features, and the segments that its metrics name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from otel_ml import semconv
from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage.lists._conditions import Conditions
from otel_ml.console.storage.lists._feature_condition import FeatureCondition

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage.lists._prediction_filter import PredictionFilter

_SEGMENTS: Final = 1_000
_GROUP: Final = re.compile(semconv.SEGMENT_GROUP.format(number=r"\d+"))


def is_withheld(value: str) -> bool:
    """Whether a segment stands for a value that never leaves the service."""
    return _GROUP.fullmatch(value) is not None


def segments(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter) -> dict[str, list[str]]:
    """Returns the values of each segment column of a model; a column whose values are withheld is left out."""
    where = Conditions()
    where.add("name = ?", semconv.SEGMENT_PREDICTIONS.name)
    where.add("model = ?", wanted.model)
    where.add("time_ns >= ?", wanted.since_ns)
    rows = fetch(
        cursor,
        "select distinct json_extract_string(attributes, ?) as name, json_extract_string(attributes, ?) as value "  # noqa: S608
        f"from points where {where.where} order by name, value limit ?",
        [f"/{semconv.SEGMENT_NAME}", f"/{semconv.SEGMENT_VALUE}", *where.values, _SEGMENTS],
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["name"] is not None and row["value"] is not None:
            found.setdefault(row["name"], []).append(row["value"])
    return {name: values for name, values in found.items() if not any(map(is_withheld, values))}


def with_segment(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter) -> PredictionFilter:
    """Returns a filter whose segment has become a condition on features."""
    if wanted.segment is None:
        return wanted
    name, value = wanted.segment
    condition = FeatureCondition(name, "=", (value,))
    if value == semconv.SEGMENT_MISSING_VALUE:
        condition = FeatureCondition(name, "=", ("",))
    elif value == semconv.OTHER:
        known = set(segments(cursor, wanted).get(name, ())) - {semconv.OTHER, semconv.SEGMENT_MISSING_VALUE}
        condition = FeatureCondition(name, "not in", (*sorted(known), ""))
    return replace(wanted, features=(*wanted.features, condition), segment=None)
