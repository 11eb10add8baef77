"""Reads the predictions of a window, from which figures are computed, and the models of a store."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._class_sets import ClassSets
from otel_ml.ground_truth._database import StoreDatabase
from otel_ml.ground_truth._records import StoredLabel
from otel_ml.ground_truth._rows import COLUMNS, from_row
from otel_ml.ground_truth._tables import LABEL_COLUMNS


class TruthWindow(NamedTuple):
    """Predictions of a model with ``start <= moment < end``."""

    start: float
    end: float
    model: str
    version: str | None
    """None for all of them."""
    role: str | None
    """None for all of them."""
    by: str
    """The column with the moment."""


def list_labelled(
    database: StoreDatabase, class_sets: ClassSets, window: TruthWindow
) -> list[tuple[LoggedPrediction, StoredLabel]]:
    """Returns the labelled predictions of a window, with the classes that their models declared."""
    table, end = database.tables.predictions, len(COLUMNS) + len(LABEL_COLUMNS)
    nothing = database.sa.null()  # for what a store of an earlier version, which is only read, does not have
    columns = [table.c[name] for name in (*COLUMNS, *LABEL_COLUMNS)]
    columns += [table.c.get(name, nothing) for name in ("classes", "probabilities")]
    query = database.sa.select(*columns).where(table.c.label.is_not(None)).order_by(table.c[window.by])
    with database.reading() as connection:
        rows = connection.execute(_in_window(database, query, window)).all()
        sets = {key: class_sets.find(connection, key) for key in {row[end] for row in rows}}
    return [
        (from_row(row, sets[row[end]], row[end + 1]), StoredLabel(row[0], *row[len(COLUMNS) : end])) for row in rows
    ]


def count_predicted(database: StoreDatabase, window: TruthWindow) -> int:
    """Counts the predictions made in a window, labelled or not, also those under a key that was known already."""
    table, sa = database.tables.predictions, database.sa
    total = sa.func.count()
    if "repeated" in table.c:
        total += sa.func.coalesce(sa.func.sum(table.c.repeated), 0)
    with database.reading() as connection:
        query = _in_window(database, sa.select(total).select_from(table), window)
        return int(connection.execute(query).scalar_one())


def list_models(database: StoreDatabase) -> list[tuple[str, str, str]]:
    """Returns name, version and role of every model that has predictions, in order."""
    table = database.tables.predictions
    identity = (table.c.model, table.c.version, table.c.role)
    query = database.sa.select(*identity).distinct().order_by(*identity)
    with database.reading() as connection:
        return [(row.model, row.version, row.role) for row in connection.execute(query)]


def _in_window(database: StoreDatabase, query: Any, window: TruthWindow) -> Any:
    table = database.tables.predictions
    moment = table.c[window.by]
    query = query.where(table.c.model == window.model, moment >= window.start, moment < window.end)
    for column, wanted in ((table.c.version, window.version), (table.c.role, window.role)):
        query = query if wanted is None else query.where(column == wanted)
    return query
