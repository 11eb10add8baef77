"""Brings the tables of an earlier version to the present form, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from otel_ml.ground_truth._errors import StoreError
from otel_ml.ground_truth._records import ANY_MODEL
from otel_ml.ground_truth.storage._tables import (
    KEY,
    LABEL_COLUMNS,
    LABEL_KEY_LENGTH,
    LABELS,
    PREDICTIONS,
    Tables,
    label_key,
)

if TYPE_CHECKING:
    import sqlalchemy as sa

_FORMER: Final = "_former"
"""Suffix of a replaced table during the transaction."""
_HAS_DEPENDENTS: Final = "2BP01"
"""What PostgreSQL says of a column that a view reads."""


def migrate(sqlalchemy: Any, tables: Tables, connection: sa.Connection) -> None:
    """Creates missing tables and columns, and replaces tables that an earlier version made differently.

    The caller holds the lock of all writers and commits, so that other processes see either all of it or nothing.
    """
    inspector = sqlalchemy.inspect(connection)
    execute = partial(_execute, sqlalchemy, connection)
    has_label_columns = _has_label_columns(inspector)
    former = {
        table: {column["name"] for column in inspector.get_columns(table.name)}
        for table in tables.keyed
        if has_other_key(inspector, table.name)
        # PostgreSQL drops columns at once and keeps the rights on a table; SQLite before 3.35 cannot drop one
        or (table is tables.predictions and has_label_columns and connection.dialect.name == "sqlite")
    }
    for table in former:
        for index in inspector.get_indexes(table.name):
            execute(f"DROP INDEX {index['name']}")
        with _views_keep_names(connection):
            execute(f"ALTER TABLE {table.name} RENAME TO {table.name}{_FORMER}")
    tables.create(connection)
    for table, names in former.items():
        execute(_copy(tables, table, names))
    if tables.waiting in former:
        _shorten_keys(sqlalchemy, tables.waiting, connection)
    if has_label_columns:
        execute(_copy_labels(f"{PREDICTIONS}{_FORMER}" if tables.predictions in former else PREDICTIONS))
    for table in former:
        execute(f"DROP TABLE {table.name}{_FORMER}")
    known = {column["name"] for column in sqlalchemy.inspect(connection).get_columns(PREDICTIONS)}
    for name in known.intersection(LABEL_COLUMNS):
        _drop_column(sqlalchemy, connection, name)
    for column in tables.predictions.columns:
        if column.name not in known:
            execute(f"ALTER TABLE {PREDICTIONS} ADD COLUMN {column.name} {column.type.compile(connection.dialect)}")


def is_former(inspector: Any) -> bool:
    """Whether the predictions are in a table that an earlier version made: with their labels, or under the id alone."""
    return has_other_key(inspector, PREDICTIONS) or _has_label_columns(inspector)


def has_other_key(inspector: Any, name: str) -> bool:
    """Whether a table exists, and is one that an earlier version kept under the id alone, or under a whole label."""
    if not inspector.has_table(name):
        return False
    key = inspector.get_pk_constraint(name)["constrained_columns"]
    return len(key) == 1 or "label" in key


def _has_label_columns(inspector: Any) -> bool:
    columns = inspector.get_columns(PREDICTIONS) if inspector.has_table(PREDICTIONS) else []
    return any(column["name"] == "label" for column in columns)


@contextmanager
def _views_keep_names(connection: sa.Connection) -> Iterator[None]:
    """Lets the views of users go on reading a table by its name; SQLite would rename it in them too."""
    if connection.dialect.name != "sqlite":
        yield
        return
    connection.exec_driver_sql("PRAGMA legacy_alter_table=ON")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA legacy_alter_table=OFF")


def _drop_column(sqlalchemy: Any, connection: sa.Connection, name: str) -> None:
    """Drops a column of the predictions.

    Raises:
        StoreError: A view of a user reads it, which PostgreSQL does not drop with it.
    """
    try:
        _execute(sqlalchemy, connection, f"ALTER TABLE {PREDICTIONS} DROP COLUMN {name}")
    except sqlalchemy.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", getattr(error.orig, "pgcode", None)) != _HAS_DEPENDENTS:
            raise
        reason = getattr(getattr(error.orig, "diag", None), "message_detail", None) or error.orig
        raise StoreError(
            f"the labels move from {PREDICTIONS} to {LABELS}, but {reason}: drop it, and make it again from {LABELS}"
        ) from error


def _execute(sqlalchemy: Any, connection: sa.Connection, statement: str) -> None:
    connection.execute(sqlalchemy.schema.DDL(statement))


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
    if table is tables.predictions:
        taken = ", ".join(sorted(names & set(table.c.keys())))
    return f"INSERT INTO {table.name} ({taken}) SELECT {taken} FROM {former}"  # noqa: S608 - names of our own


def _copy_labels(source: str) -> str:
    """Returns the statement that copies the labels out of a table of predictions.

    Some may be there already, if an earlier version was started again in between and made its columns again.
    """
    taken = ", ".join((*KEY, *LABEL_COLUMNS))
    key = ", ".join(KEY)
    return (
        f"INSERT INTO {LABELS} ({taken}) SELECT {taken} FROM {source} "  # noqa: S608 - names of our own
        f"WHERE label IS NOT NULL ORDER BY {key} ON CONFLICT DO NOTHING"
    )


def _shorten_keys(sqlalchemy: Any, waiting: sa.Table, connection: sa.Connection) -> None:
    """Gives labels that are too long for a key the key of their digest."""
    is_long = sqlalchemy.func.length(waiting.c.label) > LABEL_KEY_LENGTH
    for label in connection.execute(sqlalchemy.select(waiting.c.label).where(is_long).distinct()).scalars().all():
        connection.execute(waiting.update().where(waiting.c.label == label).values(label_key=label_key(label)))
