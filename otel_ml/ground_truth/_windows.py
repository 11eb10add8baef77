"""Reads the predictions of a window, from which figures are computed, and the models of a store."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from otel_ml.ground_truth._class_sets import ClassSets
from otel_ml.ground_truth._database import StoreDatabase
from otel_ml.ground_truth.exact._labelled import Labelled
from otel_ml.ground_truth.exact._rows import LabelledRow

_TOGETHER: Final = 10_000
"""Rows read at a time."""


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


def measure_labelled(database: StoreDatabase, class_sets: ClassSets, window: TruthWindow) -> dict[str, Any]:
    """Returns the figures of the labelled predictions of a window, which are read some thousands at a time."""
    tables, nothing = database.tables, database.sa.null()
    found = {**tables.predictions.c, **tables.labels.c}
    # a store of an earlier version, which is only read, does not have all columns
    columns = [found.get(name, nothing.label(name)) for name in LabelledRow._fields]
    query = database.sa.select(*columns).select_from(tables.predictions.join(tables.labels, tables.of_prediction()))
    query = _in_window(tables.labels if window.by == "labeled_at" else tables.predictions, query, window)
    query = query.execution_options(yield_per=_TOGETHER)  # of a connection they would hold for what follows, too
    labelled = Labelled()
    with database.reading() as connection:
        for rows in connection.execute(query).partitions():
            labelled.add(rows)
        sets = {key: class_sets.find(connection, key) for key in labelled.class_keys}
    return labelled.figures(sets)


def count_predicted(database: StoreDatabase, window: TruthWindow) -> int:
    """Counts the predictions made in a window, labelled or not, also those under a key that was known already."""
    table, sa = database.tables.predictions, database.sa
    total = sa.func.count()
    if "repeated" in table.c:
        total += sa.func.coalesce(sa.func.sum(table.c.repeated), 0)
    with database.reading() as connection:
        query = _in_window(table, sa.select(total).select_from(table), window)
        return int(connection.execute(query).scalar_one())


def list_models(database: StoreDatabase) -> list[tuple[str, str, str]]:
    """Returns name, version and role of every model that has predictions, in order."""
    table = database.tables.predictions
    identity = (table.c.model, table.c.version, table.c.role)
    query = database.sa.select(*identity).distinct().order_by(*identity)
    with database.reading() as connection:
        return [(row.model, row.version, row.role) for row in connection.execute(query)]


def _in_window(table: Any, query: Any, window: TruthWindow) -> Any:
    moment = table.c[window.by]
    query = query.where(table.c.model == window.model, moment >= window.start, moment < window.end)
    for column, wanted in ((table.c.version, window.version), (table.c.role, window.role)):
        query = query if wanted is None else query.where(column == wanted)
    return query
