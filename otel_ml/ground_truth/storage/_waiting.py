"""Labels that wait for their prediction, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.ground_truth._records import ANY_MODEL
from otel_ml.ground_truth.storage._database import StoreDatabase

if TYPE_CHECKING:
    import sqlalchemy as sa

# Why a label waits.
UNKNOWN_ID: Final = "unknown_id"
"""No prediction has its id."""
OTHER_MODEL: Final = "other_model"
"""Its id is that of predictions of other models than the one it names."""
BATCH_ID: Final = "batch_id"
"""Its id is that of a batch of several rows, not of one row."""


class WaitingLabel(NamedTuple):
    """A label whose prediction is not known."""

    id: str
    label: str
    model: str
    """Empty if it was given without one."""
    labeled_at: float
    """Seconds since the epoch."""
    reason: str
    """``unknown_id``: no prediction has this id (yet). ``other_model``: predictions of other models have it.
    ``batch_id``: it is that of a batch of several rows, which are labelled under ids of their own."""


def list_waiting(database: StoreDatabase, model: str | None, limit: int) -> list[WaitingLabel]:
    """Returns the oldest labels that wait; with a model those that may be for it."""
    table, kit = database.tables.waiting, database.sa
    if database.tables.is_former:
        query = kit.select(table.c.id, table.c.label, kit.literal(""), table.c.labeled_at, kit.literal(UNKNOWN_ID))
    else:
        columns = [table.c[name] for name in WaitingLabel._fields[:4]]
        query = _for_model(database, model, *columns, _why(database))
    with database.reading() as connection:
        rows = connection.execute(query.order_by(table.c.labeled_at, table.c.id).limit(limit)).all()
    return [WaitingLabel._make(row) for row in rows]


def count_waiting(database: StoreDatabase, model: str | None = None) -> dict[str, int]:
    """Counts the labels that wait, by reason; with a model those that may be for it."""
    kit = database.sa
    number = kit.func.count()
    with database.reading() as connection:
        if database.tables.is_former:
            total = connection.execute(kit.select(number).select_from(database.tables.waiting)).scalar_one()
            return {UNKNOWN_ID: int(total)} if total else {}
        reason = _why(database).label("reason")
        rows = connection.execute(_for_model(database, model, reason, number).group_by(reason).order_by(reason))
        return {row[0]: int(row[1]) for row in rows}


def _for_model(database: StoreDatabase, model: str | None, *columns: Any) -> sa.Select[Any]:
    table = database.tables.waiting
    query: sa.Select[Any] = database.sa.select(*columns).select_from(table)
    if model is not None:
        query = query.where(table.c.model.in_([ANY_MODEL, model]))
    return query


def _why(database: StoreDatabase) -> sa.ColumnElement[str]:
    kit, tables = database.sa, database.tables
    if database.has_events_only:
        unknown: sa.ColumnElement[str] = kit.literal(UNKNOWN_ID)
        return unknown
    waiting, predictions, aliases = tables.waiting.c, tables.predictions.c, tables.aliases.c
    of_batch = kit.exists().where(aliases.id == waiting.id, aliases.leads_to.is_(None))
    known = kit.exists().where(predictions.id == waiting.id)
    case: sa.ColumnElement[str] = kit.case((of_batch, BATCH_ID), (known, OTHER_MODEL), else_=UNKNOWN_ID)
    return case
