"""The two tables behind the join of predictions and labels, on SQLite or PostgreSQL, through SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from otel_ml.ground_truth._records import Joined, State, StoredLabel, StoredPrediction

if TYPE_CHECKING:
    import sqlalchemy as sa

BUSY_SECONDS: Final = 10
"""How long one process waits for another one's write to the same SQLite file."""
_LOCK_KEY: Final = 0x07E1_0001
"""Advisory lock under which PostgreSQL writes one transaction at a time, as SQLite does by itself."""
_CHUNK: Final = 500


class StoreError(RuntimeError):
    """The store cannot be used; the text says why and what to do."""

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        """Whether the same may succeed later: the database is locked, full or unreachable."""


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
            raise StoreError(f"the driver of {parsed.drivername} is missing: pip install {error.name}") from None
        except sa.exc.NoSuchModuleError as error:
            raise StoreError(f"SQLAlchemy has no such driver: {error}") from None
        self._make_tables()

    def open(self) -> None:
        """Makes the tables where they are missing.

        Raises:
            StoreError: The database cannot be reached or is not one.
        """
        with self._writing() as connection:
            self._metadata.create_all(connection)

    def write(self, predictions: Sequence[StoredPrediction]) -> list[Joined]:
        """Stores new predictions and joins those whose label is already waiting; an id that is known is left alone."""
        joined: list[Joined] = []
        with self._writing() as connection:
            for start in range(0, len(predictions), _CHUNK):
                chunk = {prediction.id: prediction for prediction in reversed(predictions[start : start + _CHUNK])}
                insert = self._insert(self._predictions).on_conflict_do_nothing(index_elements=["id"])
                connection.execute(insert, [prediction._asdict() for prediction in chunk.values()])
                waiting = self._found(connection, self._waiting, list(chunk))
                if waiting:
                    known = self._found(connection, self._predictions, list(waiting))
                    fresh = [
                        Joined(_prediction(known[name]), StoredLabel(*row))
                        for name, row in waiting.items()
                        if known[name].label is None
                    ]
                    self._set_labels(connection, [pair.label for pair in fresh])
                    connection.execute(self._waiting.delete().where(self._waiting.c.id.in_(list(waiting))))
                    joined.extend(fresh)
        return joined

    def label(self, labels: Sequence[StoredLabel]) -> list[tuple[State, StoredPrediction | None]]:
        """Joins each label with its prediction or lets it wait; says which, and names the prediction if it is known.

        The transaction excludes all other writers, so that what it has read stays true until it is committed.
        """
        states: list[tuple[State, StoredPrediction | None]] = []
        joined: list[StoredLabel] = []
        new: list[StoredLabel] = []
        with self._writing() as connection:
            ids = [label.id for label in labels]
            known = self._found(connection, self._predictions, ids)
            first = {name: row.label for name, row in known.items() if row.label is not None}
            first.update({name: row.label for name, row in self._found(connection, self._waiting, ids).items()})
            for label in labels:
                prediction = _prediction(known[label.id]) if label.id in known else None
                if label.id in first:
                    states.append((_repeated(first[label.id], label), prediction))
                    continue
                first[label.id] = label.label
                (new if prediction is None else joined).append(label)
                states.append(("waiting" if prediction is None else "matched", prediction))
            self._set_labels(connection, joined)
            if new:
                connection.execute(self._waiting.insert(), [label._asdict() for label in new])
        return states

    def labelled(
        self, start: float, end: float, *, model: str, version: str | None, by: str
    ) -> list[tuple[StoredPrediction, StoredLabel]]:
        """The labelled predictions of a model with ``start <= moment < end``."""
        table = self._predictions
        query = table.select().where(table.c.label.is_not(None)).order_by(table.c[by])
        windowed = self._windowed(query, start, end, model=model, version=version, by=by)
        with self._connected() as connection:
            rows = connection.execute(windowed).all()
        return [(_prediction(row), StoredLabel(row.id, row.label, row.number, row.labeled_at)) for row in rows]

    def count(self, start: float, end: float, *, model: str, version: str | None) -> int:
        """Predictions of a model made in the window, labelled or not."""
        query = self._sa.select(self._sa.func.count()).select_from(self._predictions)
        windowed = self._windowed(query, start, end, model=model, version=version, by="predicted_at")
        with self._connected() as connection:
            return int(connection.execute(windowed).scalar_one())

    def expire(self, before: float) -> int:
        """Deletes predictions and waiting labels older than a moment; returns how many."""
        table, waiting = self._predictions, self._waiting
        with self._writing() as connection:
            gone = connection.execute(table.delete().where(table.c.predicted_at < before)).rowcount
            return int(gone + connection.execute(waiting.delete().where(waiting.c.labeled_at < before)).rowcount)

    def close(self) -> None:
        self._engine.dispose()

    def forget_connections(self) -> None:
        """In a forked child: the parent's connections are not to be touched, not even to close them."""
        self._engine.dispose(close=False)

    def _found(self, connection: sa.Connection, table: sa.Table, ids: Sequence[str]) -> dict[str, Any]:
        return {row.id: row for row in connection.execute(table.select().where(table.c.id.in_(ids)))}

    def _set_labels(self, connection: sa.Connection, labels: Sequence[StoredLabel]) -> None:
        if labels:
            table = self._predictions
            update = table.update().where(table.c.id == self._sa.bindparam("name"))
            values = [
                {"name": label.id, "label": label.label, "number": label.number, "labeled_at": label.labeled_at}
                for label in labels
            ]
            connection.execute(update, values)

    def _windowed(  # noqa: PLR0913
        self, query: Any, start: float, end: float, *, model: str, version: str | None, by: str
    ) -> Any:
        table = self._predictions
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
            yield connection
            connection.commit()

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

    def _make_tables(self) -> None:
        sa = self._sa
        self._metadata = sa.MetaData()
        number = sa.Double()
        self._predictions = sa.Table(
            "otel_ml_predictions",
            self._metadata,
            sa.Column("id", sa.Text, primary_key=True),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("model", "version", "role", "task")),
            sa.Column("positive", sa.Text),
            sa.Column("predicted_at", number, nullable=False),
            sa.Column("predicted", sa.Text),
            sa.Column("value", number),
            sa.Column("score", number),
            sa.Column("trace_id", sa.Text, nullable=False),
            sa.Column("span_id", sa.Text, nullable=False),
            sa.Column("sampled", sa.Boolean, nullable=False),
            sa.Column("label", sa.Text),
            sa.Column("number", number),
            sa.Column("labeled_at", number),
            sa.Index("otel_ml_predictions_predicted_at", "model", "predicted_at"),
            sa.Index("otel_ml_predictions_labeled_at", "model", "labeled_at"),
        )
        self._waiting = sa.Table(
            "otel_ml_waiting_labels",
            self._metadata,
            sa.Column("id", sa.Text, primary_key=True),
            sa.Column("label", sa.Text, nullable=False),
            sa.Column("number", number),
            sa.Column("labeled_at", number, nullable=False),
        )


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError:
        raise StoreError("SQLAlchemy is missing: pip install 'otel-ml[ground-truth]'") from None
    return sqlalchemy


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _repeated(earlier: str, label: StoredLabel) -> State:
    return "duplicate" if earlier == label.label else "revised"


def _prediction(row: Any) -> StoredPrediction:
    return StoredPrediction(*(getattr(row, name) for name in StoredPrediction._fields))
