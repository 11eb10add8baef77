"""Which models are stored, and since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage._tables import TABLES

if TYPE_CHECKING:
    import duckdb

MODELS_LIMIT: Final = 100
_YOUNG_NS: Final = {"5m": 300 * 10**9, "15m": 900 * 10**9}
"""Ranges by name that a store which is no older is shown in."""
_LONGER_NS: Final = {"1h": 3600 * 10**9, "6h": 6 * 3600 * 10**9, "24h": 24 * 3600 * 10**9}
"""The others, without the longest."""


def names(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    """Returns the models that have sent an event or a metric."""
    found = fetch(
        cursor,
        "select distinct model from (select distinct model from predictions "
        "union all select distinct model from points) where model is not null order by model limit ?",
        [MODELS_LIMIT],
    )
    return [row["model"] for row in found]


def default_range(cursor: duckdb.DuckDBPyConnection, now_ns: int) -> str:
    """Returns the shortest range that has all of a young store, else the newest record; never less than an hour.

    What stopped arriving stays in it for at least as long again, since links of the page keep the range.
    """
    times = {table: "start_ns" if table == "spans" else "time_ns" for table in TABLES}
    oldest = ", ".join(f"(select min({time}) from {table})" for table, time in times.items())  # noqa: S608
    newest = oldest.replace("select min(", "select max(")
    found = fetch(cursor, f"select least({oldest}) as oldest, greatest({newest}) as newest", [])[0]
    age, silence = (0 if each is None else now_ns - each for each in (found["oldest"], found["newest"]))
    if 2 * silence < _LONGER_NS["1h"]:
        return next((name for name, length in _YOUNG_NS.items() if age + silence < length), "1h")
    return next((name for name, length in _LONGER_NS.items() if 2 * silence < length), "3d")


def busiest(cursor: duckdb.DuckDBPyConnection) -> str | None:
    """Returns the model with the most events; without events the first that sent metrics."""
    found = fetch(
        cursor,
        "select model from predictions where model is not null group by model order by count(*) desc limit 1",
        [],
    )
    return found[0]["model"] if found else next(iter(names(cursor)), None)


def has_prediction(cursor: duckdb.DuckDBPyConnection, prediction_id: str) -> bool:
    """Returns whether there is an event with this very id."""
    return bool(fetch(cursor, "select 1 from predictions where prediction_id = ? limit 1", [prediction_id]))


def predictions_of_trace(cursor: duckdb.DuckDBPyConnection, trace_id: str) -> list[str]:
    """Returns the ids of the first two predictions in a trace."""
    found = fetch(
        cursor, "select prediction_id from predictions where trace_id = ? order by place_ns limit 2", [trace_id]
    )
    return [row["prediction_id"] for row in found]


def trace_of_span(cursor: duckdb.DuckDBPyConnection, span_id: str) -> str | None:
    """Returns the id of the newest trace that has a span."""
    found = fetch(cursor, "select trace_id from spans where span_id = ? order by place_ns desc limit 1", [span_id])
    return found[0]["trace_id"] if found else None


def ids_that_begin(cursor: duckdb.DuckDBPyConnection, text: str) -> list[str]:
    """Returns the ids of two predictions that begin with a text, the newest ones."""
    found = fetch(
        cursor,
        "select prediction_id from predictions where starts_with(prediction_id, ?) order by place_ns desc limit 2",
        [text],
    )
    return [row["prediction_id"] for row in found]
