"""The list of requests: spans with which a trace enters a process, or its first span if there is none."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import fetch, moment, parse
from otel_ml.console.storage.lists._conditions import Conditions, Place, contains, slice_end
from otel_ml.console.storage.lists._http_names import http_of, rpc_status_of, status_condition
from otel_ml.console.storage.lists._inner_traces import COLUMNS, FACTS, InnerFilter, inner_traces

if TYPE_CHECKING:
    import duckdb

_SLICE: Final = 5_000
"""Requests in which a page looks for those with or without a prediction."""
_SERVICES: Final = 100
_STATUSES: Final = ("unset", "ok", "error")


@dataclass(frozen=True)
class RequestFilter:
    """Selects requests: newest first, at most `limit`."""

    limit: int = 100
    model: str | None = None
    """All requests of the services that serve this model, so that those without a prediction are there too."""
    service: str | None = None
    text: str | None = None
    """In the name or in an attribute, such as a route."""
    failed: bool | None = None
    status_code: str | None = None
    """A code of HTTP, or the start of one: ``4`` stands for all from 400 to 499, and for the statuses of gRPC alike."""
    predicted: bool | None = None
    """Whether a prediction belongs to the trace."""
    min_duration: float | None = None
    max_duration: float | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    after: Place | None = None

    def conditions(self) -> Conditions:
        """What a span fits."""
        found = self.place()
        found.add("service_name in (select distinct service_name from predictions where model = ?)", self.model)
        found.add("service_name = ?", self.service)
        found.add(f"({contains('name')} or {contains('attributes')})", self.text, self.text)
        found.add("(status = 2) = ?", self.failed)
        if self.status_code:
            found.add(*status_condition(self.status_code))
        found.add("end_ns - start_ns >= ? * 1e9", self.min_duration)
        found.add("end_ns - start_ns <= ? * 1e9", self.max_duration)
        return found

    def place(self) -> Conditions:
        """Where it is in the list."""
        found = Conditions()
        found.add_window(self.since_ns, self.until_ns)
        found.add_place(self.after, "span_id", "?")
        return found


def requests(cursor: duckdb.DuckDBPyConnection, wanted: RequestFilter) -> dict[str, Any]:
    """One page of requests; `next` is the place of the next page, None on the last one."""
    rows, following = page(cursor, wanted)
    return {"requests": rows, "next": None if following is None else str(following)}


def page(cursor: duckdb.DuckDBPyConnection, wanted: RequestFilter) -> tuple[list[dict[str, Any]], Place | None]:
    """The rows of one page, and the place of the next page."""
    conditions = _entries(wanted)
    oldest = None if wanted.predicted is None else slice_end(cursor, "spans", conditions, _SLICE)
    conditions.add("place_ns >= ?", oldest)
    found = _read(cursor, conditions, wanted)
    following = None if oldest is None else Place.below(oldest)
    inner, end = _inner(cursor, wanted, found[-1]["place_ns"] if len(found) > wanted.limit else oldest)
    if end is not None:
        found, following = [row for row in found if row["place_ns"] >= end], Place.below(end)
    found = sorted([*found, *inner], key=lambda row: (-row["place_ns"], row["span_id"]))
    if len(found) > wanted.limit:
        last = found[wanted.limit - 1]
        following = Place(last["place_ns"], last["span_id"])
    return [_answer(row) for row in found[: wanted.limit]], following


def services(cursor: duckdb.DuckDBPyConnection, wanted: RequestFilter) -> list[str]:
    """The services of the newest requests, by name."""
    conditions = _entries(wanted)
    newest = f"select service_name from spans where {conditions.where} order by place_ns desc limit ?"
    found = fetch(
        cursor,
        f"select distinct service_name from ({newest}) where service_name is not null order by service_name limit ?",
        [*conditions.values, _SLICE, _SERVICES],
    )
    return [row["service_name"] for row in found]


def _entries(wanted: RequestFilter) -> Conditions:
    conditions = wanted.conditions()
    conditions.add("is_entry")
    return conditions


def _inner(
    cursor: duckdb.DuckDBPyConnection, wanted: RequestFilter, oldest: int | None
) -> tuple[list[dict[str, Any]], int | None]:
    """The traces without an entry that belong to a page which ends at a moment."""
    place, conditions = wanted.place(), wanted.conditions()
    for each in (place, conditions):
        each.add("place_ns >= ?", oldest)
    traces = Conditions()
    traces.add("(count(prediction_id) > 0) = ?", wanted.predicted)
    return inner_traces(cursor, InnerFilter(place, traces, conditions, wanted.limit + 1))


def _read(cursor: duckdb.DuckDBPyConnection, conditions: Conditions, wanted: RequestFilter) -> list[dict[str, Any]]:
    order = f"order by place_ns desc, span_id limit {wanted.limit + 1}"
    predicted = ""
    if wanted.predicted is not None:
        traces = "select spans.trace_id from spans join entry using (trace_id) where spans.prediction_id is not null"
        predicted = f"where trace_id {'' if wanted.predicted else 'not '}in ({traces})"
    return fetch(
        cursor,
        f"with entry as materialized (select {COLUMNS} from spans where {conditions.where} "
        f"{order if wanted.predicted is None else ''}), "
        f"page as materialized (select * from entry {predicted} {order}), "
        f"facts as (select trace_id, {FACTS} from spans where trace_id in (select trace_id from page) "
        "group by trace_id) "
        f"select page.*, spans, errors, predictions, prediction_id from page join facts using (trace_id) {order}",
        conditions.values,
    )


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    start_ns, end_ns, status = row["start_ns"], row["end_ns"], row["status"]
    attributes = parse(row["attributes"])
    return {
        "trace_id": row["trace_id"],
        "span_id": row["span_id"],
        "time": moment(start_ns),
        "duration": (end_ns - start_ns) / 1e9 if end_ns >= start_ns else None,
        "service_name": row["service_name"],
        "name": row["name"],
        "status": _STATUSES[status] if 0 <= status < len(_STATUSES) else "unset",
        "status_message": row["status_message"],
        **http_of(attributes),
        "rpc_status": rpc_status_of(attributes),
        "spans": row["spans"],
        "errors": row["errors"],
        "predictions": row["predictions"],
        "prediction_id": row["prediction_id"],
    }
