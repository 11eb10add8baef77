"""The exemplars of a metric: single observations with the trace in which each was made."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import fetch, moment, parse

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._charts import ChartFilter

_POINTS: Final = 200
"""Points whose exemplars are read."""
SHOWN: Final = 20
_NO_ID: Final = frozenset("0")


def exemplars(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter) -> list[dict[str, Any]]:
    """Returns the newest exemplars that have a trace, each once: value, time, ids and attributes."""
    conditions = wanted.conditions()
    conditions.add("time_ns >= ?", wanted.since_ns)
    conditions.add("time_ns < ?", wanted.until_ns)
    rows = fetch(
        cursor,
        f"select detail from points where {conditions.where} and contains(detail, '\"exemplars\":') "
        f"order by time_ns desc limit {_POINTS}",
        conditions.values,
    )
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        for each in (parse(row["detail"]) or {}).get("exemplars", ()):
            if set(each["trace_id"]) - _NO_ID and isinstance(each["value"], (int, float)):
                found[each["trace_id"], each["span_id"], each["time_unix_nano"]] = each
    newest = sorted(found.values(), key=lambda each: -each["time_unix_nano"])[:SHOWN]
    return [each | {"time": moment(each["time_unix_nano"])} for each in newest]
