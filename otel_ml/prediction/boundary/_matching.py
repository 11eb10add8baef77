"""Renames the values of a row to the declared columns, and says which columns were not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from otel_ml._values import TRUNCATED
from otel_ml._values.kinds import sequence
from otel_ml._values.unread import UNREAD
from otel_ml.prediction.boundary._feature_batch import FeatureBatch
from otel_ml.prediction.boundary._feature_rows import CUT, PartialRow
from otel_ml.prediction.boundary._records import unread_columns
from otel_ml.quality import ColumnNames


def match_row(row: dict[str, object], columns: ColumnNames, given: object = None) -> dict[str, object]:
    """Returns the row under the names of the declared columns; undeclared names stay.

    Args:
        row: The copied values.
        columns: The declared columns.
        given: What they were copied from, unless it was a mapping of scalars.
    """
    plan = columns.plan(tuple(row))
    if given is None and plan.is_exact:
        return row
    marks = _rename(row.marks, plan.names) if isinstance(row, PartialRow) else {}
    if isinstance(given, PartialRow):
        marks |= given.marks
    found = {plan.names.get(name, name): value for name, value in row.items()}
    absent = plan.absent - marks.keys()
    unread = plan.unclear
    if absent and given is not None:
        taken, unclear = _take_nested(found, absent, columns)
        absent -= taken
        unread |= unclear
        others = [value for name, value in found.items() if name not in columns.declared]
        if not marks.keys() <= columns.declared or CUT in row or any(map(_holds_more, others)):
            unread |= absent
        else:
            unread |= unread_columns(given, absent)
    marks |= dict.fromkeys(unread, UNREAD)
    return PartialRow(found, marks) if marks else found


def match_batch(batch: FeatureBatch, columns: ColumnNames, given: object) -> FeatureBatch:
    """Gives the columns of a batch the declared names."""
    plan = columns.plan(tuple(batch.columns))
    unread = plan.unclear
    names = dict(plan.names)
    if plan.absent:
        places = _places(((name, name) for name in batch.columns if "." in name), plan.absent, columns)
        names.update({found[0]: name for name, found in places.items() if len(found) == 1})
        unread |= {name for name, found in places.items() if len(found) > 1}
        absent = plan.absent - places.keys()
        others = [name for name in batch.columns if names.get(name, name) not in columns.declared]
        if batch.total_columns > len(batch.columns) or batch.has_unread_values(others):
            unread |= absent
        listed = sequence(given, 1)
        unread |= unread_columns(listed[0][0], absent) if listed is not None and listed[0] else frozenset()
    if names:
        batch.columns = {names.get(name, name): values for name, values in batch.columns.items()}
    batch.marks = _rename(batch.marks, plan.names) | dict.fromkeys(unread, UNREAD)
    return batch


def _rename(marks: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    return {names.get(name, name): marked for name, marked in marks.items()}


def _take_nested(row: dict[str, object], absent: frozenset[str], columns: ColumnNames) -> tuple[set[str], set[str]]:
    """Adds values of nested mappings that are declared by their path or by their name.

    Returns the columns found in one place, and those found in several places.
    """
    places = _places(list(_scalars(row, "")), absent, columns)
    taken = {name for name, values in places.items() if len(values) == 1}
    row.update({name: places[name][0] for name in taken})
    return taken, places.keys() - taken


def _places(items: Iterable[tuple[str, Any]], absent: frozenset[str], columns: ColumnNames) -> dict[str, list[Any]]:
    """Returns what was found of each absent column, by path or else by the last part of the path."""
    found: dict[str, list[Any]] = {}
    for path, value in items:
        name = columns.find(path) or columns.find(path.rpartition(".")[2])
        if name is not None and name in absent:
            found.setdefault(name, []).append(value)
    return found


def _scalars(row: dict[Any, Any], path: str) -> Iterator[tuple[str, object]]:
    for key, value in row.items():
        if type(value) is dict:
            yield from _scalars(value, f"{path}{key}.")
        elif path and type(value) is not list:
            yield f"{path}{key}", value


def _holds_more(value: object) -> bool:
    """Whether a copied value may hold columns that were not found: rows in a list, or something that was cut."""
    if type(value) is dict:
        return TRUNCATED in value or any(map(_holds_more, value.values()))
    return type(value) is list and any(type(item) is dict or type(item) is list for item in value)
