"""Deletes predictions and waiting labels that are older than the store keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._tables import KEY

if TYPE_CHECKING:
    import sqlalchemy as sa

_TOGETHER: Final = 5000
"""Rows of a table that one transaction deletes, and all others with the moment of the last one."""


class Expired(NamedTuple):
    """How many rows were deleted because of their age."""

    predictions: int = 0
    """Without a label."""
    labels: int = 0
    """That waited for their prediction."""
    is_partial: bool = False
    """Whether there may be more to delete."""


def expire(database: StoreDatabase, before: float) -> Expired:
    """Deletes rows older than a moment, in one transaction of a bounded size: other writers have to wait for it."""
    predictions, waiting, aliases = database.tables.keyed
    with database.reading() as connection:
        model = _find_model(database, connection, before)
        tables = [
            (table, moment)
            for table, moment in ((waiting, waiting.c.labeled_at), (aliases, aliases.c.predicted_at))
            if _has_old(database, connection, moment, before)
        ]
    if model is None and not tables:
        return Expired()
    with database.writing() as connection:
        unlabelled, is_partial = 0, model is not None
        if model is not None:
            of_model, moment = predictions.c.model == model, predictions.c.predicted_at
            old = (of_model, _limit(database, connection, moment, before, of_model))
            labelled = _delete_labels(database, connection, *old)
            unlabelled = connection.execute(predictions.delete().where(*old)).rowcount - labelled
        deleted = {
            table: connection.execute(table.delete().where(_limit(database, connection, moment, before))).rowcount
            for table, moment in tables
        }
    is_partial = is_partial or any(count >= _TOGETHER for count in deleted.values())
    return Expired(unlabelled, deleted.get(waiting, 0), is_partial)


def _delete_labels(database: StoreDatabase, connection: sa.Connection, *match: Any) -> int:
    """Deletes the labels of some predictions; returns how many there were."""
    kit, labels, predictions = database.sa, database.tables.labels, database.tables.predictions
    keys = kit.select(*(predictions.c[name] for name in KEY)).where(*match)
    delete = labels.delete().where(kit.tuple_(*(labels.c[name] for name in KEY)).in_(keys))
    return int(connection.execute(delete).rowcount)


def _find_model(database: StoreDatabase, connection: sa.Connection, before: float) -> str | None:
    """Returns a model with old predictions, by two looks into the index for each model."""
    kit, table = database.sa, database.tables.predictions.c
    model: str | None = ""
    while model is not None:
        model = connection.execute(kit.select(kit.func.min(table.model)).where(table.model > model)).scalar()
        if model is not None and _has_old(database, connection, table.predicted_at, before, table.model == model):
            break
    return model


def _has_old(database: StoreDatabase, connection: sa.Connection, moment: Any, before: float, *match: Any) -> bool:
    oldest = connection.execute(database.sa.select(database.sa.func.min(moment)).where(*match)).scalar()
    return oldest is not None and bool(oldest < before)


def _limit(database: StoreDatabase, connection: sa.Connection, moment: Any, before: float, *match: Any) -> Any:
    """Returns the condition for the oldest rows, about `_TOGETHER` of them."""
    oldest = database.sa.select(moment).where(*match, moment < before).order_by(moment)
    last = connection.execute(oldest.limit(1).offset(_TOGETHER - 1)).scalar()
    return moment < before if last is None else moment <= last
