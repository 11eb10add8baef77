"""Connections of SQLAlchemy to ClickHouse, which has predictions and labels as views over events and is only read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from clickhouse_connect.cc_sqlalchemy.dialect import ClickHouseDialect
from clickhouse_connect.dbapi.connection import Connection
from clickhouse_connect.dbapi.cursor import Cursor

if TYPE_CHECKING:
    import sqlalchemy as sa

# an error reaches the caller; without a handler Python would print the driver's line too
logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())


class _Cursor(Cursor):
    """Reads the rows of a query block by block, where the driver's own cursor would first read all of them."""

    _rows: Iterator[tuple[Any, ...]] | None = None
    _stack: ExitStack | None = None

    def stream(self, statement: str, values: Any, names: Sequence[str]) -> None:
        """Sends a query, whose rows `fetchmany` then reads."""
        self._stack = ExitStack()
        blocks = self._stack.enter_context(self.client.query_row_block_stream(statement, values))
        self._rows = chain.from_iterable(blocks)
        self.data, self.names, self.types = [], names, [None] * len(names)

    def fetchmany(self, size: int = -1) -> Sequence[Any]:
        return super().fetchmany(size) if self._rows is None else list(islice(self._rows, size))

    def close(self) -> None:
        super().close()
        if self._stack is not None:
            self._stack.close()


class _Connection(Connection):
    def cursor(self) -> Cursor:
        return _Cursor(self.client)


def make_engine(kit: Any, url: sa.URL) -> sa.Engine:
    """Returns connections to a ClickHouse server over HTTP."""
    url = url.set(drivername="clickhousedb+connect")
    named = ClickHouseDialect().create_connect_args(url)[1]
    engine: sa.Engine = kit.create_engine(url, creator=lambda: _Connection(**named))
    kit.event.listen(engine, "do_execute", _stream)
    return engine


def _stream(cursor: _Cursor, statement: str, values: Any, context: Any) -> bool:
    """Executes a query that is read some rows at a time; returns whether it is one."""
    if not context.execution_options.get("yield_per"):
        return False
    cursor.stream(statement, values, [column.name for column in context.invoked_statement.selected_columns])
    return True
