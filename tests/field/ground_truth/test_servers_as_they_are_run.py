"""A PostgreSQL server restarts, changes its role, breaks connections and limits rights: nothing is lost, nothing counts twice.

Sources: cloudnative-pg/cloudnative-pg#1254 and keycloak/keycloak#22422 (after a failover the pool keeps connections to a
server that has become read-only), dotnet/efcore#22904 and get-convex/convex-backend#559 (the answer to COMMIT is lost, and
a retry does it again), mlflow/mlflow#1675 and #4196 (connections that a restart broke), IQSS/dataverse#9717 (no right to
create tables), langchain-ai/langchain#26033 and Arize-ai/phoenix#9123 (a NUL character costs the batch),
psycopg/psycopg#280 (prepared statements behind PgBouncer).
"""

from __future__ import annotations

import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from postgresql_server import Server

import otel_ml
from otel_ml import _guard
from otel_ml.testing import InMemoryTelemetry


class Service:
    """A model whose predictions go to a store, which counts and exports its labels."""

    def __init__(self, url: str, kit: InMemoryTelemetry) -> None:
        self.truth = otel_ml.GroundTruth(url)
        self._model = otel_ml.Model("m", "1", task="binary", classes=[0, 1], ground_truth=self.truth)
        self._kit = kit

    def predict(self, *ids: str) -> None:
        for name in ids:
            self._model.record({}, prediction=1, id=name)

    def counted(self) -> dict[str, int]:
        """The labels as they are exported, by state."""
        points = self._kit.metrics().get("ml.eval.labels", [])
        found = {point["attributes"]["ml.eval.label.state"]: point["value"] for point in points}
        return {state: count for state, count in found.items() if count}

    def stored(self) -> tuple[int, dict[str, int]]:
        account = self.truth.account()
        return account.stored, account.refused


@pytest.fixture
def kit() -> Iterator[InMemoryTelemetry]:
    """Here the store has errors, which are counted."""
    with InMemoryTelemetry() as made:
        yield made
    _guard.reset()


@pytest.fixture
def serve(kit: InMemoryTelemetry) -> Iterator[Callable[[str], Service]]:
    made: list[Service] = []

    def start(url: str) -> Service:
        made.append(Service(url, kit))
        return made[-1]

    yield start
    for service in made:
        service.truth.close()


@pytest.fixture
def schema(postgresql: Server) -> str:
    return postgresql.new_schema()


@contextmanager
def locked(server: Server, schema: str) -> Iterator[Callable[[], int]]:
    """Holds the lock of the writers; gives a function that returns the process of the next one that waits for it."""
    with server.connect() as holder:
        holder.execute(f"SET search_path = {schema}")
        holder.execute("SELECT pg_advisory_lock(132186113, hashtext(current_schema()))")

        def waiting() -> int:
            while True:
                found = holder.execute(
                    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                ).fetchone()
                if found:
                    return int(found[0])

        yield waiting


def test_a_restart_between_two_calls_is_not_noticed(
    serve: Callable[[str], Service], schema: str, postgresql: Server
) -> None:
    """The connections of the pool are broken; new ones are made."""
    service = serve(postgresql.url(schema))
    service.predict("a", "b")
    service.truth.flush()

    for name, restart in (("a", postgresql.stop), ("b", postgresql.kill)):
        restart()
        postgresql.start()
        assert service.truth.record_label(name, 1) == "matched"

    assert service.counted() == {"matched": 2}


@pytest.mark.parametrize("several", [False, True])
def test_a_connection_that_breaks_in_a_transaction_costs_no_label(
    serve: Callable[[str], Service], schema: str, postgresql: Server, several: bool
) -> None:
    """The transaction is repeated on another connection."""
    service = serve(postgresql.url(schema))
    service.predict("a")
    service.truth.flush()
    states: list[Any] = []
    labels = {"a": 1}

    def label() -> None:
        states.append(service.truth.record_labels(labels) if several else service.truth.record_label("a", 1))

    with locked(postgresql, schema) as waiting:
        thread = threading.Thread(target=label)
        thread.start()
        postgresql.execute(f"SELECT pg_terminate_backend({waiting()})")
        waiting()
    thread.join()

    assert states == ([{"matched": 1}] if several else ["matched"])
    assert (service.truth.account().failed, service.counted()) == ({}, {"matched": 1})


class Proxy:
    """Passes connections on to a server, and can break the next one at its COMMIT.

    Args:
        server: The server.
        folder: For the socket.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.breaks = ""
        """``before`` the COMMIT reaches the server, or ``after``: then nobody hears the answer."""
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=self._pass_on, args=(self._listener.accept()[0],))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._server.folder / ".s.PGSQL.5432"))
            others = {client: server, server: client}
            while True:
                for source in select.select(list(others), [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is client and self.breaks and b"COMMIT\0" in data:
                        breaks, self.breaks = self.breaks, ""
                        if breaks == "after":
                            server.sendall(data)
                            server.recv(1 << 16)
                        return
                    others[source].sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def proxy(postgresql: Server) -> Iterator[tuple[Proxy, Path]]:
    """A proxy, and the folder of its socket."""
    with tempfile.TemporaryDirectory(prefix="otel-ml-") as folder:
        made = Proxy(postgresql, Path(folder))
        yield made, Path(folder)
        made.close()


@pytest.mark.parametrize("breaks", ["before", "after"])
def test_a_commit_without_an_answer_counts_once(
    serve: Callable[[str], Service], schema: str, postgresql: Server, proxy: tuple[Proxy, Path], breaks: str
) -> None:
    """Whether the server has committed or not: predictions are stored once, and labels are counted once."""
    service = serve(postgresql.url(schema, folder=proxy[1]))
    service.truth.record_label("b", 0)
    proxy[0].breaks = breaks
    service.predict("a", "b")
    assert service.truth.flush(30)
    assert not proxy[0].breaks
    assert (service.stored(), service.counted()) == ((2, {}), {"waiting": 1, "matched": 1})
    proxy[0].breaks = breaks
    assert service.truth.record_label("a", 1) == "matched"
    proxy[0].breaks = breaks
    assert service.truth.record_labels({"b": 1}) == {"revised": 1}

    assert not proxy[0].breaks
    assert service.counted() == {"waiting": 1, "matched": 2, "revised": 1}
    found = service.truth.compute_metrics(0, 4e9, model="m", by="predicted_at")
    assert (found["predicted"], found["labelled"], found["accuracy"]) == (2, 2, 1.0)
    assert (_guard.counts().get("ground_truth.write", 0), _guard.counts().get("ground_truth.label", 0)) == (
        int(breaks == "before"),
        0,
    )
    service.truth.close()


def test_a_transaction_that_a_crash_has_wiped_out_was_not_committed(
    serve: Callable[[str], Service], schema: str, postgresql: Server
) -> None:
    """The server does not know its id any more, and says so with an error."""
    database = serve(postgresql.url(schema)).truth._database

    assert database._was_committed("1099511627776") is False


def test_after_a_failover_nothing_is_lost(serve: Callable[[str], Service], schema: str, postgresql: Server) -> None:
    """While the server only reads, predictions wait; then they are stored on connections that may write."""
    role = f"{schema}_service"
    postgresql.execute(f"CREATE ROLE {role} LOGIN", f"GRANT ALL ON SCHEMA {schema} TO {role}")
    service = serve(postgresql.url(schema, user=role))
    service.predict("a")
    assert service.truth.flush(30)
    postgresql.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")

    service.predict("b")
    assert not service.truth.flush(0.2)
    assert service.truth.record_label("a", 1) == "failed"
    postgresql.execute(f"ALTER ROLE {role} RESET default_transaction_read_only")
    assert service.truth.flush(30)
    assert service.truth.record_labels({"a": 1, "b": 0}) == {"matched": 2}
    assert service.stored() == (2, {})
    assert service.truth.account().failed == {"store": 1}


def test_a_snapshot_taken_before_the_lock_misses_nothing(
    serve: Callable[[str], Service], schema: str, postgresql: Server
) -> None:
    """Where the default is serializable, a writer sees what was committed while it waited for the others."""
    service = serve(postgresql.url(schema, options="-cdefault_transaction_isolation=serializable"))
    with locked(postgresql, schema) as waiting:
        service.predict("a")
        waiting()
        postgresql.execute(
            f"INSERT INTO {schema}.otel_ml_waiting_labels (id, label, label_key, labeled_at, model) VALUES ('a', '1', '1', 1, '')"
        )
    assert service.truth.flush(30)

    assert service.counted() == {"matched": 1}


def test_a_statement_that_takes_too_long_is_repeated(
    serve: Callable[[str], Service], schema: str, postgresql: Server
) -> None:
    """The database may limit statements: a wait for the other writers that it ends costs no row and no label."""
    service = serve(postgresql.url(schema, options="-cstatement_timeout=100"))
    states: list[Any] = []
    thread = threading.Thread(target=lambda: states.append(service.truth.record_labels({"a": 1})))
    with locked(postgresql, schema) as waiting:
        service.predict("a")
        thread.start()
        first = waiting()
        postgresql.execute(f"SELECT pg_cancel_backend({first})")
    thread.join()

    assert service.truth.flush(30)
    assert (service.stored(), sum(states[0].values()), service.counted()["matched"]) == ((1, {}), 1, 1)


def test_no_statement_is_prepared(serve: Callable[[str], Service], schema: str, postgresql: Server) -> None:
    """A pooler may give each transaction another connection, which does not know the statements of the last one."""
    service = serve(postgresql.url(schema).replace("+psycopg", ""))
    for number in range(20):
        service.predict(f"p{number}")
        service.truth.record_label(f"p{number}", 1)
        service.truth.flush(30)

    with service.truth._database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar() == 0


def test_a_writer_finds_rows_by_their_key(serve: Callable[[str], Service], schema: str, postgresql: Server) -> None:
    """It may not scan a table that has grown since its statistics were made; a reader may, and so may the next user."""
    database = serve(postgresql.url(schema)).truth._database
    for access, expected in ((database.writing, "off"), (database.reading, "on")):
        with access() as connection:
            for name in ("seqscan", "hashjoin", "mergejoin"):
                assert connection.exec_driver_sql(f"SHOW enable_{name}").scalar() == expected


def test_stores_of_two_schemas_do_not_wait_for_each_other(
    serve: Callable[[str], Service], schema: str, postgresql: Server
) -> None:
    """One writer at a time is a rule of each store, not of the database."""
    with locked(postgresql, schema):
        service = serve(postgresql.url(postgresql.new_schema()))
        service.predict("a")

        assert service.truth.flush(30)


def test_the_least_rights_suffice(serve: Callable[[str], Service], schema: str, postgresql: Server) -> None:
    """A role that may not create tables writes into those that are there, and one that may only read computes figures."""
    for role, rights in ((f"{schema}_writer", "SELECT, INSERT, UPDATE, DELETE"), (f"{schema}_reader", "SELECT")):
        postgresql.execute(f"CREATE ROLE {role} LOGIN", f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        if role.endswith("writer"):
            with pytest.raises(otel_ml.ground_truth.StoreError, match=f"permission denied for schema {schema}"):
                otel_ml.GroundTruth(postgresql.url(schema, user=role))
            otel_ml.GroundTruth(postgresql.url(schema)).close()
        postgresql.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role}")
    service = serve(postgresql.url(schema, user=f"{schema}_writer"))
    service.predict("a")
    assert service.truth.record_label("early", 1) == "waiting"
    service.truth.flush()
    assert service.truth.record_label("a", 1) == "matched"

    reader = otel_ml.GroundTruth(postgresql.url(schema, user=f"{schema}_reader"), read_only=True)
    assert reader.compute_metrics(0, 4e9, model="m")["accuracy"] == 1.0
    reader.close()


def test_tables_that_somebody_dropped_are_made_again(
    serve: Callable[[str], Service], schema: str, postgresql: Server
) -> None:
    """What is predicted afterwards is stored."""
    service = serve(postgresql.url(schema))
    postgresql.execute(f"DROP SCHEMA {schema} CASCADE", f"CREATE SCHEMA {schema}")
    service.predict("a", "b")

    assert service.truth.flush(30)
    assert service.truth.record_labels({"a": 1, "b": 1}) == {"matched": 2}


@pytest.mark.parametrize(
    "text",
    ["a\x00b", "a\ud800b", "\ud83d\ude00", "{}", "%s", "\\", "'", "x" * 5000],
    ids=["nul", "surrogate", "pair", "braces", "mark", "backslash", "quote", "long"],
)
def test_any_text_is_stored_and_found(
    telemetry: InMemoryTelemetry, store_url: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As an id, a class or a label: the row is stored with its neighbours."""
    truth = otel_ml.GroundTruth(store_url)
    model = otel_ml.Model("m", "1", ground_truth=truth)
    ids = [f"{text}{number}"[-256:] for number in range(2)]
    model.record([{}, {}, {}], prediction=[text, "b", text], id=[ids[0], ids[1], "c"], batch=True)
    assert truth.flush(30)

    assert truth.record_labels([(ids[0], text), (ids[1], "b"), ("c", text), (text, text)]) == {
        "matched": 3,
        "waiting": 1,
    }
    assert truth.compute_metrics(0, 4e9, model="m")["accuracy"] == 1.0
    assert truth.account().refused == {}
    truth.close()
