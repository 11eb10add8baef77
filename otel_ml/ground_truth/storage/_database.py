"""The database of a store, SQLite, PostgreSQL or ClickHouse, through SQLAlchemy Core: connections and transactions."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from otel_ml import _process
from otel_ml.ground_truth._errors import StoreError
from otel_ml.ground_truth.storage._engines import import_sqlalchemy, make_engine, parse_url
from otel_ml.ground_truth.storage._migration import has_other_key, is_former, migrate
from otel_ml.ground_truth.storage._tables import LABELS, LATER, PREDICTIONS, Tables

if TYPE_CHECKING:
    import sqlalchemy as sa

_MIGRATION_WAITS: Final = 30
"""How often a process that opens the store waits so long while another one changes tables of an earlier version."""
_TOGETHER: Final = 64
"""Rows of one statement: each by itself costs a fifth more, and old SQLite libraries take 999 values at most."""
_IDS: Final = 500
"""Ids of one query."""
_FORK_SECONDS: Final = 2.0
"""How long a fork waits for open transactions; one that waits for another process need not end."""
_LOCK: Final = (
    "SELECT pg_advisory_xact_lock(132186113, hashtext(current_schema())), pg_current_xact_id()::text, "
    "set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
    "set_config('enable_mergejoin', 'off', true)"
)
"""Takes the advisory lock of a schema, under which PostgreSQL writes one transaction at a time, as SQLite does by
itself; returns the id of the transaction. Writers find rows by their key: by statistics from before the last rows came,
PostgreSQL would rather read all rows of a table or a model."""
_ANSWER_SECONDS: Final = 90.0
"""How long a writer waits to hear whether its last transaction was committed, if the server went away meanwhile."""
_ANSWER_PAUSE: Final = 0.1


class _Transactions:
    """Counts the transactions of this process; a fork waits until there is none, within a bound.

    A child inherits what SQLite knows about the locks of its parent. Of a fork in the middle of a write it keeps that
    the file is locked, by a connection that it does not have, and waits for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = 0

    def __enter__(self) -> None:
        with self._changed:
            self._open += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._open = max(0, self._open - 1)
            self._changed.notify_all()

    def acquire(self) -> bool:
        """Before a fork: waits for open transactions, and lets none begin."""
        self._changed.acquire()
        return self._changed.wait_for(lambda: not self._open, _FORK_SECONDS)

    def release(self) -> None:
        """After a fork."""
        self._changed.release()

    def reset(self) -> None:
        """In a forked child, which does not have the other threads of its parent."""
        self._changed = threading.Condition()
        self._open = 0


_transactions: Final = _Transactions()
_process.hold_at_fork(_transactions)


class StoreDatabase:
    """Connections to the database of a store, which bring its tables to the present form before they write.

    Args:
        url: Where the database is.
        read_only: Whether nothing may be written, not even tables.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        sa = self.sa = import_sqlalchemy()
        self._read_only = read_only
        parsed = parse_url(sa, url)
        self._is_sqlite = parsed.drivername.startswith("sqlite")
        self.has_events_only = parsed.drivername == "clickhouse"
        """Whether it has events of predictions and labels, and neither references nor further ids."""
        self._engine = make_engine(sa, parsed, read_only=read_only)
        self._driver: Any = self._engine.dialect.dbapi
        self.tables = Tables(sa)
        self._has_tables = False
        self._place = parsed.render_as_string(hide_password=True)

    def open(self) -> None:
        """Makes the missing tables, or checks that they are there if the database is only read.

        Raises:
            StoreError: The database cannot be reached, the file is not a database, or it is no store to read.
        """
        if not self._read_only:
            self._open_to_write()
            return
        with self.reading() as connection:
            inspector = self.sa.inspect(connection)
            if not inspector.has_table(PREDICTIONS):
                hint = "; make it with deploy/clickhouse/views.sql" if self.has_events_only else ""
                raise StoreError(f"{self._place} is not a prediction store: it has no table {PREDICTIONS}{hint}")
            names = {column["name"] for column in inspector.get_columns(PREDICTIONS)}
            missing, has_label_columns = LATER - names, not inspector.has_table(LABELS)
            if missing or has_label_columns:
                former = has_other_key(inspector, PREDICTIONS)
                self.tables = Tables(self.sa, missing=missing, is_former=former, has_label_columns=has_label_columns)

    def _open_to_write(self) -> None:
        for left in reversed(range(_MIGRATION_WAITS)):
            try:
                with self.writing():
                    return
            except StoreError as error:  # noqa: PERF203 - each attempt has its own
                if not error.is_transient or not left or not self._is_former():
                    raise

    def _is_former(self) -> bool:
        """Whether the tables are those of an earlier version, which another process may be changing now."""
        with self.reading() as connection:
            return is_former(self.sa.inspect(connection))

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that excludes all other writers, and is committed at the end."""
        if self._read_only:
            raise StoreError(f"prediction store {self._place}: it was opened to be read only")
        with self.reading() as connection:
            transaction = self._exclude_writers(connection)
            if not self._has_tables:
                migrate(self.sa, self.tables, connection)
            yield connection
            self._commit(connection, transaction)
            self._has_tables = True

    def _exclude_writers(self, connection: sa.Connection) -> str | None:
        """Waits for the other writers; returns the id of the transaction if PostgreSQL can be asked about it later."""
        if self._is_sqlite:
            # the lock is taken at the start: a read that becomes a write later would fail instead of waiting
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return None
        return str(connection.exec_driver_sql(_LOCK).one()[1])

    def _commit(self, connection: sa.Connection, transaction: str | None) -> None:
        """Commits; if the connection breaks before the answer, asks on another one what became of the transaction."""
        try:
            connection.commit()
        except self.sa.exc.DBAPIError as error:
            if transaction is None or not error.connection_invalidated or not self._was_committed(transaction):
                raise

    def _was_committed(self, transaction: str) -> bool:
        """Returns whether the server has committed a transaction; False also if it does not say so in time."""
        query = self.sa.text("SELECT pg_xact_status(CAST(:id AS xid8))")
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline:
            try:
                with self._engine.connect() as connection:
                    status = connection.execute(query, {"id": transaction}).scalar_one()
            except self.sa.exc.OperationalError:
                status = "unreachable"
            except self.sa.exc.DataError:  # a server that crashed does not know the transactions that it lost
                return False
            if status not in {"unreachable", "in progress"}:
                return bool(status == "committed")
            time.sleep(_ANSWER_PAUSE)
        return False

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that is rolled back unless committed; no spans of an instrumented SQLAlchemy."""
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            with _transactions, self._engine.connect() as connection:
                yield connection
        except (self.sa.exc.SQLAlchemyError, self._driver.Error) as error:
            self._has_tables = False  # somebody may have dropped them
            cause = getattr(error, "orig", None) or error
            driver = self._driver
            transient = (driver.OperationalError, driver.InterfaceError, driver.InternalError, self.sa.exc.TimeoutError)
            reason = str(cause).strip().splitlines()[0]
            raise StoreError(
                f"prediction store {self._place}: {reason}", is_transient=isinstance(cause, transient)
            ) from error
        finally:
            detach(token)

    def close(self) -> None:
        self._engine.dispose()

    def forget_connections(self) -> None:
        """In a forked child: drops the parent's connections without touching them, not even to close them."""
        self._engine.dispose(close=False)
        _transactions.reset()

    def insert(self, table: sa.Table) -> Any:
        """Returns an insert of the dialect, which can say what to do with a known key."""
        if self._is_sqlite:
            from sqlalchemy.dialects.sqlite import insert as sqlite_insert

            return sqlite_insert(table)
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(table)

    def upsert_rows(
        self, connection: sa.Connection, table: sa.Table, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Inserts many rows, by the driver itself; the other columns of a known primary key are replaced.

        Args:
            connection: The transaction.
            table: The table.
            columns: The columns, and the type of each in PostgreSQL.
            rows: Their values; no key comes twice.
        """
        if not rows:
            return
        key = [column.name for column in table.primary_key]
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
        names = ", ".join(columns)
        ending = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
        if self._is_sqlite:
            insert = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(columns))}) {ending}"  # noqa: S608
            connection.exec_driver_sql(insert, list(rows))
            return
        insert = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {_unnested(columns)} {ending}"  # noqa: S608
        connection.exec_driver_sql(insert, _by_column(rows))

    def insert_rows(
        self, connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Inserts many rows of plain values by the driver itself: all in one statement, or `_TOGETHER` with SQLite."""
        if not rows:
            return
        if not self._is_sqlite:
            dialect = self._engine.dialect
            kinds = {name: str(table.c[name].type.compile(dialect=dialect)) for name in columns}
            names = ", ".join(columns)
            insert = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {_unnested(kinds)}"  # noqa: S608
            connection.exec_driver_sql(insert, _by_column(rows))
            return
        row = f"({', '.join('?' * len(columns))})"
        head = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "  # noqa: S608 - names of our own
        full = len(rows) - len(rows) % _TOGETHER
        if full:
            groups = [tuple(chain(*rows[start : start + _TOGETHER])) for start in range(0, full, _TOGETHER)]
            connection.exec_driver_sql(head + ", ".join([row] * _TOGETHER), groups)
        if full < len(rows):
            connection.exec_driver_sql(head + row, list(rows[full:]))

    def find(
        self, connection: sa.Connection, table: sa.Table, columns: Sequence[str], ids: Collection[str]
    ) -> list[tuple[Any, ...]]:
        """Returns these columns of the rows under these ids, by the driver itself."""
        found: list[tuple[Any, ...]] = []
        wanted = sorted(ids)
        query = f"SELECT {', '.join(columns)} FROM {table.name} WHERE id "  # noqa: S608 - names of our own
        if not self._is_sqlite:
            return _fetch(connection, f"{query} = ANY(%s::text[])", (array_text(wanted),)) if wanted else []
        for start in range(0, len(wanted), _IDS):
            part = wanted[start : start + _IDS]
            found += _fetch(connection, f"{query} IN ({', '.join('?' * len(part))})", tuple(part))
        return found


def _fetch(connection: sa.Connection, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Returns the rows as the driver's own tuples: rows of SQLAlchemy cost as much as the query."""
    result: Any = connection.exec_driver_sql(query, values)
    rows: list[tuple[Any, ...]] = result.cursor.fetchall()
    result.close()
    return rows


def _unnested(columns: Mapping[str, str]) -> str:
    """Returns the part of a statement of PostgreSQL that takes one array for each column."""
    arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
    return f"unnest({arrays}) AS given({', '.join(columns)})"


def _by_column(rows: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    return tuple(map(array_text, zip(*rows, strict=True)))


def array_text(values: Sequence[Any]) -> str:
    """Returns an array as PostgreSQL reads it; drivers write theirs value by value in Python."""
    kinds = set(map(type, values))
    if kinds != {str}:
        return f"{{{','.join(map(_element, values))}}}"
    joined = '","'.join(values)
    if joined.count('"') != 2 * (len(values) - 1) or "\\" in joined:
        joined = '","'.join(each.replace("\\", r"\\").replace('"', r"\"") for each in values)
    return f'{{"{joined}"}}'


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return rf'"\\x{value.hex()}"'
    return array_text([value])[1:-1] if isinstance(value, str) else str(value)
