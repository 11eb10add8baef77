"""Which metrics arrived in a time range, with which labels, and how far apart their points are."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.receiving._values import dump
from otel_ml.console.storage._charts import IS_COUNTED
from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._charts import ChartFilter
    from otel_ml.console.storage._time_range import TimeRange

_LIMIT: Final = 500
_SERIES_LIMIT: Final = 2000


def names(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter, text: str | None) -> list[dict[str, Any]]:
    """Returns each metric with its number of series, by name; with a text those that have it in their name."""
    conditions = _in_window(wanted)
    conditions.add("contains(lower(name), lower(?))", text)
    return fetch(
        cursor,
        "select name, any_value(kind) as kind, any_value(unit) as unit, any_value(counted) as counted, "
        "count(*) as series, sum(points)::bigint as points, max(newest_ns) as newest_ns from (select name, series, "
        f"any_value(kind) as kind, any_value(unit) as unit, any_value({IS_COUNTED}) as counted, "
        f"count(*) as points, max(time_ns) as newest_ns from points where {conditions.where} group by name, series) "
        "group by name order by name limit ?",
        [*conditions.values, _LIMIT],
    )


def labels(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter) -> dict[str, list[str]]:
    """Returns the values of each attribute of which a metric has more than one."""
    conditions = _in_window(wanted)
    found = fetch(
        cursor, f"select distinct attributes from points where {conditions.where} limit ?",
        [*conditions.values, _SERIES_LIMIT],
    )  # fmt: skip
    values: dict[str, set[str]] = {}
    for row in found:
        for name, value in (parse(row["attributes"]) or {}).items():
            values.setdefault(name, set()).add(plain(value))
    return {name: sorted(each) for name, each in sorted(values.items()) if len(each) > 1}


def services(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter) -> list[str]:
    """Returns the services that sent the metrics."""
    conditions = _in_window(wanted)
    found = fetch(
        cursor,
        f"select distinct service_name as name from points where {conditions.where} and service_name is not null "
        "order by name limit 100",
        conditions.values,
    )
    return [row["name"] for row in found]


def interval_ns(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter, window: TimeRange) -> int:
    """Returns how far apart the points of a series usually are; 0 if none has two."""
    conditions = _in_window(wanted)
    found = fetch(
        cursor,
        "select median(gap) as gap from (select (max(time_ns) - min(time_ns)) / (count(*) - 1) as gap from points "
        f"where {conditions.where} and time_ns >= ? group by series having count(*) > 1)",
        [*conditions.values, window.since_ns],
    )[0]["gap"]
    return 0 if found is None else int(found)


def plain(value: Any) -> str:
    """The value of an attribute as a filter has it."""
    return value if isinstance(value, str) else dump(value)


def _in_window(wanted: ChartFilter) -> Any:
    conditions = wanted.conditions()
    conditions.add("time_ns >= ?", wanted.since_ns)
    conditions.add("time_ns < ?", wanted.until_ns)
    return conditions
