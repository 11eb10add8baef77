"""Services from their spans: requests, errors and durations, also of services without a model."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage._time_range import WHERE
from otel_ml.console.storage.lists._http_names import IS_REFUSED

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._time_range import TimeRange

_ERROR: Final = 2
SERVICES_LIMIT: Final = 100
_LATE_SERVICES: Final = 3
_LATE_NS: Final = 600 * 10**9
"""A record that is older than this when it arrives is late: longer than exporters wait and try again."""


def services(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    """Returns each service with the requests that it served, and the models whose predictions it sent."""
    values = window.values
    return fetch(
        cursor,
        "with served as (select service_name, count(*) as requests, count(*) filter (status = ?) as errors, "
        f"count(*) filter ({IS_REFUSED}) as refused, "
        "quantile_cont((end_ns - start_ns) / 1e9, [0.5, 0.95, 0.99]) filter (end_ns >= start_ns) as latency, "
        f"max(place_ns) as newest_ns from spans where is_entry and {WHERE} "
        "group by service_name), seen as (select service_name, max(received_ns) as newest_ns from ("
        f"select service_name, received_ns from spans where {WHERE} union all "
        f"select service_name, received_ns from logs where {WHERE} union all "
        f"select service_name, received_ns from points where received_ns >= ? and received_ns < ? union all "
        f"select service_name, received_ns from predictions where {WHERE}) group by service_name), "
        "holds as (select service_name, list_sort(list(distinct model)) as models from predictions "
        f"where model is not null and {WHERE} group by service_name) "
        "select seen.service_name as service, requests, errors, refused, latency, coalesce(models, []) as models, "
        "coalesce(served.newest_ns, seen.newest_ns) as newest_ns "
        "from seen left join served using (service_name) left join holds using (service_name) "
        "where seen.service_name is not null order by requests desc nulls last, service limit ?",
        [_ERROR, *values * 6, SERVICES_LIMIT],
    )


def late_records(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    """Returns the services whose records arrived in a time range and say that they are older, so that no page of it
    shows them: a clock that is behind, or records of an outage. The kind is that of the newest.
    """
    late = f"received_ns >= ? and received_ns < ? and {{at}} < least(received_ns - {_LATE_NS}, ?)"
    parts = " union all ".join(
        f"select service_name, {at} as time_ns, '{kind}' as kind from {table} where {late.format(at=at)}"
        for table, kind, at in (
            ("spans", "requests", "greatest(end_ns, place_ns)"),
            ("logs", "logs", "place_ns"),
            ("predictions", "predictions", "place_ns"),
        )
    )
    return fetch(
        cursor,
        "select service_name as service, count(*) as records, max(time_ns) as newest_ns, "
        f"arg_max(kind, time_ns) as kind from ({parts}) "
        "where service_name is not null group by service_name order by records desc, service limit ?",
        [*[*window.values, window.since_ns] * 3, _LATE_SERVICES],
    )


def requests_over_time(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    """Returns the requests of each service in each step."""
    return fetch(
        cursor,
        f"select service_name as service, {window.step} as step, count(*) as requests "
        f"from spans where is_entry and service_name is not null and {WHERE} group by service, step",
        window.values,
    )
