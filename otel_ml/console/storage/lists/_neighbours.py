"""The predictions before and after one of them in a list."""

# ruff: noqa: S608 - names of columns are ours, everything from outside is a parameter
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage.lists import _prediction_list
from otel_ml.console.storage.lists._conditions import Place
from otel_ml.console.storage.lists._prediction_filter import PredictionFilter

if TYPE_CHECKING:
    import duckdb

_SLICES: Final = (10_000,)
"""Predictions in which a page of one prediction looks for the next one."""
_EVENTS: Final = 1_000
"""Events of one moment among which a batch is looked for."""
_SIDES: Final = ("older", "newer")


class Neighbour(NamedTuple):
    """The next prediction on one side."""

    row: dict[str, Any] | None
    """Its id, model, version, role and trace id; None if it was not found."""
    following: Place | None = None
    """From where one has to look further; None if there is no other one."""


def of_version(cursor: duckdb.DuckDBPyConnection, prediction: dict[str, Any], place: Place) -> dict[str, Neighbour]:
    """Returns the neighbours, `older` and `newer`, among all predictions of a version of a model."""
    of = {name: prediction[name] for name in ("model", "version", "role")}
    return neighbours(cursor, PredictionFilter(**of), place)


def neighbours(
    cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter, place: Place, row_id: str | None = None
) -> dict[str, Neighbour]:
    """Returns the neighbours, `older` and `newer`, of the event at a place, or of a row of this batch.

    In a list of rows those of one batch come one after another, in their order.
    """
    inside = _inside(cursor, wanted, place, row_id) if row_id is not None and wanted.is_about_rows else {}
    return {name: inside.get(name) or _beyond(cursor, wanted, place, name) for name in _SIDES}


def _inside(
    cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter, place: Place, row_id: str
) -> dict[str, Neighbour]:
    """The neighbours that are rows of the same batch."""
    wanted = replace(wanted, since_ns=place.place_ns, until_ns=place.place_ns + 1, limit=_EVENTS)
    events, _ = _prediction_list.page(cursor, wanted, _SLICES)
    event = next((event for event in events if str(event["key"]) == place.key), {})
    ids = [fit["id"] for fit in event.get("fits") or ()]
    if row_id not in ids:
        return {}
    found, now = {}, ids.index(row_id)
    if now:
        found["older"] = Neighbour(_named(event, ids[now - 1]))
    if now + 1 < len(ids):
        found["newer"] = Neighbour(_named(event, ids[now + 1]))
    return found


def _beyond(cursor: duckdb.DuckDBPyConnection, wanted: PredictionFilter, place: Place, name: str) -> Neighbour:
    """The neighbour that is another event, or a row of another one."""
    wanted = replace(wanted, limit=1)
    # a list begins with the newest
    wanted = replace(wanted, after=place) if name == "older" else replace(wanted, before=place)
    if not wanted.is_about_rows:
        events = wanted.events()
        found = fetch(
            cursor,
            "select prediction_id, model, version, role, trace_id from predictions "
            f"where {events.where} {events.order} limit 1",
            events.values,
        )
        return Neighbour(_named(found[0], found[0]["prediction_id"]) if found else None)
    rows, following = _prediction_list.page(cursor, wanted, _SLICES)
    if not rows:
        return Neighbour(None, following)
    ids = [fit["id"] for fit in rows[0]["fits"] or ()] or [rows[0]["prediction_id"]]
    return Neighbour(_named(rows[0], ids[-1] if name == "older" else ids[0]))


def _named(event: dict[str, Any], own_id: str) -> dict[str, Any]:
    return {"id": own_id, **{name: event[name] for name in ("model", "version", "role", "trace_id")}}
