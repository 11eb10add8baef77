"""Reads the predictions of two versions of a model in a window, side by side and by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from otel_ml._logged_prediction import name_text
from otel_ml._values import few_names
from otel_ml.ground_truth._pairs import ROLES, baseline_order
from otel_ml.ground_truth.exact._versions import PairRows, SideRow, SideRows, compare
from otel_ml.ground_truth.storage._class_sets import ClassSets
from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._windows import TOGETHER, TruthWindow, describe_models, in_window, list_models

_OWN_FORM: Final = frozenset({"regression", "multilabel"})
"""Tasks whose predictions have a form of their own; a binary and a multiclass model both predict a class."""


class Served(NamedTuple):
    """What one version and role of a model predicted in a window."""

    version: str
    role: str
    predictions: int
    first: float
    """Moment of the first prediction."""
    last: float

    def __str__(self) -> str:
        return f"{self.version}/{self.role}"


def compare_versions(
    database: StoreDatabase,
    class_sets: ClassSets,
    window: TruthWindow,
    named: tuple[str | None, str | None],
    difference: float | None,
) -> dict[str, Any]:
    """Returns how a challenger differs from a baseline.

    Args:
        database: The store.
        class_sets: Its sets of declared classes.
        window: The model and the time, of all versions and roles.
        named: Baseline and challenger as the user named them; None for the usual ones.
        difference: What to look for; None for the usual one.
    """
    served = _list_served(database, window)
    if not served:
        raise ValueError(f"no prediction of {window.model!r} in this window; {describe_models(list_models(database))}")
    baseline, challenger = chosen = choose(served, *named)
    sides, pairs = (SideRows(), SideRows()), PairRows()
    with database.reading() as connection:
        for one, side in zip(chosen, sides, strict=True):
            query = _side(database, window, one)
            for rows in connection.execute(query.execution_options(yield_per=TOGETHER)).partitions():
                side.add(map(SideRow._make, rows))
        width = len(SideRow._fields)
        query = _paired(database, window, chosen)
        for rows in connection.execute(query.execution_options(yield_per=TOGETHER)).partitions():
            pairs.add((SideRow._make(row[:width]), SideRow._make(row[width:])) for row in rows)
        keys = sides[0].class_keys | sides[1].class_keys
        declared = [names for key in keys if (names := class_sets.find(connection, key)) is not None]
    _check_tasks(chosen, sides)
    found = compare(sides, pairs, declared, difference)
    for one, name in ((baseline, "baseline"), (challenger, "challenger")):
        found[name] = {"version": one.version, "role": one.role, "predicted": one.predictions, **found[name]}
    if not pairs.count and not (baseline.first <= challenger.last and challenger.first <= baseline.last):
        found["notes"] = [*found["notes"], "the two served one after the other: time may be what they differ by"]
    return {"model": window.model, **found}


def _check_tasks(chosen: Sequence[Served], sides: Sequence[SideRows]) -> None:
    """Raises ValueError if there is no way to compare these tasks."""
    if "ranking" in sides[0].tasks | sides[1].tasks:
        raise ValueError("rankings cannot be compared yet: compare the intervals of `compute_metrics`")
    kinds = [{task if task in _OWN_FORM else "classes" for task in side.tasks} for side in sides]
    if kinds[0].isdisjoint(kinds[1]):
        named = (f"{one} has {' and '.join(sorted(side.tasks))}" for one, side in zip(chosen, sides, strict=True))
        raise ValueError(f"versions of different tasks cannot be compared: {', '.join(named)}")


def choose(served: Sequence[Served], baseline: str | None, challenger: str | None) -> tuple[Served, Served]:
    """Returns the two versions that a user named: ``VERSION/ROLE``, a version, or a role.

    The baseline is the primary, and of several the earliest version; the challenger is the only other one.

    Raises:
        ValueError: There is no such version, or a name fits several.
    """
    ordered = sorted(served, key=lambda one: baseline_order(one.version, one.role))
    other = None if challenger is None else _find(ordered, challenger)
    first = _find([one for one in ordered if one != other] if baseline is None else ordered, baseline)
    rest = [one for one in ordered if one != first]
    if other is None:
        if not rest:
            raise ValueError(f"only {first} predicted in this window, so there is nothing to compare it with")
        if len(rest) > 1:
            known = few_names([*map(str, rest)])
            raise ValueError(f"name the challenger; beside {first} there are in this window: {known}")
        other = rest[0]
    if other == first:
        raise ValueError(f"{first} cannot be compared with itself")
    return first, other


def _find(served: Sequence[Served], name: str | None) -> Served:
    if name is None and served:
        return served[0]
    name = name_text(name or "")
    version, _, role = name.rpartition("/")
    found = [one for one in served if (one.version, one.role) == (version, role)] if role in ROLES and version else []
    found = found or [one for one in served if name in {one.version, one.role}]
    if len(found) != 1:
        known = few_names([*map(str, found or served)]) or "none"
        raise ValueError(f"{name!r} is {'several' if found else 'none'} of the versions in this window: {known}")
    return found[0]


def _list_served(database: StoreDatabase, window: TruthWindow) -> list[Served]:
    table, sa = database.tables.predictions, database.sa
    moment = table.c.predicted_at
    query = sa.select(table.c.version, table.c.role, sa.func.count(), sa.func.min(moment), sa.func.max(moment))
    query = in_window(table, query, window).group_by(table.c.version, table.c.role)
    with database.reading() as connection:
        return [Served(*row) for row in connection.execute(query)]


def _side(database: StoreDatabase, window: TruthWindow, one: Served) -> Any:
    tables = database.tables
    query = database.sa.select(*tables.columns(SideRow._fields))
    query = query.select_from(tables.predictions.outerjoin(tables.labels, tables.of_prediction()))
    return in_window(tables.predictions, query, _of(window, one))


def _paired(database: StoreDatabase, window: TruthWindow, chosen: Sequence[Served]) -> Any:
    tables, both = database.tables, database.sa.and_
    baseline, challenger = (tables.predictions.alias(name) for name in ("baseline", "challenger"))
    labels, other_labels = (tables.labels.alias(name) for name in ("baseline_labels", "challenger_labels"))
    joined = baseline.join(challenger, both(baseline.c.id == challenger.c.id, baseline.c.model == challenger.c.model))
    columns: list[Any] = []
    for table, its_labels in ((baseline, labels), (challenger, other_labels)):
        joined = joined.outerjoin(its_labels, tables.of_prediction(table, its_labels))
        columns += tables.columns(SideRow._fields, table, its_labels)
    query = database.sa.select(*columns).select_from(joined)
    for table, one in zip((baseline, challenger), chosen, strict=True):
        query = in_window(table, query, _of(window, one))
    return query


def _of(window: TruthWindow, one: Served) -> TruthWindow:
    return window._replace(version=one.version, role=one.role)
