"""What is read back from the file: one function a question, every answer bounded and made of plain values."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from otel_ml import semconv

if TYPE_CHECKING:
    import duckdb

SPANS_LIMIT = 1000
"""Spans read of one trace."""
LOGS_LIMIT = 200
"""Log lines read of one prediction."""
LABELS_LIMIT = 1000
"""Labels read of one batch."""
SERIES_LIMIT = 2000
"""Series listed with their latest value."""

_DELTA = 1
_PREDICT = semconv.PREDICT_SPAN.partition("{")[0]
_LABELS = (
    "select prediction_id, trace_id, arg_max(label, time_ns) as label, arg_max(correct, time_ns) as correct, "
    "max(time_ns) as time_ns from labels"
)
_LOG_COLUMNS = (
    "time_ns, severity_number, severity_text, event_name, body, attributes, prediction_id, trace_id, span_id, "
    "service_name, scope, received_ns"
)
_PREDICTION_COLUMNS = (
    "prediction_id, time_ns, model, version, role, predicted_class, value, score, duration, batch_size, error_type, "
    "failed, trace_id, span_id, service_name"
)


@dataclass(frozen=True)
class Filter:
    """Which predictions: newest first, at most `limit`."""

    limit: int = 100
    model: str | None = None
    version: str | None = None
    since_ns: int | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The SQL condition with its parameters."""
        parts: list[tuple[str, Any]] = []
        if self.model is not None:
            parts.append(("model = ?", self.model))
        if self.version is not None:
            parts.append(("version = ?", self.version))
        if self.since_ns is not None:
            parts.append(("time_ns >= ?", self.since_ns))
        return " and ".join(["true", *(part for part, _ in parts)]), [value for _, value in parts]


def predictions(cursor: duckdb.DuckDBPyConnection, wanted: Filter) -> list[dict[str, Any]]:
    """The newest predictions with their labels."""
    where, values = wanted.where()
    # a clock that runs ahead must not hold the top of the list for ever: arrival bounds the order
    found = _rows(
        cursor,
        f"with page as (select {_PREDICTION_COLUMNS}, least(time_ns, received_ns) as place from predictions "
        f"where {where} order by place desc, key limit ?), "
        f"truth as ({_LABELS} where prediction_id in (select prediction_id from page) group by all) "
        "select page.* exclude (place), truth.label, truth.correct, truth.time_ns as labelled_ns from page "
        "left join truth on truth.prediction_id = page.prediction_id "
        "and truth.trace_id is not distinct from page.trace_id order by place desc, page.prediction_id",
        [*values, wanted.limit],
    )
    return [_prediction(row) for row in found]


def prediction(cursor: duckdb.DuckDBPyConnection, prediction_id: str) -> dict[str, Any] | None:
    """One prediction with its event, trace, log lines and label; a row of a batch leads to its batch."""
    row_index: int | None = None
    found = _newest_event(cursor, prediction_id)
    if found is None:
        base, dot, index = prediction_id.rpartition(".")
        if not dot or not index.isdecimal() or len(index) > 9:
            return None
        found, row_index = _newest_event(cursor, base), int(index)
        if found is None or found["batch_size"] is None:
            return None
    attributes, body = _json(found.pop("attributes")), found.pop("body")
    resource, severity = _json(found.pop("resource")), found.pop("severity_text")
    content = _json(body)
    rows = labels(cursor, found["prediction_id"], found["trace_id"])
    own = next((one for one in rows if one["prediction_id"] == prediction_id), None)
    answer = _prediction(found | {"label": None, "correct": None, "labelled_ns": None}) | {"label": own}
    return {
        "prediction": answer,
        "row": row_index,
        "event": {
            "severity": severity,
            "attributes": attributes,
            "resource": resource,
            "features": _features(content, row_index),
            "rows": content.get("rows") if isinstance(content, dict) else None,
            "body": body if content is None else content,
        },
        "label": own,
        "labels": rows,
        "trace": None if found["trace_id"] is None else trace(cursor, found["trace_id"]),
        "logs": prediction_logs(cursor, found["prediction_id"], found["trace_id"]),
    }


def labels(cursor: duckdb.DuckDBPyConnection, prediction_id: str, trace_id: str | None) -> list[dict[str, Any]]:
    """The newest label of a prediction, or of each row of a batch."""
    found = _rows(
        cursor,
        f"{_LABELS} where (prediction_id = ? or starts_with(prediction_id, ? || '.')) "
        "and trace_id is not distinct from ? group by prediction_id, trace_id "
        "order by length(prediction_id), prediction_id limit ?",
        [prediction_id, prediction_id, trace_id, LABELS_LIMIT],
    )
    return [
        {
            "prediction_id": row["prediction_id"],
            "value": row["label"],
            "correct": row["correct"],
            "time": moment(row["time_ns"]),
        }
        for row in found
    ]


def trace(cursor: duckdb.DuckDBPyConnection, trace_id: str) -> dict[str, Any] | None:
    """All spans of one trace, oldest first; None when there is none."""
    found = _rows(
        cursor,
        "select * exclude (received_ns, bytes) from spans where trace_id = ? order by start_ns, end_ns desc limit ?",
        [trace_id, SPANS_LIMIT + 1],
    )
    if not found:
        return None
    for row in found:
        for name in ("attributes", "events", "resource"):
            row[name] = _json(row[name])
        row["time"] = moment(row["start_ns"])
        row["duration"] = (row["end_ns"] - row["start_ns"]) / 1e9 if row["end_ns"] >= row["start_ns"] else None
    return {"trace_id": trace_id, "spans": found[:SPANS_LIMIT], "truncated": len(found) > SPANS_LIMIT}


def logs(
    cursor: duckdb.DuckDBPyConnection, limit: int, trace_id: str | None = None, prediction_id: str | None = None
) -> list[dict[str, Any]]:
    """Log records, newest first, predictions and labels among them."""
    where = "(? is null or trace_id = ?) and (? is null or prediction_id = ?)"
    values = [trace_id, trace_id, prediction_id, prediction_id]
    parts = " union all ".join(
        f"select {_LOG_COLUMNS} from {table} where {where}" for table in ("logs", "predictions", "labels")
    )
    found = _rows(
        cursor, f"select * from ({parts}) order by least(time_ns, received_ns) desc limit ?", [*values * 3, limit]
    )
    return [_log(row) for row in found]


def prediction_logs(
    cursor: duckdb.DuckDBPyConnection, prediction_id: str, trace_id: str | None
) -> list[dict[str, Any]]:
    """The plain log lines of a prediction, oldest first: those of its trace and those that carry its id."""
    found = _rows(
        cursor,
        f"select {_LOG_COLUMNS} from logs where prediction_id = ? or trace_id = ? "
        "order by time_ns, received_ns limit ?",
        [prediction_id, trace_id, LOGS_LIMIT],
    )
    return [_log(row) for row in found]


def series(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every metric with the latest value of each of its series."""
    found = _rows(
        cursor,
        "select name, any_value(kind) as kind, any_value(unit) as unit, any_value(attributes) as attributes, "
        "any_value(service_name) as service_name, max(time_ns) as time_ns, arg_max(value, time_ns) as value, "
        "arg_max(observations, time_ns) as count, arg_max(sum, time_ns) as sum "
        "from points group by series, name order by name, max(time_ns) desc limit ?",
        [SERIES_LIMIT],
    )
    metrics: dict[str, dict[str, Any]] = {}
    for row in found:
        name, kind, unit = row.pop("name"), row.pop("kind"), row.pop("unit")
        metric = metrics.setdefault(name, {"name": name, "kind": kind, "unit": unit, "series": []})
        metric["series"].append(row | {"attributes": _json(row["attributes"]), "time": moment(row.pop("time_ns"))})
    return list(metrics.values())


def points(cursor: duckdb.DuckDBPyConnection, name: str, limit: int) -> list[dict[str, Any]]:
    """The newest points of one metric."""
    found = _rows(
        cursor,
        "select series, kind, unit, temporality, monotonic, start_ns, time_ns, value, observations as count, "
        "sum, min, max, detail, attributes, resource, service_name from points where name = ? "
        "order by time_ns desc, series limit ?",
        [name, limit],
    )
    for row in found:
        row.update({part: _json(row[part]) for part in ("detail", "attributes", "resource")})
        row["time"] = moment(row["time_ns"])
    return found


def models(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the models seen, at most a hundred."""
    found = _rows(cursor, "select distinct model from predictions where model is not null order by model limit 100", [])
    return [row["model"] for row in found]


def summary(cursor: duckdb.DuckDBPyConnection, model: str | None = None) -> dict[str, Any]:
    """Counts over everything stored, of one model or of all.

    `predictions` are rows according to the events, `metric_predictions` rows according to the counter: the latest
    cumulative value of every series and start time, and the sum of deltas. `duration_p95` is in seconds. What is
    undefined without data is None.
    """
    wanted = [model, model]
    total = _rows(
        cursor,
        "select count(*) as events, coalesce(sum(coalesce(batch_size, 1)) filter (not failed), 0) as predictions, "
        "count(*) filter (failed and error_type is distinct from ?) as errors, "
        "quantile_cont(duration, 0.95) filter (isfinite(duration)) as duration_p95, max(time_ns) as newest_ns "
        "from predictions where ? is null or model = ?",
        [semconv.CANCELLED, *wanted],
    )[0]
    truth = _rows(
        cursor,
        "select count(*) as labels, count(correct) as judged, count(*) filter (correct) as correct "
        f"from ({_LABELS} where ? is null or model = ? group by all)",
        wanted,
    )[0]
    spans = _rows(
        cursor,
        "select count(*) as traces from spans where name = ? or (? is null and starts_with(name, ?))",
        [_PREDICT + (model or ""), model, _PREDICT],
    )
    newest = total.pop("newest_ns")
    return {
        "predictions": int(total.pop("predictions")),
        **total,
        "traces": spans[0]["traces"],
        "metric_predictions": _counted(cursor, wanted),
        "labels": truth["labels"],
        "accuracy": truth["correct"] / truth["judged"] if truth["judged"] else None,
        "error_rate": total["errors"] / total["events"] if total["events"] else None,
        "newest": None if newest is None else moment(newest),
    }


def moment(time_ns: int) -> str:
    """Nanoseconds since the epoch as ISO 8601 text in UTC, to the microsecond."""
    when = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=time_ns // 1000)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _counted(cursor: duckdb.DuckDBPyConnection, wanted: list[str | None]) -> int:
    found = _rows(
        cursor,
        "with counter as (select * from points where name = ? and kind = 'sum' and (? is null or model = ?)) "
        "select coalesce((select sum(latest) from (select arg_max(value, time_ns) as latest from counter "
        "where temporality <> ? group by series, start_ns)), 0) "
        "+ coalesce((select sum(value) from counter where temporality = ?), 0) as counted",
        [semconv.PREDICTIONS.name, *wanted, _DELTA, _DELTA],
    )
    counted = found[0]["counted"]
    return int(counted) if math.isfinite(counted) else 0


def _newest_event(cursor: duckdb.DuckDBPyConnection, prediction_id: str) -> dict[str, Any] | None:
    found = _rows(
        cursor,
        f"select {_PREDICTION_COLUMNS}, severity_text, body, attributes, resource from predictions "
        "where prediction_id = ? order by least(time_ns, received_ns) desc limit 1",
        [prediction_id],
    )
    return found[0] if found else None


def _prediction(row: dict[str, Any]) -> dict[str, Any]:
    label, correct, labelled = row.pop("label"), row.pop("correct"), row.pop("labelled_ns")
    truth = None if labelled is None else {"value": label, "correct": correct, "time": moment(labelled)}
    time_ns = row.pop("time_ns")
    return {
        "id": row.pop("prediction_id"),
        "time": moment(time_ns),
        "class": row.pop("predicted_class"),
        **row,
        "label": truth,
    }


def _log(row: dict[str, Any]) -> dict[str, Any]:
    row.pop("received_ns")
    return {"time": moment(row.pop("time_ns")), **row, "attributes": _json(row["attributes"])}


def _features(content: Any, row_index: int | None) -> dict[str, Any] | None:
    if not isinstance(content, dict):
        return None
    if row_index is not None:
        rows = content.get("rows")
        content = rows[row_index] if isinstance(rows, list) and row_index < len(rows) else None
        if not isinstance(content, dict):
            return None
    features = content.get("features")
    return features if isinstance(features, dict) else None


def _json(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def _rows(cursor: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> list[dict[str, Any]]:
    done = cursor.execute(sql, values)
    names = [str(column[0]) for column in done.description]
    return [dict(zip(names, row, strict=True)) for row in done.fetchall()]
