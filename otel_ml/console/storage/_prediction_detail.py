"""One prediction with its event, trace, log lines and labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from otel_ml.console.storage._queries import (
    LOG_COLUMNS,
    PREDICTION_COLUMNS,
    fetch,
    log_answer,
    moment,
    parse,
    prediction_answer,
    trace,
)

if TYPE_CHECKING:
    import duckdb

LOGS_LIMIT = 200
"""Log lines read of one prediction."""
LABELS_LIMIT = 1000
"""Labels read of one batch."""
DIGITS = 18
"""A longer text is no number of a row."""
_EVENT = f"select {PREDICTION_COLUMNS}, key, place_ns, severity_text, body, attributes, resource from predictions"  # noqa: S608
_PRIMARY_FIRST = "order by coalesce(role, '') in ('', 'primary') desc, place_ns desc"
_VERSIONS_LIMIT = 20
"""Events of one id that are read: a canary or shadow predicts under the id of the primary."""


def prediction(cursor: duckdb.DuckDBPyConnection, wanted_id: str, **of: str | None) -> dict[str, Any] | None:
    """A prediction with its event, trace, log lines and label; for the id of a row, the batch of that row.

    If several versions predicted under one id, it is the one of this `model`, `version`, `role` and `trace_id`, or that
    of the primary. An event has the first rows of a large batch only. A further row is known by its number, or by its
    label.
    """
    versions = _events(cursor, "prediction_id = ?", wanted_id)
    found = _fitting(versions, of) or _batch(cursor, wanted_id, of)
    if found is None:
        return None
    body, place = found.pop("body"), (found.pop("place_ns"), str(found["key"]))
    content = parse(body)
    rows = _rows(content)
    index = None if found["prediction_id"] == wanted_id else _index(rows, found["prediction_id"], wanted_id)
    known, lines = labels(cursor, found), logs(cursor, found)
    own = next((label for label in known if label["prediction_id"] == wanted_id), None)
    if own is None and len(known) == LABELS_LIMIT:
        own = next(iter(labels(cursor, found, only=wanted_id)), None)
    event = {
        "severity": found.pop("severity_text"),
        "attributes": parse(found.pop("attributes")),
        "resource": parse(found.pop("resource")),
        "features": _features(content if index is None or not rows else rows[index]),
        "rows": rows,
        "rows_omitted": _rows_omitted(content),
        "unpaired": content.get("unpaired") if isinstance(content, dict) else None,
        "body": body if content is None else content,
    }
    return {
        "prediction": prediction_answer(found | {"label": None, "correct": None, "labelled_ns": None}) | {"label": own},
        "versions": _identities(versions or [found]),
        "place": place,
        "row": index,
        "row_omitted": index is None and found["prediction_id"] != wanted_id,
        "event": event,
        "label": own,
        "labels": known,
        "trace": None if found["trace_id"] is None else trace(cursor, found["trace_id"]),
        "logs": lines[:LOGS_LIMIT],
        "logs_truncated": len(lines) > LOGS_LIMIT,
    }


def labels(
    cursor: duckdb.DuckDBPyConnection, event: dict[str, Any], *, only: str | None = None
) -> list[dict[str, Any]]:
    """The newest label of the prediction, or of each row of the batch; its own row ids are found by span."""
    found = fetch(
        cursor,
        "select prediction_id, arg_max(label, time_ns) as value, arg_max(correct, time_ns) as correct, "
        "max(time_ns) as time_ns from labels where (prediction_id = ? or starts_with(prediction_id, ? || '.') "
        "or (trace_id = ? and span_id = ?)) and (trace_id is null or ? is null or trace_id = ?) "
        "and (? is null or prediction_id = ?) "
        "group by prediction_id order by length(prediction_id), prediction_id limit ?",
        [
            *[event["prediction_id"]] * 2,
            event["trace_id"],
            event["span_id"],
            *[event["trace_id"]] * 2,
            *[only] * 2,
            LABELS_LIMIT,
        ],
    )
    return [row | {"time": moment(row.pop("time_ns"))} for row in found]


def logs(cursor: duckdb.DuckDBPyConnection, event: dict[str, Any]) -> list[dict[str, Any]]:
    """The log lines with the trace or the id of the prediction, oldest first, and one more than are shown."""
    found = fetch(
        cursor,
        f"select {LOG_COLUMNS} from logs where prediction_id = ? or trace_id = ? "  # noqa: S608 - names are ours
        "order by time_ns, place_ns limit ?",
        [event["prediction_id"], event["trace_id"], LOGS_LIMIT + 1],
    )
    return [log_answer(row) for row in found]


def row_id(rows: list[dict[str, Any]], index: int, batch_id: str) -> str:
    """The id of one row of a batch: its own, or ``<batch id>.<row number>``."""
    own = rows[index].get("id")
    return own if isinstance(own, str) else f"{batch_id}.{index}"


def _events(cursor: duckdb.DuckDBPyConnection, where: str, *values: str) -> list[dict[str, Any]]:
    """The events of one id: of the primary first, the newest of each first."""
    return fetch(cursor, f"{_EVENT} where {where} {_PRIMARY_FIRST} limit {_VERSIONS_LIMIT}", list(values))


def _fitting(events: list[dict[str, Any]], of: dict[str, str | None]) -> dict[str, Any] | None:
    """The event of this `model`, `version`, `role` and `trace_id`, else the first one."""
    exact = (event for event in events if all(event[name] == text for name, text in of.items() if text))
    return next(exact, events[0] if events else None)


def _identities(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    named = [{name: event[name] for name in ("model", "version", "role")} for event in events]
    return [each for place, each in enumerate(named) if each not in named[:place]]


def _batch(cursor: duckdb.DuckDBPyConnection, wanted_id: str, of: dict[str, str | None]) -> dict[str, Any] | None:
    base, dot, number = wanted_id.rpartition(".")
    is_numbered = dot and number.isdecimal()
    events = _events(cursor, "batch_size is not null and prediction_id = ?", base) if is_numbered else []
    if not events:
        quoted = (json.dumps(wanted_id), json.dumps(wanted_id, ensure_ascii=False))
        events = _events(cursor, "batch_size is not null and (contains(body, ?) or contains(body, ?))", *quoted)
    found = _fitting(events, of)
    if found is not None:
        content = parse(found["body"])
        if _index(_rows(content), found["prediction_id"], wanted_id) is not None:
            return found
        if dot and base == found["prediction_id"] and _is_omitted(content, found["batch_size"], number):
            return found
    return _batch_of_label(cursor, wanted_id)


def _is_omitted(content: Any, size: Any, number: str) -> bool:
    return bool(_rows_omitted(content)) and len(number) < DIGITS and int(number) < (size or 0)


def _batch_of_label(cursor: duckdb.DuckDBPyConnection, wanted_id: str) -> dict[str, Any] | None:
    """The batch on whose span the label of a row has arrived."""
    known = fetch(
        cursor,
        "select trace_id, span_id from labels where prediction_id = ? and trace_id is not null "
        "order by time_ns desc limit 1",
        [wanted_id],
    )
    if not known:
        return None
    found = _fitting(_events(cursor, "batch_size is not null and trace_id = ? and span_id = ?", *known[0].values()), {})
    return found if found is not None and _rows_omitted(parse(found["body"])) else None


def _rows_omitted(content: Any) -> int:
    """How many rows of a batch its event does not have."""
    omitted = content.get("rows_omitted") if isinstance(content, dict) else None
    return omitted if isinstance(omitted, int) else 0


def _index(rows: list[dict[str, Any]] | None, batch_id: str, wanted_id: str) -> int | None:
    return next((index for index in range(len(rows or ())) if row_id(rows or [], index, batch_id) == wanted_id), None)


def _rows(content: Any) -> list[dict[str, Any]] | None:
    rows = content.get("rows") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        return None
    return [row if isinstance(row, dict) else {} for row in rows]


def _features(content: Any) -> dict[str, Any] | None:
    features = content.get("features") if isinstance(content, dict) else None
    return features if isinstance(features, dict) else None
