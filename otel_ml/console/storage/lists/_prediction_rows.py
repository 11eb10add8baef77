"""The rows of prediction events with their features, outputs and labels, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_ml.console.storage._prediction_detail import row_id
from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    import duckdb

_EVENTS = 200
"""Events of a page. An event has at most 100 rows."""


@dataclass(frozen=True)
class RowFilter:
    """Selects the events of a model that did not fail, oldest first."""

    model: str
    version: str | None = None
    role: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    after: tuple[int, str] | None = None
    """Moment and key of the last event of the page before."""

    def where(self) -> tuple[str, list[Any]]:
        """The SQL condition with its parameters."""
        time_ns, key = self.after or (None, None)
        parts = (
            ("model = ?", self.model),
            ("version = ?", self.version),
            ("role = ?", self.role),
            ("time_ns >= ?", self.since_ns),
            ("time_ns < ?", self.until_ns),
        )
        conditions = ["not failed", *(part for part, value in parts if value is not None)]
        values: list[Any] = [value for _, value in parts if value is not None]
        if self.after is not None:
            conditions.append("(time_ns > ? or time_ns = ? and key > try_cast(? as uuid))")
            values += [time_ns, time_ns, key]
        return " and ".join(conditions), values


def rows(cursor: duckdb.DuckDBPyConnection, wanted: RowFilter) -> dict[str, Any]:
    """One page of rows; `next` is what the next page comes after, None on the last page."""
    where, values = wanted.where()
    events = fetch(
        cursor,
        "select key, time_ns, prediction_id, batch_size, body from predictions "  # noqa: S608 - names are ours
        f"where {where} order by time_ns, key limit ?",
        [*values, _EVENTS],
    )
    found: list[dict[str, Any]] = []
    omitted = 0
    for event in events:
        content = parse(event["body"])
        if not isinstance(content, dict):
            continue
        listed = content.get("rows")
        several = [row if isinstance(row, dict) else {} for row in listed] if isinstance(listed, list) else None
        for index, row in enumerate([content] if several is None else several):
            name = event["prediction_id"] if several is None else row_id(several, index, event["prediction_id"])
            found.append({"id": name, **{part: row.get(part) for part in ("features", "prediction", "score")}})
        left_out = content.get("rows_omitted")
        omitted += left_out if isinstance(left_out, int) else 0
    labels = _labels(cursor, wanted.model, [row["id"] for row in found])
    last = events[-1] if len(events) == _EVENTS else None
    return {
        "rows": [{**row, "label": labels.get(row["id"])} for row in found],
        "rows_omitted": omitted,
        "next": None if last is None else f"{last['time_ns']}.{last['key']}",
    }


def _labels(cursor: duckdb.DuckDBPyConnection, model: str, ids: list[str]) -> dict[str, str]:
    """The newest label of each prediction that has one."""
    newest = fetch(
        cursor,
        "select prediction_id, arg_max(label, time_ns) as label from labels where (model is null or model = ?) "
        "and prediction_id in (select unnest(?::VARCHAR[])) group by prediction_id",
        [model, ids],
    )
    return {row["prediction_id"]: row["label"] for row in newest}
