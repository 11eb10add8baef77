"""The rows of batches, each with its output, score, features and label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.receiving._values import number
from otel_ml.console.storage._prediction_detail import DIGITS, row_id
from otel_ml.console.storage._queries import fetch, moment, parse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    import duckdb

ROWS_LISTED: Final = 1_000
"""Rows of one batch that are read, since an event has at most 100 and labels can be of others."""


class BatchRow(NamedTuple):
    """One row of a batch."""

    id: str
    place: int | None
    """Its number; None if the event does not have it and its id does not say it."""
    outcome: str | None
    value: float | None
    score: float | None
    features: Any
    label: dict[str, Any] | None
    """Value, whether it agrees with the prediction, and time."""


def bodies(cursor: duckdb.DuckDBPyConnection, keys: Iterable[UUID]) -> dict[UUID, Any]:
    """What the events with these keys say, by key."""
    found = fetch(cursor, "select key, body from predictions where key in (select unnest(?::uuid[]))", [[*keys]])
    return {row["key"]: parse(row["body"]) for row in found}


def all_rows(event: dict[str, Any], content: Any) -> list[BatchRow] | None:
    """The rows of an event, without labels; None if it has no list of rows."""
    listed = content.get("rows") if isinstance(content, dict) and event["batch_size"] is not None else None
    if not isinstance(listed, list):
        return None
    rows = [row if isinstance(row, dict) else {} for row in listed]
    return [_row(row_id(rows, place, event["prediction_id"]), place, row) for place, row in enumerate(rows)]


def fitting_rows(event: dict[str, Any], content: Any) -> list[BatchRow]:
    """The rows of an event that fit what was asked for, with their labels."""
    rows = all_rows(event, content) or []
    found = []
    for fit in event["fits"] or ():
        own_id, place = fit["id"], fit["place"]
        if place is None:
            last = own_id.removeprefix(f"{event['prediction_id']}.")
            is_place = last != own_id and last.isascii() and last.isdecimal() and len(last) < DIGITS
            row = _row(own_id, int(last) if is_place else None, {})
        else:
            row = rows[place]
        found.append(row._replace(label=_label(fit)))
    return found


def _label(fit: dict[str, Any]) -> dict[str, Any] | None:
    if fit["labelled_ns"] is None:
        return None
    return {"value": fit["label"], "correct": fit["correct"], "time": moment(fit["labelled_ns"])}


def _row(own_id: str, place: int | None, row: dict[str, Any]) -> BatchRow:
    outcome = row.get("prediction")
    text = outcome if isinstance(outcome, str) else str(outcome) if isinstance(outcome, bool) else None
    return BatchRow(own_id, place, text, number(outcome), number(row.get("score")), row.get("features"), None)
