"""Traces whose spans all lie within a process: the span with which they entered it was lost, or is sent elsewhere."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage.lists._conditions import Conditions, slice_end

if TYPE_CHECKING:
    import duckdb

COLUMNS: Final = (
    "trace_id, span_id, place_ns, start_ns, end_ns, name, kind, status, status_message, attributes, service_name"
)
"""What a list has of the span with which a trace begins."""
FACTS: Final = (
    "count(*) as spans, count(*) filter (status = 2) as errors, count(distinct prediction_id) as predictions, "
    "min(prediction_id) as prediction_id"
)
"""What it has of all spans of the trace."""
_SLICES: Final = (10_000, 10_000)
"""Spans within processes among which a page looks for such traces, first and then; the next page looks further."""
_SETTLED_NS: Final = 30 * 10**9
"""A span with which a trace enters its process ends last, and arrives after those within."""
_AROUND_NS: Final = 3600 * 10**9
"""How long most traces take at most."""
_FIRST: Final = "min(struct_pack(start_ns := start_ns, length := start_ns - end_ns, span_id := span_id)).span_id"


class InnerFilter(NamedTuple):
    """Selects such traces."""

    place: Conditions
    """Where their spans are looked for."""
    trace: Conditions
    """What all of their spans together fit."""
    first: Conditions
    """What their first span fits, its place included."""
    limit: int


def inner_traces(cursor: duckdb.DuckDBPyConnection, wanted: InnerFilter) -> tuple[list[dict[str, Any]], int | None]:
    """The first span of each such trace, the newest first, and where one has to look further.

    Spans of other traces are passed over at once, so that lists without such traces stay whole.
    """
    place, settled = wanted.place.also("not is_entry"), time.time_ns() - _SETTLED_NS
    end: int | None = None
    for size in _SLICES:
        end = slice_end(cursor, "spans", place, size)
        found = _read(cursor, wanted, place.also("place_ns >= ?", end), settled)
        if found or end is None:
            return found, end
        newest = _newest(cursor, place.also("place_ns < ?", end), settled)
        if newest is None:
            return [], None
        place = place.also("place_ns <= ?", newest)
    return [], end


def _read(
    cursor: duckdb.DuckDBPyConnection, wanted: InnerFilter, place: Conditions, settled: int
) -> list[dict[str, Any]]:
    suspects = _suspects(cursor, place)
    if not suspects:
        return []
    return fetch(
        cursor,
        f"with facts as materialized (select trace_id, {_FIRST} as first_id, {FACTS} from spans "
        "where trace_id in (select unnest(?::varchar[])) group by trace_id "
        f"having not bool_or(is_entry) and max(received_ns) < ? and {wanted.trace.where}) "
        f"select {COLUMNS}, spans, errors, predictions, prediction_id "
        f"from (select {COLUMNS} from spans where {place.where} and {wanted.first.where}) "
        "join facts using (trace_id) where span_id = first_id order by place_ns desc, span_id limit ?",
        [suspects, settled, *wanted.trace.values, *place.values, *wanted.first.values, wanted.limit],
    )


def _newest(cursor: duckdb.DuckDBPyConnection, place: Conditions, settled: int) -> int | None:
    """The place of the newest of these spans whose trace has no entry about their time."""
    entries = _around(cursor, place).also("is_entry")
    found = fetch(
        cursor,
        f"select max(place_ns) as newest from spans where {place.where} and received_ns < ? "
        f"and hash(trace_id) not in (select hash(trace_id) from spans where {entries.where})",
        [*place.values, settled, *entries.values],
    )
    newest: int | None = found[0]["newest"]
    return newest


def _suspects(cursor: duckdb.DuckDBPyConnection, place: Conditions) -> list[str]:
    """The traces of these spans that have no entry about their time, so that the whole file is read for few of them."""
    around = _around(cursor, place)
    found = fetch(
        cursor,
        f"select trace_id from spans where {around.where} and trace_id in (select trace_id from spans "
        f"where {place.where}) group by trace_id having not bool_or(is_entry)",
        [*around.values, *place.values],
    )
    return [row["trace_id"] for row in found]


def _around(cursor: duckdb.DuckDBPyConnection, place: Conditions) -> Conditions:
    """The time about these spans."""
    bounds = f"select min(place_ns) as oldest, max(place_ns) as newest from spans where {place.where}"
    found, around = fetch(cursor, bounds, place.values)[0], Conditions()
    if found["oldest"] is None:
        around.add("false")
    else:
        around.add("place_ns between ? and ?", found["oldest"] - _AROUND_NS, found["newest"] + _AROUND_NS)
    return around
