"""The list of requests: spans with which a trace enters a process, with or without a prediction."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import fetch, moment, parse
from otel_ml.console.storage.lists._conditions import Conditions, Place, contains, slice_end
from otel_ml.console.storage.lists._http_names import STATUS_CODE, http_of

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
    """A code of HTTP, or the start of one: ``4`` stands for all from 400 to 499."""
    predicted: bool | None = None
    """Whether a prediction belongs to the trace."""
    min_duration: float | None = None
    max_duration: float | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    after: Place | None = None

    def conditions(self) -> Conditions:
        """The SQL condition with its parameters."""
        found = Conditions()
        found.add("is_entry")
        found.add("service_name in (select distinct service_name from predictions where model = ?)", self.model)
        found.add("service_name = ?", self.service)
        found.add(f"({contains('name')} or {contains('attributes')})", self.text, self.text)
        found.add("(status = 2) = ?", self.failed)
        found.add(f"starts_with({STATUS_CODE}, ?)", self.status_code)
        found.add("end_ns - start_ns >= ? * 1e9", self.min_duration)
        found.add("end_ns - start_ns <= ? * 1e9", self.max_duration)
        found.add_window(self.since_ns, self.until_ns)
        found.add_place(self.after, "span_id", "?")
        return found


def requests(cursor: duckdb.DuckDBPyConnection, wanted: RequestFilter) -> dict[str, Any]:
    """One page of requests; `next` is the place of the next page, None on the last one."""
    rows, following = page(cursor, wanted)
    return {"requests": rows, "next": None if following is None else str(following)}


def page(cursor: duckdb.DuckDBPyConnection, wanted: RequestFilter) -> tuple[list[dict[str, Any]], Place | None]:
    """The rows of one page, and the place of the next page."""
    conditions = wanted.conditions()
    oldest = None if wanted.predicted is None else slice_end(cursor, "spans", conditions, _SLICE)
    conditions.add("place_ns >= ?", oldest)
    found = _read(cursor, conditions, wanted)
    following = None if oldest is None else Place.below(oldest)
    if len(found) > wanted.limit:
        last = found[wanted.limit - 1]
        following = Place(last["place_ns"], last["span_id"])
    return [_answer(row) for row in found[: wanted.limit]], following


def services(cursor: duckdb.DuckDBPyConnection, wanted: RequestFilter) -> list[str]:
    """The services of the newest requests, by name."""
    conditions = wanted.conditions()
    newest = f"select service_name from spans where {conditions.where} order by place_ns desc limit ?"
    found = fetch(
        cursor,
        f"select distinct service_name from ({newest}) where service_name is not null order by service_name limit ?",
        [*conditions.values, _SLICE, _SERVICES],
    )
    return [row["service_name"] for row in found]


def _read(cursor: duckdb.DuckDBPyConnection, conditions: Conditions, wanted: RequestFilter) -> list[dict[str, Any]]:
    order = f"order by place_ns desc, span_id limit {wanted.limit + 1}"
    predicted = ""
    if wanted.predicted is not None:
        traces = "select spans.trace_id from spans join entry using (trace_id) where spans.prediction_id is not null"
        predicted = f"where trace_id {'' if wanted.predicted else 'not '}in ({traces})"
    return fetch(
        cursor,
        "with entry as materialized (select trace_id, span_id, place_ns, start_ns, end_ns, name, kind, status, "
        f"status_message, attributes, service_name from spans where {conditions.where} "
        f"{order if wanted.predicted is None else ''}), "
        f"page as materialized (select * from entry {predicted} {order}), "
        "facts as (select trace_id, count(*) as spans, count(*) filter (status = 2) as errors, "
        "count(distinct prediction_id) as predictions, min(prediction_id) as prediction_id "
        "from spans where trace_id in (select trace_id from page) group by trace_id) "
        f"select page.*, spans, errors, predictions, prediction_id from page join facts using (trace_id) {order}",
        conditions.values,
    )


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    start_ns, end_ns, status = row["start_ns"], row["end_ns"], row["status"]
    return {
        "trace_id": row["trace_id"],
        "span_id": row["span_id"],
        "time": moment(start_ns),
        "duration": (end_ns - start_ns) / 1e9 if end_ns >= start_ns else None,
        "service_name": row["service_name"],
        "name": row["name"],
        "status": _STATUSES[status] if 0 <= status < len(_STATUSES) else "unset",
        "status_message": row["status_message"],
        **http_of(parse(row["attributes"])),
        "spans": row["spans"],
        "errors": row["errors"],
        "predictions": row["predictions"],
        "prediction_id": row["prediction_id"],
    }
