"""The database behind the join of predictions and labels, on SQLite or PostgreSQL, through SQLAlchemy Core."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from otel_ml import _extras
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._join import KnownPrediction, join
from otel_ml.ground_truth._records import LabelOutcome, StoredLabel
from otel_ml.ground_truth._rows import StoredPrediction, from_row
from otel_ml.ground_truth._tables import Tables

if TYPE_CHECKING:
    import sqlalchemy as sa

BUSY_SECONDS: Final = 10
"""How long one process waits for another one's write to the same SQLite file."""
_LOCK_KEY: Final = 0x07E1_0001
"""Advisory lock under which PostgreSQL writes one transaction at a time, as SQLite does by itself."""
_CHUNK: Final = 500
_CLASS_SETS_KEPT: Final = 256


class StoreError(RuntimeError):
    """The store cannot be used; the message says why and what to do."""

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        """Whether a later attempt may succeed: the database is locked, full or unreachable."""


class Store:
    """Predictions and the labels that came before their prediction. Every writing method is one transaction."""

    def __init__(self, url: str) -> None:
        self._sa = _sqlalchemy()
        sa = self._sa
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise StoreError(f"not a database URL: {url!r}; such as sqlite:///predictions.db") from None
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        if not self._is_sqlite and parsed.get_backend_name() != "postgresql":
            raise StoreError(
                f"{parsed.get_backend_name()} is not supported: sqlite:///FILE or postgresql+psycopg://..."
            )
        try:
            self._engine = self._make_engine(parsed)
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError) and error.name == parsed.get_driver_name():
                raise StoreError(f"the driver of {parsed.drivername} is missing: pip install {error.name}") from None
            raise StoreError(f"the driver of {parsed.drivername} cannot be imported: {_extras.cause(error)}") from None
        except sa.exc.NoSuchModuleError as error:
            raise StoreError(f"SQLAlchemy has no such driver: {error}") from None
        self._tables = Tables(sa)
        self._has_tables = False
        self._class_sets: dict[str, tuple[str, ...]] = {}

    def open(self) -> None:
        """Makes the missing tables.

        Raises:
            StoreError: The database cannot be reached, or the file is not a database.
        """
        with self._writing():
            pass

    def write(self, rows: Sequence[StoredPrediction]) -> list[LabelOutcome]:
        """Stores new predictions and joins the labels that waited for them; a known id is left as it is."""
        outcomes: list[LabelOutcome] = []
        with self._writing() as connection:
            for start in range(0, len(rows), _CHUNK):
                outcomes += self._write_chunk(connection, rows[start : start + _CHUNK])
        return outcomes

    def _write_chunk(self, connection: sa.Connection, chunk: Sequence[StoredPrediction]) -> list[LabelOutcome]:
        tables = self._tables
        rows = {item.prediction.id: item.columns() for item in reversed(chunk)}
        sets = {item.class_key: item.class_names for item in chunk if item.class_names is not None}
        moments = {name: item.prediction.predicted_at for item in chunk for name, _ in item.aliases}
        leads = {name: target for item in reversed(chunk) for name, target in item.aliases if name not in rows}
        self._put(connection, tables.predictions, list(rows.values()))
        self._put(connection, tables.classes, [{"id": key, "names": names} for key, names in sets.items()])
        self._put(
            connection,
            tables.aliases,
            [{"id": name, "leads_to": to, "predicted_at": moments[name]} for name, to in leads.items()],
        )
        waiting = self._find(connection, tables.waiting, [*rows, *leads])
        if not waiting:
            return []
        labels = sorted((StoredLabel(*row) for row in waiting.values()), key=lambda label: label.labeled_at)
        outcomes = join(labels, self._known(connection, labels, leads), leads, {})
        self._set_labels(connection, outcomes)
        over = [row.id for row in waiting.values() if leads.get(row.id, row.id) is not None]
        connection.execute(tables.waiting.delete().where(tables.waiting.c.id.in_(over)))
        return outcomes

    def label(self, labels: Sequence[StoredLabel]) -> list[LabelOutcome]:
        """Joins each label with its prediction, or lets it wait; returns which, with the prediction if it is known.

        The transaction excludes all other writers, so that nothing it has read changes before it is committed.
        """
        with self._writing() as connection:
            known = self._known(connection, labels, {})
            others = [label.id for label in labels if label.id not in known]
            leads = {name: row.leads_to for name, row in self._find(connection, self._tables.aliases, others).items()}
            if leads:
                known.update(self._known(connection, [label for label in labels if label.id in leads], leads))
            places = [*others, *(target for target in leads.values() if target is not None)]
            waiting = {name: row.label for name, row in self._find(connection, self._tables.waiting, places).items()}
            outcomes = join(labels, known, leads, waiting)
            self._set_labels(connection, outcomes)
            new = [item.label for item in outcomes if item.state == "waiting"]
            if new:
                connection.execute(self._tables.waiting.insert(), [label._asdict() for label in new])
        return outcomes

    def _declared(self, connection: sa.Connection, key: str | None) -> tuple[str, ...] | None:
        """Returns the declared classes stored under a key."""
        if key is None:
            return None
        if key not in self._class_sets:
            row = self._find(connection, self._tables.classes, [key]).get(key)
            if row is None:
                return None
            if len(self._class_sets) >= _CLASS_SETS_KEPT:
                self._class_sets.clear()
            self._class_sets[key] = tuple(json.loads(row.names))
        return self._class_sets[key]

    def _known(
        self, connection: sa.Connection, labels: Sequence[StoredLabel], leads: dict[str, str | None]
    ) -> dict[str, KnownPrediction]:
        """Returns the predictions that the labels are for, by their own ids."""
        targets = {leads.get(label.id) or label.id for label in labels}
        return {
            name: KnownPrediction(from_row(row._asdict(), self._declared(connection, row.classes)), row.label)
            for name, row in self._find(connection, self._tables.predictions, list(targets)).items()
        }

    def labelled(
        self, start: float, end: float, *, model: str, version: str | None, by: str
    ) -> list[tuple[LoggedPrediction, StoredLabel]]:
        """Returns the labelled predictions of a model with ``start <= moment < end``; their classes are not read."""
        table = self._tables.predictions
        query = table.select().where(table.c.label.is_not(None)).order_by(table.c[by])
        windowed = self._windowed(query, start, end, model=model, version=version, by=by)
        with self._connected() as connection:
            rows = connection.execute(windowed).all()
        return [(from_row(row._asdict()), StoredLabel(row.id, row.label, row.number, row.labeled_at)) for row in rows]

    def count(self, start: float, end: float, *, model: str, version: str | None) -> int:
        """Predictions of a model made in the window, labelled or not."""
        query = self._sa.select(self._sa.func.count()).select_from(self._tables.predictions)
        windowed = self._windowed(query, start, end, model=model, version=version, by="predicted_at")
        with self._connected() as connection:
            return int(connection.execute(windowed).scalar_one())

    def expire(self, before: float) -> int:
        """Deletes predictions and waiting labels older than a moment; returns how many."""
        tables = self._tables
        with self._writing() as connection:
            gone = [
                connection.execute(table.delete().where(table.c[moment] < before)).rowcount
                for table, moment in (
                    (tables.predictions, "predicted_at"),
                    (tables.waiting, "labeled_at"),
                    (tables.aliases, "predicted_at"),
                )
            ]
        return int(gone[0] + gone[1])

    def close(self) -> None:
        self._engine.dispose()

    def forget_connections(self) -> None:
        """In a forked child: drops the parent's connections without touching them, not even to close them."""
        self._engine.dispose(close=False)

    def _find(self, connection: sa.Connection, table: sa.Table, ids: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for start in range(0, len(ids), _CHUNK):
            query = table.select().where(table.c.id.in_(ids[start : start + _CHUNK]))
            found.update((row.id, row) for row in connection.execute(query))
        return found

    def _put(self, connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        """Inserts new rows; a row with a known id stays as it is."""
        if rows:
            connection.execute(self._insert(table).on_conflict_do_nothing(index_elements=["id"]), rows)

    def _set_labels(self, connection: sa.Connection, outcomes: Iterable[LabelOutcome]) -> None:
        """Writes the labels that were joined."""
        labels = [item.label for item in outcomes if item.state == "matched"]
        if labels:
            table = self._tables.predictions
            update = table.update().where(table.c.id == self._sa.bindparam("name"))
            values = [
                {"name": label.id, "label": label.label, "number": label.number, "labeled_at": label.labeled_at}
                for label in labels
            ]
            connection.execute(update, values)

    def _windowed(  # noqa: PLR0913
        self, query: Any, start: float, end: float, *, model: str, version: str | None, by: str
    ) -> Any:
        table = self._tables.predictions
        query = query.where(table.c.model == model, table.c[by] >= start, table.c[by] < end)
        return query if version is None else query.where(table.c.version == version)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._connected() as connection:
            if self._is_sqlite:
                # the lock is taken at the start: a read that becomes a write later would fail instead of waiting
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(self._sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            if not self._has_tables:
                self._tables.create(connection)
            yield connection
            connection.commit()
            self._has_tables = True

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """A connection that is rolled back unless committed; no spans of an instrumented SQLAlchemy."""
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            with self._engine.connect() as connection:
                yield connection
        except self._sa.exc.SQLAlchemyError as error:
            place = self._engine.url.render_as_string(hide_password=True)
            transient = (self._sa.exc.OperationalError, self._sa.exc.InterfaceError, self._sa.exc.TimeoutError)
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise StoreError(
                f"prediction store {place}: {reason}", is_transient=isinstance(error, transient)
            ) from error
        finally:
            detach(token)

    def _make_engine(self, url: sa.URL) -> sa.Engine:
        create_engine, listen = self._sa.create_engine, self._sa.event.listen
        if not self._is_sqlite:
            pooled: sa.Engine = create_engine(
                url, pool_size=2, max_overflow=4, pool_pre_ping=True, pool_timeout=BUSY_SECONDS
            )
            return pooled
        if url.database in {None, "", ":memory:"}:
            raise StoreError("the prediction store must be a file, such as sqlite:///predictions.db")
        engine: sa.Engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})
        listen(engine, "connect", _prepare_sqlite)
        return engine

    def _insert(self, table: sa.Table) -> Any:
        if self._is_sqlite:
            from sqlalchemy.dialects.sqlite import insert as sqlite_insert

            return sqlite_insert(table)
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(table)


def _sqlalchemy() -> Any:
    try:
        return _extras.load("sqlalchemy", "ground-truth", package="SQLAlchemy")
    except ImportError as error:
        raise StoreError(str(error)) from error


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
