"""How the predictions of a model are spread over its segments, and over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.storage._metric_points import increases

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from otel_ml.console.storage._metric_points import Span

_NAMES: Final = (semconv.SEGMENT_PREDICTIONS.name, semconv.SEGMENT_MISSING.name)


def segment_shares(cursor: duckdb.DuckDBPyConnection, span: Span, edges: Sequence[int]) -> list[dict[str, Any]]:
    """Returns predictions, their share of the column, and missing values of each segment, the largest first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    columns: dict[str, list[float]] = {}
    for name, attributes, value, period in increases(cursor, _NAMES, span, edges):
        key = str(attributes.get(semconv.SEGMENT_NAME, "")), str(attributes.get(semconv.SEGMENT_VALUE, ""))
        row = found.setdefault(key, {"missing": 0.0, "periods": [0.0] * (len(edges) + 1)})
        if name == semconv.SEGMENT_MISSING.name:
            row["missing"] += value
        else:
            row["periods"][period] += value
            columns.setdefault(key[0], [0.0] * (len(edges) + 1))[period] += value
    rows = [
        {
            "column": column,
            "value": value,
            "predictions": sum(row["periods"]),
            "share": sum(row["periods"]) / sum(columns[column]),
            "missing": row["missing"] / sum(row["periods"]),
            "shares": [
                times / whole if whole else None for times, whole in zip(row["periods"], columns[column], strict=True)
            ],
        }
        for (column, value), row in found.items()
        if sum(row["periods"])
    ]
    return sorted(rows, key=lambda row: (row["column"], -row["predictions"], row["value"]))
