"""Connections of SQLAlchemy to SQLite, PostgreSQL and ClickHouse, with the settings that a store needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from otel_ml import _extras
from otel_ml.ground_truth._errors import StoreError

if TYPE_CHECKING:
    import sqlalchemy as sa

BUSY_SECONDS: Final = 10
"""How long one process waits for another one's write to the same SQLite file, and for a connection of the pool."""
_SETTINGS: Final = {
    "client_encoding": "utf8",
    "connect_timeout": str(BUSY_SECONDS),
    "tcp_user_timeout": "30000",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
"""Texts are text whatever encoding the database has, and a PostgreSQL server that no longer answers is given up after a
while; the URL may say otherwise."""
_OTHER_NAMES: Final = {"postgres": "postgresql", "clickhousedb": "clickhouse"}
"""As hosts, libpq and SQLAlchemy write them."""
_READ_ONLY_TRANSACTION: Final = "25006"
"""What a server that has become a replica says to each write."""


def import_sqlalchemy() -> Any:
    try:
        return _extras.load("sqlalchemy", "ground-truth", package="SQLAlchemy")
    except ImportError as error:
        raise StoreError(str(error)) from error


def parse_url(kit: Any, url: str) -> sa.URL:
    """Returns the parts of a URL of a database that can be a store."""
    try:
        parsed: sa.URL = kit.make_url(url)
    except (kit.exc.ArgumentError, ValueError):
        shown = re.sub(r"//.*@", "//***@", url)  # it may hold a password
        raise StoreError(f"not a database URL: {shown!r}; such as sqlite:///predictions.db") from None
    name, _, driver = parsed.drivername.lower().partition("+")
    kind = _OTHER_NAMES.get(name, name)
    if kind not in {"sqlite", "postgresql", "clickhouse"}:
        raise StoreError(f"{kind} is not supported: sqlite:///FILE, postgresql+psycopg://... or clickhouse://...")
    if kind == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise StoreError("the prediction store must be a file, such as sqlite:///predictions.db")
    if kind == "postgresql":
        parsed = parsed.set(drivername=f"postgresql+{driver or 'psycopg'}")  # SQLAlchemy 2.0 would take psycopg2
    if kind == "clickhouse":
        parsed = parsed.set(drivername=kind)
    return parsed


def make_engine(kit: Any, url: sa.URL, *, read_only: bool) -> sa.Engine:
    """Returns connections to a database; the first one is made on use."""
    if url.drivername == "clickhouse":
        return _make_clickhouse(kit, url, read_only=read_only)
    make = _make_sqlite if url.get_backend_name() == "sqlite" else _make_postgresql
    try:
        if url.get_dialect().is_async:
            wanted = "postgresql+psycopg" if make is _make_postgresql else "sqlite"
            raise StoreError(f"{url.drivername} is a driver for asyncio, which a store does not use: {wanted}://...")
        return make(kit, url, read_only=read_only)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == url.get_driver_name():
            wanted = "'otel-ml[postgresql]'" if error.name == "psycopg" else error.name
            raise StoreError(f"the driver of {url.drivername} is missing: pip install {wanted}") from None
        raise StoreError(f"the driver of {url.drivername} cannot be imported: {_extras.cause(error)}") from None
    except kit.exc.NoSuchModuleError as error:
        raise StoreError(f"SQLAlchemy has no such driver: {error}") from None
    except kit.exc.ArgumentError as error:
        raise StoreError(f"{url.render_as_string(hide_password=True)} cannot be used: {error}") from None


def _make_clickhouse(kit: Any, url: sa.URL, *, read_only: bool) -> sa.Engine:
    if not read_only:
        raise StoreError("ClickHouse is only read (read_only=True): its predictions and labels come from a Collector")
    try:
        _extras.load("clickhouse_connect", "clickhouse", package="clickhouse-connect")
    except ImportError as error:
        raise StoreError(str(error)) from error
    from otel_ml.ground_truth.storage import _clickhouse

    return _clickhouse.make_engine(kit, url)


def _make_sqlite(kit: Any, url: sa.URL, *, read_only: bool) -> sa.Engine:
    engine: sa.Engine = kit.create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})
    kit.event.listen(engine, "connect", _forbid_writing if read_only else _prepare_sqlite)
    return engine


def _make_postgresql(kit: Any, url: sa.URL, *, read_only: bool) -> sa.Engine:
    # prepared statements do not pass a pooler that gives each transaction another connection
    options = {"prepare_threshold": None} if url.get_driver_name() == "psycopg" else {}
    engine: sa.Engine = kit.create_engine(
        url.set(query={**_SETTINGS, **url.query}),
        connect_args=options,
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        pool_timeout=BUSY_SECONDS,
        # a snapshot of the whole transaction would be taken before the lock of the writers, and miss what others wrote
        isolation_level="READ COMMITTED",
        execution_options={"postgresql_readonly": True} if read_only else {},
    )
    kit.event.listen(engine, "handle_error", _leave_replica)
    return engine


def _leave_replica(context: Any) -> None:
    """Drops the connections to a server that has become a replica: the next ones lead to the server that writes."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY_TRANSACTION:
        context.is_disconnect = True


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _forbid_writing(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()
