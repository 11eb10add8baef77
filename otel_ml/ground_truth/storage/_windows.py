"""Reads the predictions of a window, from which figures are computed, and the models of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from otel_ml._logged_prediction import name_text
from otel_ml._values import few_names
from otel_ml._values.moments import Moment, seconds
from otel_ml.ground_truth._segment_texts import read_segments
from otel_ml.ground_truth.exact._labelled import Labelled
from otel_ml.ground_truth.exact._rows import Classes, LabelledRow, Row
from otel_ml.ground_truth.exact._segments import LabelledSegments
from otel_ml.ground_truth.storage._class_sets import ClassSets
from otel_ml.ground_truth.storage._database import StoreDatabase

TOGETHER: Final = 10_000
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


class MeasuredSegments(NamedTuple):
    """Figures by segment."""

    figures: dict[str, dict[str, Any]]
    labelled: int
    """The labelled predictions, with or without the column."""
    notes: list[str]


def read_bounds(start: Moment, end: Moment) -> tuple[float, float]:
    """Returns both ends of a window in seconds since the epoch.

    Raises:
        ValueError: One of them is no moment, or the window is empty.
    """
    first, last = seconds(start), seconds(end)
    if first >= last:
        raise ValueError(f"the window ends at {end} before it starts at {start}")
    return first, last


def read_names(model: str, version: str | None) -> tuple[str, str | None]:
    """Returns name and version of a model as they are stored."""
    return name_text(model), None if version is None else name_text(version)


def read_column(by: str) -> str:
    """Returns the column with the moment.

    Raises:
        ValueError: There is no such column.
    """
    if by not in {"labeled_at", "predicted_at"}:
        raise ValueError(f"by must be 'labeled_at' or 'predicted_at', not {by!r}")
    return by


def measure_labelled(database: StoreDatabase, class_sets: ClassSets, window: TruthWindow) -> dict[str, Any]:
    """Returns the figures of the labelled predictions of a window."""
    labelled = Labelled()
    return labelled.figures(_read(database, class_sets, window, labelled))


def measure_segments(
    database: StoreDatabase, class_sets: ClassSets, window: TruthWindow, column: str
) -> MeasuredSegments:
    """Returns the figures of the labelled predictions of a window by segment."""
    labelled = LabelledSegments(column)
    figures = labelled.figures(_read(database, class_sets, window, labelled, "segments"))
    if window.by == "predicted_at" and figures:
        predicted = _count_segments(database, window, column)
        figures = {name: {**each, **coverage(each["labelled"], predicted[name])} for name, each in figures.items()}
    return MeasuredSegments(figures, labelled.labelled, labelled.notes())


def coverage(labelled: int, predicted: int) -> dict[str, Any]:
    """Returns how many predictions a window has, and the share of them with a label."""
    return {"predicted": predicted, "coverage": labelled / predicted if predicted else None}


class _Labelled(Protocol):
    class_keys: set[str | None]

    def add(self, rows: Sequence[Row]) -> None: ...


def _read(
    database: StoreDatabase, class_sets: ClassSets, window: TruthWindow, labelled: _Labelled, *more: str
) -> Classes:
    """Reads the labelled predictions of a window, some thousands at a time; returns the classes that were declared."""
    tables = database.tables
    columns = tables.columns((*LabelledRow._fields, *more))
    query = database.sa.select(*columns).select_from(tables.predictions.join(tables.labels, tables.of_prediction()))
    query = in_window(tables.labels if window.by == "labeled_at" else tables.predictions, query, window)
    query = query.execution_options(yield_per=TOGETHER)  # of a connection they would hold for what follows, too
    with database.reading() as connection:
        for rows in connection.execute(query).partitions():
            labelled.add(rows)
        return {key: class_sets.find(connection, key) for key in labelled.class_keys}


def count_predicted(database: StoreDatabase, window: TruthWindow) -> int:
    """Counts the predictions made in a window, labelled or not, also those under a key that was known already."""
    table, sa = database.tables.predictions, database.sa
    with database.reading() as connection:
        query = in_window(table, sa.select(_predicted(database)).select_from(table), window)
        return int(connection.execute(query).scalar_one())


def _count_segments(database: StoreDatabase, window: TruthWindow, column: str) -> Mapping[str, int]:
    """Counts the predictions made in a window by segment."""
    table = database.tables.predictions
    counts: Counter[str] = Counter()
    with database.reading() as connection:
        query = database.sa.select(table.c.segments, _predicted(database)).group_by(table.c.segments)
        query = in_window(table, query, window)
        for segments, predicted in connection.execute(query):
            counts[read_segments(segments).get(column, "")] += int(predicted)
    return counts


def _predicted(database: StoreDatabase) -> Any:
    table, sa = database.tables.predictions, database.sa
    total = sa.func.count()
    return total + sa.func.coalesce(sa.func.sum(table.c.repeated), 0) if "repeated" in table.c else total


def list_models(database: StoreDatabase) -> list[tuple[str, str, str]]:
    """Returns name, version and role of every model that has predictions, in order."""
    table = database.tables.predictions
    identity = (table.c.model, table.c.version, table.c.role)
    query = database.sa.select(*identity).distinct().order_by(*identity)
    with database.reading() as connection:
        return [(row.model, row.version, row.role) for row in connection.execute(query)]


def describe_models(models: Sequence[tuple[str, str, str]]) -> str:
    """Says which models a store has."""
    names = [" ".join(filter(None, identity)) for identity in models]
    return f"the store has {few_names(names) or 'no predictions'}"


def in_window(table: Any, query: Any, window: TruthWindow) -> Any:
    """Restricts a query to a window, whose moment is in the table."""
    moment = table.c[window.by]
    query = query.where(table.c.model == window.model, moment >= window.start, moment < window.end)
    for column, wanted in ((table.c.version, window.version), (table.c.role, window.role)):
        query = query if wanted is None else query.where(column == wanted)
    return query
