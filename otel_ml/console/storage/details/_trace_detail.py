"""One trace with its predictions and log lines."""

# ruff: noqa: S608 - names of columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.console.storage._queries import (
    LOG_COLUMNS,
    PREDICTION_COLUMNS,
    fetch,
    log_answer,
    prediction_answer,
    trace,
)

if TYPE_CHECKING:
    import duckdb

_PREDICTIONS: Final = 100
_LOGS: Final = 200


def trace_detail(cursor: duckdb.DuckDBPyConnection, trace_id: str) -> dict[str, Any] | None:
    """A trace, its predictions and its log lines, oldest first; None if nothing with its id has arrived."""
    spans = trace(cursor, trace_id)
    predictions = fetch(
        cursor,
        f"select {PREDICTION_COLUMNS} from predictions where trace_id = ? order by place_ns, key limit ?",
        [trace_id, _PREDICTIONS + 1],
    )
    logs = fetch(
        cursor,
        f"select {LOG_COLUMNS} from logs where trace_id = ? order by time_ns, place_ns limit ?",
        [trace_id, _LOGS + 1],
    )
    if spans is None and not predictions and not logs:
        return None
    unlabelled = {"label": None, "correct": None, "labelled_ns": None}
    return {
        "trace": spans,
        "predictions": [prediction_answer(row | unlabelled) for row in predictions[:_PREDICTIONS]],
        "predictions_truncated": len(predictions) > _PREDICTIONS,
        "logs": [log_answer(row) for row in logs[:_LOGS]],
        "logs_truncated": len(logs) > _LOGS,
    }
