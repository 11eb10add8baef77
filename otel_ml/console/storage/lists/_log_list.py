"""The list of log records, predictions and labels among them: newest first, page by page without end."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import LOG_COLUMNS, fetch, log_answer
from otel_ml.console.storage.lists._conditions import Conditions, Place, contains

if TYPE_CHECKING:
    import duckdb

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
    """In the body, in upper or lower case."""
    service: str | None = None
    trace_id: str | None = None
    prediction_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    after: Place | None = None

    def conditions(self) -> Conditions:
        """The SQL condition with its parameters."""
        found = Conditions()
        found.add("severity_number >= ?", None if self.level is None else LEVELS[self.level])
        found.add(contains("body"), self.text)
        found.add("service_name = ?", self.service)
        found.add("trace_id = ?", self.trace_id)
        found.add("prediction_id = ?", self.prediction_id)
        found.add_window(self.since_ns, self.until_ns)
        found.add_place(self.after)
        return found


def logs(cursor: duckdb.DuckDBPyConnection, wanted: LogFilter) -> dict[str, Any]:
    """One page of log records; `next` is the place of the next page, None on the last one."""
    conditions = wanted.conditions()
    order = f"order by place_ns desc, key limit {wanted.limit + 1}"
    tables = [table for kind, table in TABLES.items() if wanted.kind in {None, kind}]
    parts = " union all ".join(
        f"(select key, {LOG_COLUMNS} from {table} where {conditions.where} {order})" for table in tables
    )
    found = fetch(cursor, f"select * from ({parts}) {order}", conditions.values * len(tables))
    rows = found[: wanted.limit]
    following = str(Place(rows[-1]["place_ns"], str(rows[-1]["key"]))) if len(found) > wanted.limit else None
    for row in rows:
        row.pop("key")
    return {"logs": [log_answer(row) for row in rows], "next": following}
