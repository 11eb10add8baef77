"""Reads the outputs and labels of a window by column, such as a reference profile is fitted on."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from otel_ml._values.labels import SEVERAL, read_written
from otel_ml.ground_truth._errors import StoreError
from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._windows import TruthWindow, in_window

_COLUMNS: Final = ("task", "positive", "predicted", "value", "score", "label", "number")


class StoredOutcomes(NamedTuple):
    """The predictions of a window, labelled or not, in the order in which they were made."""

    task: str | None
    """None without predictions."""
    positive: str | None
    """The positive class of a binary task, if it is known."""
    predictions: list[Any]
    """Predicted class, number of a regression, or list of classes or items."""
    scores: list[float | None]
    """Probability of the positive class, if the task is binary."""
    labels: list[Any]
    """True class, number, list of classes, or gains by item; None if no label has come."""


def read_stored(database: StoreDatabase, window: TruthWindow) -> StoredOutcomes:
    """Returns the outcomes of a window; raises a StoreError if they are of several tasks."""
    tables = database.tables
    joined = tables.predictions.outerjoin(tables.labels, tables.of_prediction())
    query = database.sa.select(*tables.columns(_COLUMNS)).select_from(joined)
    query = in_window(tables.predictions, query, window)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(tables.predictions.c.predicted_at)).all()
    tasks = sorted({row.task for row in rows})
    if len(tasks) > 1:
        raise StoreError(
            f"the predictions of {window.model!r} are of several tasks ({', '.join(tasks)}); name a version"
        )
    task = tasks[0] if tasks else None
    is_number, is_several = task == "regression", task in SEVERAL
    predictions: list[Any] = [row.value if is_number else row.predicted for row in rows]
    labels: list[Any] = [row.number if is_number else row.label for row in rows]
    if is_several:
        predictions, labels = [*map(_read, predictions)], [*map(_read, labels)]
    return StoredOutcomes(
        task,
        next((row.positive for row in rows if row.positive is not None), None),
        predictions,
        [row.score for row in rows],
        labels,
    )


def _read(text: str | None) -> Any:
    """Returns the classes, items or gains that a text is; one class is a set of one."""
    if text is None:
        return None
    found = read_written(text)
    return [text] if found is None else found
