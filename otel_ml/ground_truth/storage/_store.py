"""Writes predictions and labels, and joins them. Every method is one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.ground_truth._records import Alias, Key, LabelOutcome, StoredLabel, key_of
from otel_ml.ground_truth.storage._class_sets import ClassSets
from otel_ml.ground_truth.storage._database import StoreDatabase
from otel_ml.ground_truth.storage._join import Join, KnownPrediction, ids_of
from otel_ml.ground_truth.storage._reference_table import ReferenceTable
from otel_ml.ground_truth.storage._rows import (
    ALL_COLUMNS,
    COLUMNS,
    PREDICTED_AT,
    Row,
    StoredRows,
    from_row,
)
from otel_ml.ground_truth.storage._tables import KEY, LABEL_COLUMNS, label_key

if TYPE_CHECKING:
    import sqlalchemy as sa

_LABEL: Final = {**dict.fromkeys(KEY, "text"), "label": "text", "number": "float8", "labeled_at": "float8"}
"""The columns of a prediction's label, and their types in PostgreSQL."""
_WAITING: Final = {
    "id": "text",
    "label": "text",
    "number": "float8",
    "labeled_at": "float8",
    "model": "text",
    "label_key": "text",
}
"""The columns of a label that waits: the fields of a `StoredLabel`, and its key."""


class Written(NamedTuple):
    """The predictions of a batch that were stored, those that were not, and labels that came before them."""

    stored: list[Row]
    repeated: list[Row]
    """Those whose key the store had already."""
    outcomes: list[LabelOutcome]
    """Of labels that came before them."""


class Store:
    """Predictions and the labels that came before their prediction."""

    def __init__(self, database: StoreDatabase) -> None:
        self._database = database
        self.class_sets = ClassSets(database)
        self._references = ReferenceTable(database)

    def write(self, given: Sequence[StoredRows]) -> Written:
        """Stores new predictions and joins the labels that came before them; a known key is left as it is."""
        with self._database.writing() as connection:
            known = self._known_keys(connection, {row[0] for rows in given for row in rows.rows})
            fresh, repeated = _split(given, known)
            new = [row for rows in fresh for row in rows.rows]
            outcomes: list[LabelOutcome] = []
            marks = self._references.write(connection, fresh)
            if new:
                for columns in dict.fromkeys(rows.columns for rows in fresh):
                    alike = [row for rows in fresh if rows.columns == columns for row in rows.rows]
                    self._database.insert_rows(connection, self._database.tables.predictions, columns, alike)
                outcomes += self._store_around(connection, fresh, {key.id for key in known})
            self._count_repeated(connection, [Key(*row[:4]) for row in repeated])
        for rows in fresh:
            if rows.class_key is not None and rows.class_names is not None:
                self.class_sets.remember(rows.class_key, rows.class_names)
        self._references.remember(marks)
        return Written(new, repeated, outcomes)

    def _store_around(
        self, connection: sa.Connection, fresh: Sequence[StoredRows], known: Collection[str]
    ) -> Iterable[LabelOutcome]:
        """Stores classes and further ids of new predictions, and joins the labels that came before them.

        Args:
            connection: The transaction.
            fresh: The new predictions.
            known: Those of their ids that the store had already.
        """
        tables = self._database.tables
        sets = {rows.class_key: rows.class_names for rows in fresh if rows.class_key not in self.class_sets}
        sets.pop(None, None)
        self._put(connection, tables.classes, [{"id": key, "names": names} for key, names in sets.items()])
        aliases = {
            Alias(Key(name, *rows.rows[0][1:4]), leads_to): rows.rows[0][PREDICTED_AT]
            for rows in fresh
            for name, leads_to in rows.aliases
        }
        values = [{**key._asdict(), "leads_to": to, "predicted_at": moment} for (key, to), moment in aliases.items()]
        self._put(connection, tables.aliases, values)
        labelled = self._labels(connection, known).values()
        if not labelled and not self._is_any_waiting(connection):
            return ()
        new = {Key(*row[:4]) for rows in fresh for row in rows.rows}
        ids = {key.id for key in new} | {alias.key.id for alias in aliases}
        waiting = self._waiting(connection, ids | {f"{name}.0" for name in ids if name.isdecimal()})
        labels = _EarlyLabels(waiting, _inherited(new, labelled))
        return self._join_early(connection, labels, new, aliases) if any(labels) else ()

    def _join_early(
        self, connection: sa.Connection, labels: _EarlyLabels, new: Collection[Key], aliases: Collection[Alias]
    ) -> Iterable[LabelOutcome]:
        """Joins labels that came before their prediction; those that still have none go on waiting."""
        first = sorted(labels.waiting, key=lambda label: (label.id, label.label, label.model))
        ordered = sorted([*first, *labels.inherited], key=lambda label: label.labeled_at)
        ids = {name for label in ordered for name in ids_of(label)}
        targets = {to for key, to in aliases if key.id in ids and to is not None}
        join = Join(self._known(connection, ids | targets), aliases)
        outcomes = [join.settle(label) for label in ordered]
        self._set_labels(connection, outcomes)
        waiting = set(labels.waiting)
        over = [item.label for item in outcomes if item.state != "waiting" and item.label in waiting]
        if over:
            table, named = self._database.tables.waiting, self._database.sa.bindparam
            match = [table.c[name] == named(f"of_{name}") for name in ("id", "label", "model")]
            values = [{"of_id": label.id, "of_label": label.label, "of_model": label.model} for label in over]
            connection.execute(table.delete().where(*match), values)
        return (item if item.label in waiting else _of_new(item, new) for item in outcomes)

    def label(self, labels: Sequence[StoredLabel]) -> list[LabelOutcome]:
        """Joins each label with its predictions, or lets it wait; returns what became of it.

        The transaction excludes all other writers, so that nothing it has read changes before it is committed.
        """
        with self._database.writing() as connection:
            ids = {name for label in labels for name in ids_of(label)}
            aliases = self._aliases(connection, ids)
            targets = {alias.leads_to for alias in aliases if alias.leads_to is not None}
            join = Join(self._known(connection, ids | targets), aliases)
            join.add_waiting(self._waiting(connection, {label.id for label in labels if not join.find(label)}))
            outcomes = [join.settle(label) for label in labels]
            self._set_labels(connection, outcomes)
            new = [item.label for item in outcomes if item.state == "waiting"]
            if new:
                self._keep_waiting(connection, new)
        return outcomes

    def _known_keys(self, connection: sa.Connection, ids: Collection[str]) -> set[Key]:
        """Returns the keys of the predictions under these ids."""
        return set(map(Key._make, self._database.find(connection, self._database.tables.predictions, KEY, ids)))

    def _labels(self, connection: sa.Connection, ids: Collection[str]) -> dict[tuple[Any, ...], StoredLabel]:
        """Returns the labels of the predictions under these ids, by key."""
        rows = self._database.find(connection, self._database.tables.labels, (*KEY, *LABEL_COLUMNS), ids)
        return {row[:4]: StoredLabel._make((row[0], *row[4:], row[1])) for row in rows}

    def _known(self, connection: sa.Connection, ids: Collection[str]) -> list[KnownPrediction]:
        """Returns the predictions under these ids, with the classes and the references that their models have."""
        known = []
        rows = self._database.find(connection, self._database.tables.predictions, ALL_COLUMNS, ids)
        labels = self._labels(connection, ids)
        references = self._references.find(connection, {row[1:3] for row in rows})
        for row in rows:
            classes, probabilities, segments = row[len(COLUMNS) :]
            prediction = from_row(row, self.class_sets.find(connection, classes), probabilities, segments)
            known.append(KnownPrediction(prediction, labels.get(row[:4]) if labels else None, references[row[1:3]]))
        return known

    def _aliases(self, connection: sa.Connection, ids: Collection[str]) -> list[Alias]:
        table = self._database.tables.aliases
        rows = self._database.find(connection, table, (*Key._fields, "leads_to"), ids)
        return [Alias(Key(*row[:4]), row[4]) for row in rows]

    def _waiting(self, connection: sa.Connection, ids: Collection[str]) -> list[StoredLabel]:
        table = self._database.tables.waiting
        return [StoredLabel._make(row) for row in self._database.find(connection, table, StoredLabel._fields, ids)]

    def _is_any_waiting(self, connection: sa.Connection) -> bool:
        """Whether any label waits; mostly none does, and then no prediction has to be looked up."""
        query = self._database.sa.select(self._database.tables.waiting.c.id).limit(1)
        return connection.execute(query).first() is not None

    def _put(self, connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Inserts new rows; a row with a known key stays as it is."""
        if rows:
            connection.execute(self._database.insert(table).on_conflict_do_nothing(), rows)

    def _keep_waiting(self, connection: sa.Connection, labels: Iterable[StoredLabel]) -> None:
        """Lets labels wait; of the same one twice the newer counts."""
        newest = {(label.id, label.label, label.model): (*label, label_key(label.label)) for label in labels}
        self._database.upsert_rows(connection, self._database.tables.waiting, _WAITING, list(newest.values()))

    def _count_repeated(self, connection: sa.Connection, repeated: list[Key]) -> None:
        """Counts predictions under a known key, which are not stored, beside the one that is."""
        if repeated:
            table = self._database.tables.predictions
            more = table.c.repeated + self._database.sa.bindparam("more")
            values = [{**_bound(key), "more": times} for key, times in Counter(repeated).items()]
            connection.execute(table.update().where(*self._has_key()).values(repeated=more), values)

    def _set_labels(self, connection: sa.Connection, outcomes: Iterable[LabelOutcome]) -> None:
        """Writes the labels that are new to their prediction."""
        new, revised = (
            {
                one.prediction[:4]: one.label[1:4]  # of a prediction that got several labels the last one counts
                for item in outcomes
                for one in item.settled
                if one.state == state
            }
            for state in ("matched", "revised")
        )
        new.update((key, revised.pop(key)) for key in revised.keys() & new.keys())
        table = self._database.tables.labels
        # in the order of the key, which keeps pages in the cache
        self._database.insert_rows(connection, table, tuple(_LABEL), [key + new[key] for key in sorted(new)])
        self._database.upsert_rows(connection, table, _LABEL, [key + revised[key] for key in sorted(revised)])

    def _has_key(self) -> list[Any]:
        table, named = self._database.tables.predictions, self._database.sa.bindparam
        return [table.c[name] == named(f"of_{name}") for name in Key._fields]


class _EarlyLabels(NamedTuple):
    """Labels that came before their prediction."""

    waiting: list[StoredLabel]
    inherited: list[StoredLabel]
    """Labels of other versions and roles of the model under the same id: they settle later predictions too."""


def _split(given: Sequence[StoredRows], known: Collection[Key]) -> tuple[list[StoredRows], list[Row]]:
    """Returns the rows that are new, and those whose key is known or comes for the second time."""
    keys = [row[:4] for rows in given for row in rows.rows]
    if len(set(keys)) == len(keys) and not any(key in known for key in (keys if known else ())):
        return list(given), []
    seen = set[tuple[str, ...]](known)
    fresh: list[StoredRows] = []
    repeated: list[Row] = []
    for rows in given:
        new: list[Row] = []
        for row in rows.rows:
            (repeated if row[:4] in seen else new).append(row)
            seen.add(row[:4])
        if new:
            fresh.append(rows._replace(rows=new))
    return fresh, repeated


def _inherited(new: Iterable[Key], labels: Iterable[StoredLabel]) -> list[StoredLabel]:
    """Returns the newest label that the models of new predictions have under the same id."""
    newest: dict[tuple[str, str], StoredLabel] = {}
    for label in labels:
        known = newest.setdefault((label.id, label.model), label)
        if known.labeled_at < label.labeled_at:
            newest[label.id, label.model] = label
    return [newest[each] for each in dict.fromkeys((key.id, key.model) for key in new) if each in newest]


def _of_new(outcome: LabelOutcome, new: Collection[Key]) -> LabelOutcome:
    """Leaves out what an inherited label has done to the predictions that it comes from."""
    return outcome._replace(settled=tuple(one for one in outcome.settled if key_of(one.prediction) in new))


def _bound(key: Key) -> dict[str, str]:
    return {f"of_{name}": value for name, value in zip(Key._fields, key, strict=True)}
