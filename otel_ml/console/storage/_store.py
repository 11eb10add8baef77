"""The DuckDB file: tables, bulk inserts that recognise a second delivery, and retention by age, rows and bytes."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from otel_ml.console._options import MEMORY, ConsoleError, Options
from otel_ml.console.storage._tables import TABLES, cells, columns

if TYPE_CHECKING:
    from otel_ml.console.storage._tables import Row

SCHEMA_VERSION = 4
"""Another one for other tables, and for other keys: under a new key a counter that goes on would be counted again."""
_SETTINGS = {"threads": "2", "memory_limit": "1GB", "autoinstall_known_extensions": "false"}
_MAGIC = b"DUCK"
_MAGIC_END = 12
"""Bytes from the start of a DuckDB file to the end of its mark."""
_KEPT_SHARE = 0.95
"""A table over its limit is cut to this share of the limit, so that not every new row causes a cut."""


class DatabaseError(Exception):
    """DuckDB could not write."""


class Database:
    """One open database; one thread writes, others read through their own cursors."""

    moved_aside: str | None = None
    """Where the records of another version of the console are now."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, options: Options) -> None:
        self._connection = connection
        self._options = options
        self._lock = threading.Lock()
        self._expired = dict.fromkeys(TABLES, 0)
        self._inserts = {table: _insert(table) for table in TABLES}
        self._size_columns = {table: list(columns(table)).index("bytes") for table in TABLES}
        self._sizes = {table: self._measure(table) for table in TABLES}

    @classmethod
    def open(cls, options: Options) -> Database:
        """Opens or creates the database; a file of another version of the console is moved aside.

        Raises:
            ConsoleError: The file is in use, is not one of the console, or cannot be written.
        """
        path, moved = options.database, None
        try:
            if path != MEMORY:
                path = _file(path)
            connection = _connect(path)
            version = _version(connection, path)
            if version not in {None, SCHEMA_VERSION}:
                connection.close()
                moved = _move_aside(Path(path), version)
                connection = _connect(path)
            _create(connection)
            opened = cls(connection, options)
        except (OSError, duckdb.Error) as error:
            raise ConsoleError(_reason(path, error)) from error
        opened.moved_aside = moved
        return opened

    def insert(self, rows: Mapping[str, Sequence[Row]]) -> dict[str, int]:
        """Writes all rows in one transaction.

        Returns:
            The new rows by table; the others had been delivered before.

        Raises:
            DatabaseError: Nothing was written.
        """
        new: dict[str, int] = {}
        sizes: dict[str, int] = {}
        with self._lock:
            try:
                self._connection.begin()
                for table, some in rows.items():
                    values = [list(column) for column in zip(*map(cells, some), strict=True)]
                    sizes[table] = sum(values[self._size_columns[table]])
                    done = self._connection.execute(self._inserts[table], values).fetchone()
                    new[table] = int(done[0]) if done else 0
                self._connection.commit()
            except (duckdb.Error, ValueError, TypeError, RuntimeError) as error:
                self._rollback()
                raise DatabaseError(str(error).partition("\n")[0]) from error
        for table, added in sizes.items():
            count, size = self._sizes[table]
            self._sizes[table] = (count + new[table], size + added)
        return new

    def is_over_limit(self) -> bool:
        """Whether a table has more rows or bytes than it may keep."""
        limit = self._options
        return any(count > limit.max_rows or size > limit.max_table_bytes for count, size in self._sizes.values())

    def sweep(self, now_ns: int) -> None:
        """Deletes rows that are too old, and the oldest arrivals of a table over its limit.

        Raises:
            DatabaseError: Nothing was deleted from the table in question.
        """
        oldest = now_ns - int(self._options.retention_hours * 3600e9)
        for table in TABLES:
            with self._lock:
                try:
                    self._sweep(table, oldest)
                except duckdb.Error as error:
                    raise DatabaseError(str(error).partition("\n")[0]) from error

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new connection for reading; it sees a consistent state."""
        return self._connection.cursor()

    def stored(self) -> dict[str, int]:
        """Rows in each table."""
        return {table: count for table, (count, _) in self._sizes.items()}

    def expired(self) -> dict[str, int]:
        """Rows that retention has deleted since the start, by table."""
        return dict(self._expired)

    def close(self) -> None:
        """Writes the log into the file and closes it; safe to call twice."""
        with self._lock:
            self._connection.close()

    def _sweep(self, table: str, oldest: int) -> None:
        before, _ = self._sizes[table]
        self._connection.execute(f"delete from {table} where received_ns < ?", [oldest])
        count, size = self._sizes[table] = self._measure(table)
        limit = self._options
        if count > limit.max_rows or size > limit.max_table_bytes:
            ranked = (
                f"select rowid as id, row_number() over newest as rank, sum(bytes) over newest as volume from {table} "
                "window newest as (order by received_ns desc, rowid desc rows unbounded preceding)"
            )
            self._connection.execute(
                f"delete from {table} where rowid in (select id from ({ranked}) where rank > ? or volume > ?)",
                [max(1, int(limit.max_rows * _KEPT_SHARE)), int(limit.max_table_bytes * _KEPT_SHARE)],
            )
            self._sizes[table] = self._measure(table)
        self._expired[table] += max(0, before - self._sizes[table][0])

    def _measure(self, table: str) -> tuple[int, int]:
        found = self._connection.execute(f"select count(*), coalesce(sum(bytes), 0) from {table}").fetchone()
        return (int(found[0]), int(found[1])) if found else (0, 0)

    def _rollback(self) -> None:
        try:
            self._connection.rollback()
        except duckdb.Error:
            return  # the transaction never began or the database is gone; the caller reports the first error


def _file(path: str) -> str:
    """The absolute path; creates its folder. DuckDB would show a JSON or CSV file as a table, and follow a URL."""
    file = Path(path).expanduser().absolute()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.is_file():
        with file.open("rb") as content:
            if content.read(_MAGIC_END)[-len(_MAGIC) :] != _MAGIC:
                raise ConsoleError(f"{path} is not a DuckDB file; choose another --database")
    return str(file)


def _connect(path: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(path, config=dict(_SETTINGS))
    connection.execute("set enable_external_access = false")
    return connection


def _version(connection: duckdb.DuckDBPyConnection, path: str) -> int | None:
    """The version of the tables of the console; None if there are no tables."""
    tables = {row[0] for row in connection.execute("select table_name from duckdb_tables()").fetchall()}
    if not tables:
        return None
    if "console_schema" not in tables:
        connection.close()
        raise ConsoleError(f"{path} is a DuckDB file of another program; choose another --database")
    found = connection.execute("select version from console_schema").fetchone()
    return None if found is None else int(found[0])


def _move_aside(file: Path, version: int | None) -> str:
    """Keeps a file under a name with its version; one that has that name already is replaced."""
    return str(file.replace(file.with_name(f"{file.stem}.version-{version}{file.suffix}")))


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create table if not exists console_schema (version integer)")
    if connection.execute("select version from console_schema").fetchone() is None:
        connection.execute("insert into console_schema values (?)", [SCHEMA_VERSION])
    for table in TABLES:
        names = ", ".join(f'"{name}" {kind}' for name, kind in columns(table).items())
        connection.execute(f"create table if not exists {table} ({names}, primary key (key))")


def _insert(table: str) -> str:
    # one list per column: 25,000 to 30,000 rows a second; executemany reached 250
    values = ", ".join(f"unnest(?::{kind}[])" for kind in columns(table).values())
    return f"insert or ignore into {table} select {values}"


def _reason(path: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if "Could not set lock" in text:
        return f"{path} is in use by another process; stop that one or choose another --database"
    if "not a valid DuckDB" in text:
        return f"{path} is not a DuckDB file; choose another --database"
    if "orrupt" in text or "Could not read enough bytes" in text:
        return f"{path} is damaged ({text[:200]}); delete it or choose another --database"
    return f"{path} cannot be opened: {text[:200]}; choose another --database"
