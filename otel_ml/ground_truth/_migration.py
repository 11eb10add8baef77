"""Brings the tables of an earlier version to the present form, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.ground_truth._records import ANY_MODEL
from otel_ml.ground_truth._tables import LABEL_KEY_LENGTH, PREDICTIONS, Tables, label_key

if TYPE_CHECKING:
    import sqlalchemy as sa

_FORMER: Final = "_former"
"""Suffix of a replaced table during the transaction."""


def migrate(sqlalchemy: Any, tables: Tables, connection: sa.Connection) -> None:
    """Creates missing tables and columns, and replaces tables that an earlier version kept under the id alone.

    The caller holds the lock of all writers and commits, so that other processes see either all of it or nothing.
    """
    inspector = sqlalchemy.inspect(connection)
    former = {
        table: {column["name"] for column in inspector.get_columns(table.name)}
        for table in tables.keyed
        if is_former(inspector, table.name)
    }
    for table in former:
        for index in inspector.get_indexes(table.name):
            connection.execute(sqlalchemy.schema.DDL(f"DROP INDEX {index['name']}"))
        connection.execute(sqlalchemy.schema.DDL(f"ALTER TABLE {table.name} RENAME TO {table.name}{_FORMER}"))
    tables.create(connection)
    for table, names in former.items():
        connection.execute(sqlalchemy.text(_copy(tables, table, names)))
    if tables.waiting in former:
        _shorten_keys(sqlalchemy, tables.waiting, connection)
    for table in former:
        connection.execute(sqlalchemy.schema.DDL(f"DROP TABLE {table.name}{_FORMER}"))
    known = {column["name"] for column in sqlalchemy.inspect(connection).get_columns(PREDICTIONS)}
    for column in tables.predictions.columns:
        if column.name not in known:
            kind = column.type.compile(connection.dialect)
            connection.execute(sqlalchemy.schema.DDL(f"ALTER TABLE {PREDICTIONS} ADD COLUMN {column.name} {kind}"))


def is_former(inspector: Any, name: str) -> bool:
    """Whether a table exists, and is one that an earlier version kept under the id alone, or under a whole label."""
    if not inspector.has_table(name):
        return False
    key = inspector.get_pk_constraint(name)["constrained_columns"]
    return len(key) == 1 or "label" in key


def _copy(tables: Tables, table: sa.Table, names: set[str]) -> str:
    """Returns the statement that copies the rows of a former table with these columns."""
    former = f"{table.name}{_FORMER}"
    taken = ", ".join(sorted(names))
    if table is tables.waiting:
        model = "model" if "model" in names else f"'{ANY_MODEL}'"
        taken = ", ".join(sorted(names - {"model"}))
        return (
            f"INSERT INTO {table.name} ({taken}, model, label_key) "  # noqa: S608
            f"SELECT {taken}, {model}, label FROM {former}"
        )
    if table is tables.aliases:
        return (
            f"INSERT INTO {table.name} (id, model, version, role, leads_to, predicted_at) "  # noqa: S608
            "SELECT a.id, p.model, p.version, p.role, a.leads_to, a.predicted_at "
            f"FROM {former} a JOIN {PREDICTIONS} p ON p.id = COALESCE(a.leads_to, a.id || '.0')"
        )
    return f"INSERT INTO {table.name} ({taken}) SELECT {taken} FROM {former}"  # noqa: S608 - names of our own


def _shorten_keys(sqlalchemy: Any, waiting: sa.Table, connection: sa.Connection) -> None:
    """Gives labels that are too long for a key the key of their digest."""
    is_long = sqlalchemy.func.length(waiting.c.label) > LABEL_KEY_LENGTH
    for label in connection.execute(sqlalchemy.select(waiting.c.label).where(is_long).distinct()).scalars().all():
        connection.execute(waiting.update().where(waiting.c.label == label).values(label_key=label_key(label)))
