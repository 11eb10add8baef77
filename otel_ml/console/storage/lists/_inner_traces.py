"""Traces whose spans all lie within a process: the span with which they entered it was lost, or is sent elsewhere."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage.lists._conditions import slice_end

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage.lists._conditions import Conditions

COLUMNS: Final = (
    "trace_id, span_id, place_ns, start_ns, end_ns, name, kind, status, status_message, attributes, service_name"
)
"""What a list has of the span with which a trace begins."""
FACTS: Final = (
    "count(*) as spans, count(*) filter (status = 2) as errors, count(distinct prediction_id) as predictions, "
    "min(prediction_id) as prediction_id"
)
"""What it has of all spans of the trace."""
_SLICE: Final = 10_000
"""Spans within processes among which a page looks for such traces; the next page looks further."""
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

    That is not asked for if no such trace is among the spans of a slice, so that lists without them stay whole.
    """
    wanted.place.add("not is_entry")
    end = slice_end(cursor, "spans", wanted.place, _SLICE)
    for each in (wanted.place, wanted.first):
        each.add("place_ns >= ?", end)
    suspects = _suspects(cursor, wanted.place)
    if not suspects:
        return [], None
    found = fetch(
        cursor,
        f"with facts as materialized (select trace_id, {_FIRST} as first_id, {FACTS} from spans "
        "where trace_id in (select unnest(?::varchar[])) group by trace_id "
        f"having not bool_or(is_entry) and max(received_ns) < ? and {wanted.trace.where}), "
        f"begin as (select {COLUMNS} from spans where {wanted.first.where} "
        "and trace_id in (select trace_id from facts)) "
        "select begin.*, spans, errors, predictions, prediction_id "
        "from facts left join begin on begin.trace_id = facts.trace_id and begin.span_id = facts.first_id "
        "order by place_ns desc nulls last, span_id limit ?",
        [suspects, time.time_ns() - _SETTLED_NS, *wanted.trace.values, *wanted.first.values, wanted.limit],
    )
    return [row for row in found if row["place_ns"] is not None], end if found else None


def _suspects(cursor: duckdb.DuckDBPyConnection, place: Conditions) -> list[str]:
    """The traces of these spans that have no entry about their time, so that the whole file is read for few of them."""
    inside = f"from spans where {place.where}"
    bounds = fetch(cursor, f"select min(place_ns) as oldest, max(place_ns) as newest {inside}", place.values)[0]
    if bounds["oldest"] is None:
        return []
    found = fetch(
        cursor,
        f"select trace_id from spans where place_ns between ? and ? and trace_id in (select trace_id {inside}) "
        "group by trace_id having not bool_or(is_entry)",
        [bounds["oldest"] - _AROUND_NS, bounds["newest"] + _AROUND_NS, *place.values],
    )
    return [row["trace_id"] for row in found]
