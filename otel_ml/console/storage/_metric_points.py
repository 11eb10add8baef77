"""What stored metric points say: by how much counters rose, and the newest value of gauges, over all replicas."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    import duckdb

REAL: Final = "(value is null or abs(value) < 1e100)"
"""The SQL condition that leaves out points which nobody counted or measured: NaN, infinity, and what is so large that
sums and squares of it become infinite."""
SERIES_LIMIT: Final = 50_000
"""Rows that are read; one process exports fewer series about a model."""
_DELTA: Final = 1


class Point(NamedTuple):
    """A sum over replicas and start times, or the value of a gauge."""

    name: str
    attributes: dict[str, Any]
    value: float
    period: int = 0


class Span(NamedTuple):
    """The points that are read: of one model or of all, from a moment on, or until another."""

    model: str | None
    oldest_ns: int
    until_ns: int | None = None

    def where(self, names: Sequence[str], kind: str) -> tuple[str, list[Any]]:
        """Returns the SQL condition with its parameters."""
        marks = ", ".join("?" * len(names))
        condition = f"name in ({marks}) and kind = ? and time_ns >= ? and (? is null or time_ns < ?)"
        return (
            f"{condition} and (? is null or model = ?) and {REAL}",
            [*names, kind, self.oldest_ns, self.until_ns, self.until_ns, self.model, self.model],
        )


class Extent(NamedTuple):
    """When some counters were first above 0, when they were last seen, and how often at most one of them was."""

    first_ns: int
    last_ns: int
    exports: int


def extent(cursor: duckdb.DuckDBPyConnection, names: Sequence[str], span: Span) -> Extent | None:
    """Returns when some counters were exported; None if all are 0."""
    where, values = span.where(names, "sum")
    found = fetch(
        cursor,
        "select min(first) as first_ns, max(last) as last_ns, max(exports) as exports from ("
        "select min(time_ns) as first, max(time_ns) as last, count(*) as exports "
        f"from points where {where} and value > 0 group by series)",
        values,
    )[0]
    return None if found["first_ns"] is None else Extent(**found)


def increases(
    cursor: duckdb.DuckDBPyConnection, names: Sequence[str], span: Span, edges: Sequence[int] = (),
    only: tuple[str, Sequence[str]] | None = None,
) -> list[Point]:  # fmt: skip
    """Returns how much each counter rose, in all or in each period; one that began later rose by all of its value.

    Args:
        cursor: Of the store.
        names: The counters.
        span: What is read.
        edges: The moments at which periods after the first one begin.
        only: An attribute and its values; series with another value of it are left out.
    """
    where, values = _series_where(*span.where(names, "sum"), only)
    period = " + ".join(["0", *("(time_ns >= ?)::int" for _ in edges)])
    return _points(
        cursor,
        f"with counter as (select *, {period} as period from points where {where} and value >= 0), "
        "level as (select name, series, start_ns, period, any_value(attributes) as attributes, "
        "any_value(temporality) as temporality, sum(value) as total, max(value) as high, min(value) as low "
        "from counter group by name, series, start_ns, period), "
        "rise as (select *, case when temporality = ? then total "
        "else high - coalesce(max(high) over (partition by name, series, start_ns order by period "
        "rows between unbounded preceding and 1 preceding), case when start_ns >= ? then 0 else low end) end as value "
        "from level) "
        "select name, attributes, period, sum(value) as value from rise group by name, attributes, period limit ?",
        [*edges, *values, _DELTA, span.oldest_ns, SERIES_LIMIT],
    )


def _series_where(where: str, values: list[Any], only: tuple[str, Sequence[str]] | None) -> tuple[str, list[Any]]:
    """Returns a condition on points that leaves out series with another value of an attribute."""
    if only is None:
        return where, values
    # the attributes of a series are parsed once, not those of each of its points
    found = "json_extract_string(attributes, ?)"
    known = f"select series, any_value(attributes) as attributes from points where {where} group by series"
    chosen = f"select series from ({known}) where {found} is null or {found} in (select unnest(?::varchar[]))"
    path = "/" + only[0].replace("~", "~0").replace("/", "~1")
    return f"{where} and series in ({chosen})", [*values, *values, path, path, [*only[1]]]


def latest(cursor: duckdb.DuckDBPyConnection, names: Sequence[str], span: Span) -> list[Point]:
    """Returns the newest value of each gauge."""
    where, values = span.where(names, "gauge")
    return _points(
        cursor,
        "select name, any_value(attributes) as attributes, 0 as period, arg_max(value, time_ns) as value from points "
        f"where {where} group by name, series limit ?",
        [*values, SERIES_LIMIT],
    )


def _points(cursor: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> list[Point]:
    """Returns the points of a query for their name, attributes, period and value."""
    rows = cursor.execute(sql, values).fetchall()
    found = ((name, _attributes(text), value, period) for name, text, period, value in rows if value is not None)
    return [Point(*each) for each in found if isinstance(each[1], dict)]


@functools.lru_cache(maxsize=20_000)
def _attributes(text: str) -> Any:
    """Returns the attributes of a series, which every page reads again; nobody changes them. Lists become text."""
    found = parse(text)
    if not isinstance(found, dict):
        return None
    return {name: str(value) if isinstance(value, (list, dict)) else value for name, value in found.items()}
