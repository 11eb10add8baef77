"""The store under load, in several processes, and when it fails."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from postgresql_server import only_sqlite
from truth_rows import LOGGED, join, log

from otel_ml import _guard
from otel_ml.ground_truth import GroundTruth, StoreError
from otel_ml.ground_truth._writer import BatchWriter
from otel_ml.ground_truth.storage import _expiry
from otel_ml.ground_truth.storage._retry import Retry
from otel_ml.ground_truth.storage._rows import read_rows

ROOT = Path(__file__).parents[3]

LABELLER = """
import sys
from otel_ml.ground_truth import GroundTruth
truth = GroundTruth(sys.argv[1])
print(truth.record_labels((f"p{position}", 1) for position in range(400)).get("matched", 0))
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def output_of(process):
    with process:
        found = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return found


def test_each_label_is_joined_once_over_all_processes(truth, emitted, url):
    """Three processes record the same 400 labels while a fourth writes the predictions."""
    labellers = [start(LABELLER, url) for _ in range(3)]
    for position in range(400):
        log(truth, f"p{position}")
    assert truth.flush(30)
    elsewhere = sum(int(output_of(process)) for process in labellers)
    assert truth.flush(30)
    here = emitted.metrics()["ml.eval.labels", "fraud", "1", "primary", "matched"]
    assert elsewhere + here == 400
    assert truth.compute_metrics(0, 2e9, model="fraud", by="predicted_at")["count"] == 400


def test_a_forked_child_writes_its_own_predictions_only(truth, url):
    """Only the parent writes what it had queued, and the child's store works."""
    log(truth, "before")
    truth.flush()
    child = os.fork()
    if child == 0:
        log(truth, "child")
        os._exit(0 if truth.flush(10) and truth.record_label("child", 1) == "matched" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log(truth, "parent")
    assert truth.flush()
    assert truth.record_labels((name, 1) for name in ("before", "child", "parent")) == {"matched": 2, "duplicate": 1}


def test_a_child_forked_during_a_write_can_write(truth, url):
    """The fork waits for the transaction of the other thread: the child would take the file for locked, for ever."""
    began = threading.Event()

    def write():
        with truth._database.writing():
            began.set()
            time.sleep(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    began.wait(10)
    child = os.fork()
    if child == 0:
        log(truth, "child")
        os._exit(0 if truth.flush(10) else 1)
    writer.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert truth.record_label("child", 1) == "matched"


def test_predictions_survive_the_process(url):
    """What was logged is written at exit, and another process joins it."""
    code = (
        "import sys; sys.path.insert(0, 'tests/unit/ground_truth'); from truth_rows import log; "
        "from otel_ml.ground_truth import GroundTruth; log(GroundTruth(sys.argv[1]), 'p1')"
    )
    assert output_of(start(code, url)) == ""
    truth = GroundTruth(url)
    assert truth.record_label("p1", 1) == "matched"
    truth.close()


@only_sqlite
def test_a_locked_store_delays_but_loses_nothing(truth, tmp_path, caplog):
    """While another process locks the file, the service is unaffected; then all is written."""
    holder = sqlite3.connect(tmp_path / "predictions.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    for position in range(100):
        log(truth, f"p{position}")
    assert truth.flush(0.2) is False
    holder.execute("ROLLBACK")
    holder.close()
    assert (truth.flush(30), truth.dropped) == (True, 0)
    assert truth.record_labels((f"p{position}", 1) for position in range(100)) == {"matched": 100}


@only_sqlite
def test_a_broken_store_fails_labels_without_raising(truth, tmp_path, caplog):
    """The state is `failed`, and the log says why."""
    truth._database.close()  # a connection that is closed later would write its pages into the file
    (tmp_path / "predictions.db").write_bytes(b"no database" * 1000)
    assert truth.record_label("p1", 1) == "failed"
    assert "labels were not recorded: prediction store sqlite:///" in caplog.text
    with pytest.raises(StoreError, match="not a database"):
        truth.compute_metrics(0, 1, model="fraud")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("predictions.db", "not a database URL"),
        ("sqlite://", "must be a file"),
        ("mysql://localhost/x", "mysql is not supported"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql+none://localhost/x", "postgresql.none"),
    ],
)
def test_a_wrong_url_raises_at_once(url, message):
    """The message names the remedy."""
    with pytest.raises(StoreError, match=message):
        GroundTruth(url)


def test_a_missing_library_names_the_extra(monkeypatch, url):
    """Without SQLAlchemy one line says what to install."""
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(StoreError, match=r"pip install 'otel-ml\[ground-truth\]'"):
        GroundTruth(url)


def test_importing_the_room_needs_no_sqlalchemy():
    """SQLAlchemy is imported when the first store is opened."""
    code = "import sys, otel_ml.ground_truth; print('sqlalchemy' in sys.modules, 'numpy' in sys.modules)"
    assert output_of(start(code)) == "False False\n"


def test_old_rows_expire(url, emitted):
    """With a time to live, predictions and waiting labels are deleted."""
    truth = GroundTruth(url, meter=emitted.meter, logger=emitted.logger, ttl=50, clock=lambda: 1000.0)
    log(truth, "old", predicted_at=949.0)
    log(truth, "new", predicted_at=951.0)
    truth.flush()
    truth.record_labels([("waiting old", 1, 949), ("waiting new", 1, 951)])
    truth._expire()
    assert truth.record_labels([(name, 1) for name in ("old", "new", "waiting old", "waiting new")]) == {
        "waiting": 2,
        "matched": 1,
        "duplicate": 1,
    }
    truth.close()


def test_a_full_queue_drops_and_counts(url, caplog):
    """The caller never waits; one line is logged."""
    _guard.reset()
    truth = GroundTruth(url, queue_size=10)
    truth._writer._start = lambda: None
    for position in range(25):
        log(truth, f"p{position}")
    assert truth.dropped == 15
    (record,) = caplog.records
    assert record.message == (
        "otel-ml: the queue of the prediction store is full: predictions are dropped, not stored; a job waits for room "
        "with record(..., batch=True), or calls flush() of the store from time to time"
    )
    assert (truth.flush(0.01), truth.close(0.01), truth.dropped) == (False, False, 25)


def test_close_is_safe_twice_and_before_the_start(url):
    """A closed store counts further predictions as dropped."""
    truth = GroundTruth(url)
    assert (truth.close(), truth.close()) == (True, True)
    log(truth, "late")
    assert truth.dropped == 1


def rows(*ids):
    """Rows of one model by column."""
    return join(read_rows(LOGGED._replace(id=name)) for name in ids)


def ids_of(batch):
    return [name for each in batch for name in each.ids]


class Refused(list):
    """Reasons and ids of what a writer refused."""

    def __call__(self, reason, batch):
        self.append((reason, ids_of(batch)))


def test_a_row_that_the_store_refuses_takes_no_other_with_it():
    """The writer continues after an unexpected error and counts the dropped rows."""
    _guard.reset()
    written, refused = [], Refused()

    def write(batch):
        if "bad" in ids_of(batch):
            raise RuntimeError("no")
        written.extend(ids_of(batch))
        return []

    writer = BatchWriter(write, size=10, refuse=refused)
    writer.offer(rows("bad"))
    assert writer.flush(10)
    writer.offer(rows("good"))
    assert (writer.flush(10), written, refused, _guard.counts()) == (
        True,
        ["good"],
        [("invalid", ["bad"])],
        {"ground_truth.write": 1},
    )
    assert writer.close(10)


def test_an_unreachable_store_is_tried_again_until_the_writer_is_closed():
    """Closing ends the attempts and counts what was not written."""
    tried = threading.Event()

    def write(batch):
        tried.set()
        return batch

    refused = Refused()
    writer = BatchWriter(write, size=10, refuse=refused)
    writer.offer(rows("a"))
    assert tried.wait(10)
    assert (writer.close(0.1), refused) == (False, [("closed", ["a"])])


def test_only_what_is_left_is_written_again():
    """Rows that were stored before the store became unreachable are not written twice."""
    written = []

    def write(batch):
        written.append(ids_of(batch))
        return [each.part(2) for each in batch] if len(written) == 1 else []

    writer = BatchWriter(write, size=10)
    writer.offer(rows("a", "b", "c"))
    assert (writer.flush(10), written, writer.queued) == (True, [["a", "b", "c"], ["c"]], 0)
    assert writer.close(10)


def test_upkeep_runs_while_nothing_is_written():
    """The writer's thread expires rows, and goes on at once while there is more to do."""
    done, more = threading.Event(), [True, True, False]

    def upkeep():
        has_more = more.pop(0) if more else False
        if not more:
            done.set()
        return has_more

    writer = BatchWriter(lambda batch: [], size=10, upkeep=upkeep, upkeep_interval=0.01)
    writer.offer(rows("a"))
    assert done.wait(10)
    assert writer.close(10)


def test_upkeep_runs_while_there_is_always_something_to_write():
    """A service with steady traffic expires rows too (mckinsey/agents-at-scale-ark#2622: they were never deleted)."""
    done = threading.Event()

    def write(batch):
        if not done.is_set():
            writer.offer(rows("more"))
        return []

    def upkeep():
        done.set()
        return False

    writer = BatchWriter(write, size=10, upkeep=upkeep, upkeep_interval=0.01)
    writer.offer(rows("a"))
    assert done.wait(10)
    assert writer.close(10)


def test_a_large_backlog_expires_in_steps(url, emitted, monkeypatch):
    """One transaction deletes a bounded number of rows of each table, and all models have their turn."""
    monkeypatch.setattr(_expiry, "_TOGETHER", 10)
    truth = GroundTruth(url, meter=emitted.meter, logger=emitted.logger, ttl=50, clock=lambda: 1000.0)
    for position in range(25):
        log(truth, f"p{position}", predicted_at=900.0 + position)
        log(truth, f"q{position}", model="churn", predicted_at=930.0 + position)
    truth.flush()
    truth.record_labels((f"early {position}", 1, 900 + position) for position in range(25))
    truth.record_labels((f"p{position}", 1, 901 + position) for position in range(5))
    steps = 1
    while truth._expire():
        steps += 1
    assert (steps, truth.account().expired) == (6, {"predictions": 40, "labels": 25})
    assert truth.compute_metrics(0, 2000, model="churn", by="predicted_at")["predicted"] == 5
    assert truth.account().waiting == 0
    truth.close()


def test_a_store_that_is_away_is_tried_again_for_a_while():
    """Then once for each transaction, until one succeeds; an error that stays is raised at once."""
    moments, slept = iter(range(100)), []
    retry = Retry(3, clock=lambda: next(moments), sleep=slept.append)
    away = StoreError("away", is_transient=True)
    answers = iter([away, away, "a", *[away] * 4, "b", away, "c", StoreError("no right")])

    def transaction():
        answer = next(answers)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    assert retry.call(transaction) == "a"
    for _ in range(2):
        with pytest.raises(StoreError, match="away"):
            retry.call(transaction)
    assert retry.call(transaction) == "b"
    assert retry.call(transaction) == "c"
    with pytest.raises(StoreError, match="no right"):
        retry.call(transaction)
    assert slept == [0.05, 0.1, 0.05, 0.1, 0.05]


class PickyStore:
    """Refuses one id."""

    def __init__(self, store):
        self._store = store

    def write(self, given):
        if any(row[0] == "bad" for rows in given for row in rows.rows):
            raise StoreError("no such value")
        return self._store.write(given)

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_a_prediction_that_the_database_refuses_takes_no_other_with_it(truth):
    """The batch is written row by row, and the refused row is counted."""
    truth._recorder._store = PickyStore(truth._store)
    for name in ("a", "bad", "b"):
        log(truth, name)
    assert (truth.flush(), truth.dropped) == (True, 1)
    assert truth.record_labels((name, 1) for name in ("a", "bad", "b")) == {"matched": 2, "waiting": 1}


def test_a_prediction_that_cannot_be_read_takes_no_other_with_it(truth):
    """A trace id that is not a number is an internal error, and the dropped row is counted."""
    log(truth, "bad", trace_id=None)
    log(truth, "good")
    assert (truth.flush(), truth.record_label("good", 1), truth.dropped) == (True, "matched", 1)
    assert _guard.counts() == {"ground_truth.read": 1}
