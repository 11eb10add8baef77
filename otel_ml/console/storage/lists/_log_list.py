"""The list of log records, predictions and labels among them: newest first, page by page without end."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import LOG_COLUMNS, fetch, log_answer
from otel_ml.console.storage.lists._conditions import Conditions, Place, contains

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._time_range import TimeRange

LEVELS: Final = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}
"""The lowest severity number of each level."""
TABLES: Final = {"line": "logs", "prediction": "predictions", "label": "labels"}


@dataclass(frozen=True)
class LogFilter:
    """Selects log records: newest first, at most `limit`."""

    limit: int = 100
    kind: str | None = None
    """One of `TABLES`; all without it."""
    level: str | None = None
    """This level and those above."""
    text: str | None = None
    """In the body, and of an error in its attributes, such as the message of an exception; in upper or lower case."""
    service: str | None = None
    model: str | None = None
    """Of the services that predict with it."""
    trace_id: str | None = None
    prediction_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    after: Place | None = None

    @property
    def tables(self) -> list[str]:
        """The tables that are read."""
        return [table for kind, table in TABLES.items() if self.kind in {None, kind}]

    def conditions(self) -> Conditions:
        """The SQL condition with its parameters."""
        found = Conditions()
        found.add("severity_number >= ?", None if self.level is None else LEVELS[self.level])
        # the attributes of all records would take three times as long
        in_error = f"severity_number >= {LEVELS['error']} and {contains('attributes')}"
        found.add(f"({contains('body')} or ({in_error}))", self.text, self.text)
        found.add("service_name = ?", self.service)
        found.add("service_name in (select service_name from predictions where model = ?)", self.model)
        found.add("trace_id = ?", self.trace_id)
        found.add("prediction_id = ?", self.prediction_id)
        found.add_window(self.since_ns, self.until_ns)
        found.add_place(self.after)
        return found


def logs(cursor: duckdb.DuckDBPyConnection, wanted: LogFilter) -> dict[str, Any]:
    """One page of log records; `next` is the place of the next page, None on the last one."""
    rows, following = page(cursor, wanted)
    for row in rows:
        row.pop("key")
    return {"logs": [log_answer(row) for row in rows], "next": None if following is None else str(following)}


def page(cursor: duckdb.DuckDBPyConnection, wanted: LogFilter) -> tuple[list[dict[str, Any]], Place | None]:
    """The rows of one page with their keys, and the place of the next page."""
    conditions = wanted.conditions()
    order = f"order by place_ns desc, key limit {wanted.limit + 1}"
    parts = " union all ".join(
        f"(select key, {LOG_COLUMNS} from {table} where {conditions.where} {order})" for table in wanted.tables
    )
    found = fetch(cursor, f"select * from ({parts}) {order}", conditions.values * len(wanted.tables))
    rows = found[: wanted.limit]
    for row in rows:
        row["key"] = str(row["key"])
    return rows, Place(rows[-1]["place_ns"], rows[-1]["key"]) if len(found) > wanted.limit else None


def record(cursor: duckdb.DuckDBPyConnection, key: str) -> dict[str, Any] | None:
    """One record by its key."""
    parts = " union all ".join(
        f"select {LOG_COLUMNS} from {table} where key = try_cast(? as uuid)" for table in TABLES.values()
    )
    found = fetch(cursor, f"{parts} limit 1", [key] * len(TABLES))
    return log_answer(found[0]) if found else None


def volume(cursor: duckdb.DuckDBPyConnection, wanted: LogFilter, window: TimeRange) -> list[dict[str, Any]]:
    """How many records each step has: errors, warnings and others."""
    conditions = wanted.conditions()
    error, warn = LEVELS["error"], LEVELS["warn"]
    parts = " union all ".join(
        f"(select {window.step} as step, severity_number from {table} where {conditions.where})"
        for table in wanted.tables
    )
    return fetch(
        cursor,
        f"select step, count(*) filter (severity_number >= {error}) as errors, "
        f"count(*) filter (severity_number >= {warn} and severity_number < {error}) as warnings, "
        f"count(*) filter (severity_number < {warn}) as others from ({parts}) group by step",
        conditions.values * len(wanted.tables),
    )


def services(cursor: duckdb.DuckDBPyConnection, wanted: LogFilter) -> list[str]:
    """The services that sent records."""
    conditions = wanted.conditions()
    parts = " union ".join(f"select service_name from {table} where {conditions.where}" for table in wanted.tables)
    found = fetch(
        cursor,
        f"select distinct service_name from ({parts}) where service_name is not null order by service_name limit 100",
        conditions.values * len(wanted.tables),
    )
    return [row["service_name"] for row in found]
