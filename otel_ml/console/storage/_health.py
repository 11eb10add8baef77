"""What arrived from whom over time, and how full the file is."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage._tables import SIGNALS

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._time_range import TimeRange

_LIMIT: Final = 20_000


def arrivals(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    """How many records of each signal each service sent in each step, by the time of their arrival."""
    step = window.step.replace("place_ns", "received_ns")
    parts = " union all ".join(
        f"select '{signal}' as signal, service_name, {step} as step, received_ns from {table} "
        "where received_ns >= ? and received_ns < ?"
        for table, signal in SIGNALS.items()
    )
    return fetch(
        cursor,
        "select service_name as service, signal, step, count(*) as records, max(received_ns) as newest_ns "
        f"from ({parts}) group by all order by service, signal, step limit ?",
        [*window.values * len(SIGNALS), _LIMIT],
    )


def storage(cursor: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Rows, text and oldest arrival of each table, and the size of the file."""
    size = fetch(cursor, "select database_size, wal_size from pragma_database_size()", [])[0]
    parts = " union all ".join(
        f"select '{table}' as name, count(*) as rows, coalesce(sum(bytes), 0)::bigint as bytes, "
        f"min(received_ns) as oldest_ns from {table}"
        for table in SIGNALS
    )
    return {"file": size["database_size"], "log": size["wal_size"], "tables": fetch(cursor, parts, [])}
