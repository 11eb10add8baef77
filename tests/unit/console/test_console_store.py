"""The file and the queue before it: bounds, restarts, failures, the account of every record."""

from __future__ import annotations

import pytest
from console_feed import counter, label, logs, metrics, now, prediction, record, span, traces

from otel_ml.console._options import ConsoleError, Options
from otel_ml.console.receiving._ingest_queue import IngestQueue
from otel_ml.console.receiving._log_rows import log_rows
from otel_ml.console.receiving._metric_rows import metric_rows
from otel_ml.console.receiving._otlp_http import SIGNALS as WIRE
from otel_ml.console.storage._store import SCHEMA_VERSION, Database, DatabaseError
from otel_ml.console.storage._tables import SIGNALS, TABLES, columns

HOUR = 3_600_000_000_000


def decode(signal, message, received_ns=None):
    return WIRE[signal].rows(message, received_ns or now())


@pytest.fixture
def store():
    opened = Database.open(Options())
    yield opened
    opened.close()


def test_every_table_has_key_signal_and_bookkeeping_columns():
    """Each table has its key, its signal, and the columns that retention needs."""
    assert set(TABLES) == set(SIGNALS)
    for table in TABLES:
        needed = {"key": "UUID", "received_ns": "BIGINT", "bytes": "BIGINT"}
        assert needed.items() <= columns(table).items()


def test_rows_are_bounded():
    """A table over its limit loses its oldest arrivals and counts them as expired."""
    store = Database.open(Options(max_rows=100))
    for index in range(3):
        lines = logs(*[record(f"line {index} {row}") for row in range(60)])
        store.insert(decode("logs", lines, now() + index).rows)
    assert store.is_over_limit()
    store.sweep(now())
    assert (store.stored()["logs"], store.expired()["logs"], store.is_over_limit()) == (95, 85, False)
    with store.cursor() as cursor:
        assert cursor.execute("select min(received_ns) from logs").fetchone() == (now() + 1,)
    store.close()


def test_bytes_are_bounded():
    """A table of a few huge records is cut by their size."""
    store = Database.open(Options(max_table_bytes=1_000_000))
    for index in range(4):
        store.insert(decode("logs", logs(record("x" * 400_000 + str(index))), now() + index).rows)
    store.sweep(now())
    assert store.stored()["logs"] == 2
    store.close()


def test_age_is_bounded(store):
    """Records that arrived longer ago than the retention are deleted, whatever time they claim."""
    store.insert(decode("logs", logs(record("old", at=2**63)), now() - 80 * HOUR).rows)
    store.insert(decode("logs", logs(record("new", at=1)), now() - HOUR).rows)
    store.sweep(now())
    with store.cursor() as cursor:
        assert cursor.execute("select body from logs").fetchall() == [("new",)]


def test_a_closed_store_refuses_and_closes_twice(store):
    """A write that fails raises the store's own error; closing twice is fine."""
    store.close()
    with pytest.raises(DatabaseError):
        store.insert(decode("logs", logs(record("late"))).rows)
    store.close()


def test_a_file_is_read_back_after_a_restart(tmp_path):
    """A reopened file has its records, and a second delivery is still recognised."""
    options = Options(database=str(tmp_path / "new" / "console.duckdb"))
    for expected in ({"predictions": 1}, {"predictions": 0}):
        store = Database.open(options)
        assert store.insert(decode("logs", logs(prediction())).rows) == expected
        store.close()


def test_other_keys_need_another_version_of_the_file():
    """A service goes on while its console is upgraded: under a new key all that its counters had counted was added again."""
    at = 1_800_000_000 * 10**9
    (point,) = metric_rows(metrics(counter(5, attributes={"a": 1}, at=at, start=at - 10**9)), at).rows["points"]
    (line,) = log_rows(logs(record("text", at=at)), at).rows["logs"]
    assert (SCHEMA_VERSION, point.series, point.key, line.key) == (
        4,
        "018b379db92bfc149243d92695f35b73",
        "e700aefe8c9fdd47214ad0e3154d1e88",
        "6e00b6b436d06cfe2b29da1cc91bde47",
    )


def test_files_that_cannot_be_used_say_why(tmp_path):
    """A file that is not a database or cannot be opened raises one line with the remedy."""
    (tmp_path / "text").write_text("no database " * 1000)
    with pytest.raises(ConsoleError, match="is not a DuckDB file; choose another --database$"):
        Database.open(Options(database=str(tmp_path / "text")))
    with pytest.raises(ConsoleError, match="cannot be opened: .*; choose another --database$"):
        Database.open(Options(database=str(tmp_path)))
    with pytest.raises(ConsoleError, match="cannot be opened"):
        Database.open(Options(database=str(tmp_path / "text" / "below.duckdb")))


@pytest.mark.parametrize(
    "wrong",
    [{"port": -1}, {"port": 70000}, {"retention_hours": 0}, {"retention_hours": float("nan")}, {"max_rows": 0}],
)
def test_wrong_options_are_refused(wrong):
    """A setting out of range is refused with its name and what is expected."""
    with pytest.raises(ConsoleError, match="expected"):
        Options(**wrong)


def test_every_record_is_counted(store):
    """received = refused + busy + stored + duplicates + dropped + queued, for all signals together and each."""
    ingest = IngestQueue(store, Options(max_pending_records=4))
    ingest.start()
    for _ in range(2):
        assert ingest.offer(decode("traces", traces(span(), span(own="00" * 8))))
        assert ingest.flush(240)
        assert ingest.offer(decode("metrics", metrics(counter(1))))
        assert ingest.flush(240)
        assert ingest.offer(decode("logs", logs(prediction(), label(), record("line"))))
        assert ingest.flush(240)
    assert ingest.close()
    assert not ingest.offer(decode("traces", traces(span())))
    status = ingest.status()
    for counts in (status, *status["signals"].values()):
        parts = ("refused", "busy", "stored", "duplicates", "dropped", "queued")
        assert counts["received"] == sum(counts[part] for part in parts)
    assert (status["stored"], status["duplicates"], status["refused"], status["busy"]) == (5, 5, 2, 1)


def test_close_writes_all_queued_records(store):
    """All accepted records are written before the writer ends; closing twice or before the start is allowed."""
    ingest = IngestQueue(store, Options())
    for index in range(50):
        assert ingest.offer(decode("logs", logs(record(f"line {index}"))))
    ingest.start()
    assert ingest.close()
    assert ingest.close()
    assert store.stored()["logs"] == 50
    assert IngestQueue(store, Options()).close()


def test_a_request_larger_than_the_queue_is_accepted_alone(store):
    """A request with more records than the queue holds is accepted only if the queue is empty."""
    ingest = IngestQueue(store, Options(max_pending_records=2))
    big = logs(*[record(f"line {index}") for index in range(9)])
    assert ingest.offer(decode("logs", big))
    assert not ingest.offer(decode("logs", logs(record("one more"))))


class BrokenDatabase(Database):
    """A store that cannot write some bodies, or nothing at all."""

    poison: str | None = None

    def insert(self, rows):
        if self.poison is None or any(row.body == self.poison for some in rows.values() for row in some):
            raise DatabaseError("disk full")
        return super().insert(rows)


@pytest.mark.parametrize(("poison", "stored", "dropped"), [("bad", 4, 1), (None, 0, 5)])
def test_rows_that_cannot_be_written_are_counted(poison, stored, dropped):
    """A row that fails is dropped alone, counted, and the cause is shown."""
    store = BrokenDatabase.open(Options())
    store.poison = poison
    ingest = IngestQueue(store, Options())
    ingest.start()
    assert ingest.offer(decode("logs", logs(*[record(body) for body in ("a", "b", "bad", "c", "d")])))
    assert ingest.flush(240)
    status = ingest.status()
    assert (status["stored"], status["dropped"], status["last_error"]) == (stored, dropped, "disk full")
    ingest.close()
    store.close()


def test_the_writer_enforces_the_row_limit():
    """The writer enforces the row limit without waiting for the next sweep."""
    options = Options(max_rows=100)
    store = Database.open(options)
    ingest = IngestQueue(store, options, clock=lambda: now())
    ingest.start()
    for index in range(10):
        ingest.offer(decode("logs", logs(*[record(f"{index} {row}") for row in range(50)])))
    assert ingest.close()
    assert store.stored()["logs"] <= 100
    assert store.stored()["logs"] + store.expired()["logs"] == 500
    store.close()


def test_a_request_is_written_only_if_all_of_its_rows_are():
    """The sender is told whether its rows are in the file; a request without rows is done at once."""
    store = BrokenDatabase.open(Options())
    store.poison = "bad"
    ingest = IngestQueue(store, Options())
    requests = [decode("logs", logs(record(body))) for body in ("good", "bad")]
    empty = decode("logs", logs())
    for request in (*requests[:1], empty):
        assert ingest.offer(request)
    assert (empty.written.result(0), requests[0].written.done()) == (True, False)
    ingest.start()
    assert requests[0].written.result(30)
    assert ingest.offer(requests[1])
    assert not requests[1].written.result(30)
    ingest.close()
    store.close()
