"""Predictions for a file: one row for each, with features and label; the rows of a batch come one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import fetch, moment
from otel_ml.console.storage.lists import _prediction_list
from otel_ml.console.storage.lists._batch_rows import all_rows, bodies, fitting_rows

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage.lists._conditions import Place
    from otel_ml.console.storage.lists._prediction_filter import PredictionFilter

COLUMNS: Final = {
    "id": str,
    "batch_id": str,
    "time": str,
    "model": str,
    "version": str,
    "role": str,
    "service_name": str,
    "class": str,
    "value": float,
    "score": float,
    "duration": float,
    "failed": bool,
    "error_type": str,
    "label": str,
    "correct": bool,
    "label_time": str,
    "trace_id": str,
    "span_id": str,
    "features": dict,
}
"""The columns of a file, in order."""
_SAME: Final = ("model", "version", "role", "service_name", "duration", "failed", "error_type", "trace_id", "span_id")


def rows(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter) -> tuple[list[dict[str, Any]], Place | None]:
    """The rows of one page, of a batch those that fit, and the place of the next page."""
    events, following = _prediction_list.page(cursor, wanted)
    contents = bodies(cursor, [event["key"] for event in events])
    found = [row for event in events for row in _rows(event, contents.get(event["key"]))]
    if not wanted.is_about_rows:
        labels = _labels(cursor, [row for row in found if row["batch_id"] is not None])
        for row in found:
            row.update(labels.get((row["trace_id"], row["id"]), {}))
    return found, following


def _rows(event: dict[str, Any], content: Any) -> Iterator[dict[str, Any]]:
    base: dict[str, Any] = dict.fromkeys(COLUMNS)
    base |= {name: event[name] for name in _SAME} | {"time": moment(event["time_ns"])}
    listed = all_rows(event, content) if event["fits"] is None else fitting_rows(event, content)
    for row in listed or ():
        label = row.label or {"value": None, "correct": None, "time": None}
        yield base | {
            "id": row.id,
            "batch_id": event["prediction_id"],
            "class": row.outcome,
            "value": row.value,
            "score": row.score,
            "label": label["value"],
            "correct": label["correct"],
            "label_time": label["time"],
            "features": row.features,
        }
    if listed is None:
        labelled = event["labelled_ns"]
        yield base | {
            "id": event["prediction_id"],
            "class": event["predicted_class"],
            "value": event["value"],
            "score": event["score"],
            "label": event["label"],
            "correct": event["correct"],
            "label_time": None if labelled is None else moment(labelled),
            "features": content.get("features") if isinstance(content, dict) else None,
        }


def _labels(cursor: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> dict[tuple[Any, Any], dict[str, Any]]:
    """The newest label of each row of a batch, by trace and id."""
    if not rows:
        return {}
    found = fetch(
        cursor,
        "select trace_id, prediction_id, arg_max(label, time_ns) as label, arg_max(correct, time_ns) as correct, "
        "max(time_ns) as time_ns from labels where prediction_id in (select unnest(?::varchar[])) group by all",
        [[row["id"] for row in rows]],
    )
    return {
        (row["trace_id"], row["prediction_id"]): {
            "label": row["label"],
            "correct": row["correct"],
            "label_time": moment(row["time_ns"]),
        }
        for row in found
    }
