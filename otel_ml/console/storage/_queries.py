"""Queries of the API and the pages: one function for each, every answer bounded and made of plain values."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from otel_ml import semconv

if TYPE_CHECKING:
    import duckdb

SPANS_LIMIT = 1000
"""Spans read of one trace."""
SERIES_LIMIT = 2000
"""Series listed with their latest value."""

_ROWS = 5000
"""Rows that are in memory at a time."""
_DELTA = 1
_PREDICT = semconv.PREDICT_SPAN.partition("{")[0]
_LABELS = (
    "select prediction_id, trace_id, arg_max(label, time_ns) as label, arg_max(correct, time_ns) as correct, "
    "max(time_ns) as time_ns from labels"
)
LOG_COLUMNS = (
    "time_ns, severity_number, severity_text, event_name, body, attributes, prediction_id, trace_id, span_id, "
    "service_name, scope, place_ns"
)
PREDICTION_COLUMNS = (
    "prediction_id, time_ns, model, version, role, predicted_class, value, score, duration, batch_size, error_type, "
    "failed, trace_id, span_id, service_name"
)


def trace(cursor: duckdb.DuckDBPyConnection, trace_id: str) -> dict[str, Any] | None:
    """All spans of one trace, oldest first; None if there are none."""
    found = fetch(
        cursor,
        "select * exclude (key, received_ns, bytes, place_ns, is_entry) from spans where trace_id = ? "
        "order by start_ns, end_ns desc, span_id limit ?",
        [trace_id, SPANS_LIMIT + 1],
    )
    if not found:
        return None
    for row in found:
        for name in ("attributes", "events", "links", "resource"):
            row[name] = parse(row[name])
        row["time"] = moment(row["start_ns"])
        row["duration"] = (row["end_ns"] - row["start_ns"]) / 1e9 if row["end_ns"] >= row["start_ns"] else None
    return {"trace_id": trace_id, "spans": found[:SPANS_LIMIT], "truncated": len(found) > SPANS_LIMIT}


def series(cursor: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every metric with the latest value of each of its series."""
    found = fetch(
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
        metric["series"].append(row | {"attributes": parse(row["attributes"]), "time": moment(row.pop("time_ns"))})
    return list(metrics.values())


def points(cursor: duckdb.DuckDBPyConnection, name: str, limit: int) -> list[dict[str, Any]]:
    """The newest points of one metric."""
    found = fetch(
        cursor,
        "select series, kind, unit, temporality, monotonic, start_ns, time_ns, value, observations as count, "
        "sum, min, max, detail, attributes, resource, service_name from points where name = ? "
        "order by time_ns desc, series limit ?",
        [name, limit],
    )
    for row in found:
        row.update({part: parse(row[part]) for part in ("detail", "attributes", "resource")})
        row["time"] = moment(row["time_ns"])
    return found


def summary(cursor: duckdb.DuckDBPyConnection, model: str | None = None) -> dict[str, Any]:
    """Counts over everything stored, of one model or of all.

    `predictions` are rows according to the events; `metric_predictions` are rows according to the counter: the latest
    cumulative value of every series and start time, plus the sum of deltas. `duration_p95` is in seconds. A figure
    without data is None.
    """
    wanted = [model, model]
    total = fetch(
        cursor,
        "select count(*) as events, coalesce(sum(coalesce(batch_size, 1)) filter (not failed), 0) as predictions, "
        "count(*) filter (failed and error_type is distinct from ?) as errors, "
        "quantile_cont(duration, 0.95) filter (isfinite(duration)) as duration_p95, max(time_ns) as newest_ns "
        "from predictions where ? is null or model = ?",
        [semconv.CANCELLED, *wanted],
    )[0]
    truth = fetch(
        cursor,
        "select count(*) as labels, count(correct) as judged, count(*) filter (correct) as correct "
        f"from ({_LABELS} where ? is null or model = ? group by all)",
        wanted,
    )[0]
    spans = fetch(
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
    found = fetch(
        cursor,
        "with counter as (select * from points where name = ? and kind = 'sum' and (? is null or model = ?)) "
        "select coalesce((select sum(latest) from (select arg_max(value, time_ns) as latest from counter "
        "where temporality <> ? group by series, start_ns)), 0) "
        "+ coalesce((select sum(value) from counter where temporality = ?), 0) as counted",
        [semconv.PREDICTIONS.name, *wanted, _DELTA, _DELTA],
    )
    counted = found[0]["counted"]
    return int(counted) if math.isfinite(counted) else 0


def prediction_answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the predictions as the API shows it."""
    label, correct, labelled = row.pop("label"), row.pop("correct"), row.pop("labelled_ns")
    truth = None if labelled is None else {"value": label, "correct": correct, "time": moment(labelled)}
    time_ns, _ = row.pop("time_ns"), row.pop("key", None)
    return {
        "id": row.pop("prediction_id"),
        "time": moment(time_ns),
        "class": row.pop("predicted_class"),
        **row,
        "label": truth,
    }


def log_answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a log query as the API shows it."""
    row.pop("place_ns")
    return {"time": moment(row.pop("time_ns")), **row, "attributes": parse(row["attributes"])}


def parse(text: str | None) -> Any:
    """JSON text as a value; None if there is none or it does not parse."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def fetch(cursor: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> list[dict[str, Any]]:
    """All rows of a query as mappings."""
    return list(stream(cursor, sql, values))


def stream(cursor: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> Iterator[dict[str, Any]]:
    """The same, some at a time, for more rows than should be in memory as mappings."""
    done = cursor.execute(sql, values)
    names = [str(column[0]) for column in done.description]
    while rows := done.fetchmany(_ROWS):
        yield from (dict(zip(names, row, strict=True)) for row in rows)
