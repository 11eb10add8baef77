"""A database that an earlier version made goes on, whoever opens it first; a command that reads changes nothing.

Sources: Abilityai/trinity#537, MemMachine/MemMachine#1570 and NousResearch/hermes-agent#20842 (several processes that start
at once and change one table: one of them dies, or finds it half changed), sqlalchemy/alembic#1207 and
umami-software/umami#3399 (views of users on a table that an upgrade changes).
"""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import otel_ml
from otel_ml.cli import main
from otel_ml.ground_truth import LoggedPrediction, StoreError
from otel_ml.ground_truth.storage import _database, _engines, _migration

ROOT = Path(__file__).parents[3]
NOW = time.time()

FORMER = """
CREATE TABLE otel_ml_predictions (
    id TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, role TEXT NOT NULL, task TEXT NOT NULL, positive TEXT,
    predicted_at DOUBLE NOT NULL, predicted TEXT, value DOUBLE, score DOUBLE, trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL, sampled BOOLEAN NOT NULL{classes}, label TEXT, number DOUBLE, labeled_at DOUBLE,
    PRIMARY KEY (id));
CREATE INDEX otel_ml_predictions_predicted_at ON otel_ml_predictions (model, predicted_at);
CREATE INDEX otel_ml_predictions_labeled_at ON otel_ml_predictions (model, labeled_at);
CREATE TABLE otel_ml_waiting_labels (
    id TEXT NOT NULL, label TEXT NOT NULL, number DOUBLE, labeled_at DOUBLE NOT NULL, PRIMARY KEY (id));
"""
ALIASES = """
CREATE TABLE otel_ml_aliases (id TEXT NOT NULL, leads_to TEXT, predicted_at DOUBLE NOT NULL, PRIMARY KEY (id));
CREATE INDEX ix_otel_ml_aliases_predicted_at ON otel_ml_aliases (predicted_at);
CREATE TABLE otel_ml_classes (id TEXT NOT NULL, names TEXT NOT NULL, PRIMARY KEY (id));
INSERT INTO otel_ml_aliases VALUES ('batch', 'batch.0', 1), ('large', NULL, 1);
INSERT INTO otel_ml_classes VALUES ('key', '["0", "1"]');
"""


def row(name: str, model: str = "fraud", label: str | None = None) -> tuple[object, ...]:
    number, labeled_at = (None, None) if label is None else (float(label), NOW - 30)
    made = (name, model, "1", "primary", "binary", "1", NOW - 60, "1", None, 0.9, "0" * 32, "0" * 16, True)
    return (*made, label, number, labeled_at)


def make_former(path: Path, *, oldest: bool = False, rows: int = 0) -> str:
    """Makes a database as the earlier version left it, or the version before that."""
    stored = [row("labelled", label="1"), row("open"), row("batch.0"), row("large.0"), row("large.1")]
    stored += [row(f"more-{number}") for number in range(rows)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(FORMER.format(classes="" if oldest else ", classes TEXT"))
        if not oldest:
            connection.executescript(ALIASES)
        names = "id model version role task positive predicted_at predicted value score trace_id span_id sampled "
        columns = f"{names}label number labeled_at".replace(" ", ", ")
        marks = ", ".join("?" * len(stored[0]))
        connection.executemany(f"INSERT INTO otel_ml_predictions ({columns}) VALUES ({marks})", stored)
        connection.execute("INSERT INTO otel_ml_waiting_labels VALUES ('early', '1', 1.0, ?)", [NOW - 30])
        if not oldest:
            connection.execute("UPDATE otel_ml_predictions SET classes = 'key'")
    return f"sqlite:///{path}"


def predict(truth: otel_ml.GroundTruth, name: str, model: str = "fraud", role: str = "primary") -> None:
    truth.log_prediction(
        LoggedPrediction(name, model, "1", role, "binary", "1", NOW - 50, "1", None, 0.9, 1, 2, True, ("0", "1"))
    )


@pytest.mark.parametrize("oldest", [False, True])
def test_a_store_of_an_earlier_version_goes_on(tmp_path: Path, oldest: bool) -> None:
    """Its predictions, labels, waiting labels and further ids are there, and the new key holds from now on."""
    truth = otel_ml.GroundTruth(make_former(tmp_path / "old.db", oldest=oldest))
    for role in ("primary", "shadow"):
        predict(truth, "early", role=role)
    predict(truth, "labelled", role="shadow")
    predict(truth, "open", model="churn")
    predict(truth, "open")
    truth.flush()

    ids = ("labelled", "early", "open", "batch", "large")
    expected = ["duplicate", "duplicate", "failed", "waiting" if oldest else "matched", "waiting"]
    assert [truth.record_label(name, 1) for name in ids] == expected
    assert truth.record_label("open", 1, model="fraud") == "matched"
    assert [truth.compute_metrics(0, 4e9, model="fraud", role=role)["labelled"] for role in ("primary", "shadow")] == [
        3 if oldest else 4,
        2,
    ]
    assert truth.account().refused == {"repeated": 1}
    truth.close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {
        f"otel_ml_{name}" for name in ("predictions", "labels", "waiting_labels", "aliases", "classes", "label_bins")
    }


def test_a_store_without_probabilities_gets_their_column(tmp_path: Path) -> None:
    """It is read as it is, the first process that writes adds the column, and its rows stay."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    truth = otel_ml.GroundTruth(url)
    predict(truth, "before")
    truth.record_label("before", 1)
    truth.close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.execute("ALTER TABLE otel_ml_predictions DROP COLUMN probabilities")

    reader = otel_ml.GroundTruth(url, read_only=True)
    assert reader.compute_metrics(0, 4e9, model="fraud")["labelled"] == 1
    reader.close()
    truth = otel_ml.GroundTruth(url)
    truth.log_prediction(
        LoggedPrediction(
            *("after", "fruit", "1", "primary", "multiclass", None, NOW - 50, "b", None, 0.7, 1, 2, True),
            classes=("a", "b", "c"),
            probabilities=(0.1, 0.7, 0.2),
        )
    )
    truth.flush()
    assert [truth.record_label(name, "b") for name in ("after", "before")] == ["matched", "failed"]
    truth.close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        stored = dict(connection.execute("SELECT id, probabilities FROM otel_ml_predictions"))
    assert stored == {"before": None, "after": struct.pack("<3d", 0.1, 0.7, 0.2)}


LAST = """
ALTER TABLE otel_ml_predictions DROP COLUMN probabilities;
DROP TABLE otel_ml_label_bins;
DROP TABLE otel_ml_waiting_labels;
CREATE TABLE otel_ml_waiting_labels (
    id TEXT NOT NULL, label TEXT NOT NULL, number DOUBLE, labeled_at DOUBLE NOT NULL, model TEXT NOT NULL,
    PRIMARY KEY (id, label, model));
"""


def test_waiting_labels_of_the_last_version(tmp_path: Path) -> None:
    """They are listed with their model and reason by a reader, and labels with one beginning stay apart."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    truth = otel_ml.GroundTruth(url)
    predict(truth, "known")
    truth.close()
    long = ["x" * 100 + end for end in ("a", "b")]
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.executescript(LAST)
        waiting = [("early", label, None, NOW - 30 + place, "churn") for place, label in enumerate(long)]
        waiting.append(("known", "1", 1.0, NOW - 40, "churn"))
        connection.executemany("INSERT INTO otel_ml_waiting_labels VALUES (?, ?, ?, ?, ?)", waiting)

    expected = [("known", "churn", "other_model"), ("early", "churn", "unknown_id"), ("early", "churn", "unknown_id")]
    for read_only in (True, False):
        with closing(otel_ml.GroundTruth(url, read_only=read_only)) as truth:
            assert [(one.id, one.model, one.reason) for one in truth.waiting(model="churn")] == expected
            assert truth.waiting(model="fraud") == []
    truth = otel_ml.GroundTruth(url)
    assert truth.record_label("early", long[1], NOW, model="churn") == "duplicate"
    assert truth.account().waiting == 3
    truth.close()


ADD_COLUMNS = (
    "ALTER TABLE otel_ml_predictions ADD COLUMN label TEXT",
    "ALTER TABLE otel_ml_predictions ADD COLUMN number DOUBLE PRECISION",
    "ALTER TABLE otel_ml_predictions ADD COLUMN labeled_at DOUBLE PRECISION",
)
MOVE_LABELS = (
    *(
        f"UPDATE otel_ml_predictions SET {name} = (SELECT {name} FROM otel_ml_labels l "
        "WHERE l.id = otel_ml_predictions.id AND l.role = otel_ml_predictions.role)"
        for name in ("label", "number", "labeled_at")
    ),
    "CREATE INDEX otel_ml_predictions_labeled_at ON otel_ml_predictions (model, labeled_at)",
    "DROP TABLE otel_ml_labels",
)


def execute(truth: otel_ml.GroundTruth, *statements: str) -> None:
    with truth._database.writing() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def make_last(url: str, *statements: str) -> None:
    """Makes a database as the last version left it, with the labels in the table of predictions."""
    with closing(otel_ml.GroundTruth(url)) as truth:
        for role in ("primary", "shadow"):
            predict(truth, "labelled", role=role)
        predict(truth, "open")
        truth.flush()
        truth.record_label("labelled", 0, NOW - 30)
        execute(truth, *ADD_COLUMNS, *(statements or MOVE_LABELS))


def figures(url: str, *, read_only: bool) -> list[tuple[int, float]]:
    """Returns labels and accuracy of both windows and both roles."""
    with closing(otel_ml.GroundTruth(url, read_only=read_only)) as truth:
        found = [
            truth.compute_metrics(0, NOW, model="fraud", role=role, by=by)
            for role in ("primary", "shadow")
            for by in ("predicted_at", "labeled_at")
        ]
    return [(each["labelled"], each["accuracy"]) for each in found]


def test_labels_leave_the_table_of_predictions(store_url: str) -> None:
    """A reader has the figures before and after, and each label is known to those that follow."""
    make_last(store_url)
    before = figures(store_url, read_only=True)
    assert before == figures(store_url, read_only=False) == figures(store_url, read_only=True) == [(1, 0.0)] * 4

    with closing(otel_ml.GroundTruth(store_url)) as truth:
        assert [truth.record_label(name, 0) for name in ("labelled", "open")] == ["duplicate", "matched"]
        assert truth.record_label("labelled", 1) == "revised"
        predict(truth, "labelled")
        truth.flush()
        assert truth.account().refused == {"repeated": 1}
        with truth._database.reading() as connection:
            stored = connection.exec_driver_sql("SELECT * FROM otel_ml_predictions").keys()
    assert not {"label", "number", "labeled_at"} & set(stored)


def test_an_earlier_version_that_is_started_again(store_url: str) -> None:
    """It makes its columns again; its labels join the others, of which none changes."""
    make_last(store_url, f"UPDATE otel_ml_predictions SET label = '1', number = 1, labeled_at = {NOW - 20}")

    assert figures(store_url, read_only=True) == [(1, 0.0)] * 4
    assert figures(store_url, read_only=False) == figures(store_url, read_only=True) == [(2, 0.5)] * 2 + [(1, 0.0)] * 2


def test_a_process_killed_while_it_changes_the_tables(store_url: str) -> None:
    """The next one finds the store as it was, and changes it."""
    make_last(store_url)
    child = os.fork()
    if child == 0:
        _migration._copy_labels = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        otel_ml.GroundTruth(store_url)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL

    assert figures(store_url, read_only=True) == figures(store_url, read_only=False) == [(1, 0.0)] * 4


def read_view(truth: otel_ml.GroundTruth) -> list[tuple[object, ...]]:
    with truth._database.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT id, role FROM dashboard ORDER BY id, role")]


VIEW = "CREATE VIEW dashboard AS SELECT id, role FROM otel_ml_predictions"


def test_a_view_on_the_predictions_still_reads_them(store_url: str) -> None:
    """The views that users made for their dashboards find the table under its name after it was changed."""
    make_last(store_url, *MOVE_LABELS, VIEW)
    with closing(otel_ml.GroundTruth(store_url)) as truth:
        assert read_view(truth) == [("labelled", "primary"), ("labelled", "shadow"), ("open", "primary")]
        predict(truth, "after")
        truth.flush()
        assert len(read_view(truth)) == 4


def test_a_view_that_reads_labels(store_url: str) -> None:
    """SQLite opens the store; PostgreSQL keeps the view and everything else, and the error names it and the remedy."""
    make_last(store_url, *MOVE_LABELS, f"{VIEW} WHERE label IS NOT NULL")
    if "postgresql" in store_url:
        with pytest.raises(StoreError, match=r"view dashboard depends on column label .*: drop it, and make it again"):
            otel_ml.GroundTruth(store_url)
        with closing(otel_ml.GroundTruth(store_url, read_only=True)) as truth:
            assert len(read_view(truth)) == 2
    assert figures(store_url, read_only="postgresql" in store_url) == [(1, 0.0)] * 4


PROCESS = """
import sys
from otel_ml.ground_truth import GroundTruth
truth = GroundTruth(sys.argv[1])
print(truth.record_labels((f"more-{number}", 1) for number in range(2000)).get("matched", 0))
truth.close()
"""


def test_several_processes_open_it_at_once(tmp_path: Path) -> None:
    """One of them changes the tables, the others wait; each prediction is labelled once, and none is lost."""
    url = make_former(tmp_path / "old.db", rows=2000)
    command = [sys.executable, "-W", "error", "-c", PROCESS, url]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    counts = []
    for process in running:
        with process:
            counts.append(int(process.communicate(timeout=120)[0]))

    assert [process.returncode for process in running] == [0] * 4
    assert sum(counts) == 2000


def test_a_process_waits_while_another_one_changes_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than a write may; a lock on a store of the present form is still an error."""
    monkeypatch.setattr(_engines, "BUSY_SECONDS", 0.01)
    url = make_former(tmp_path / "old.db")
    tried: list[bool] = []

    class Waiting(_database.StoreDatabase):
        def _is_former(self) -> bool:
            tried.append(super()._is_former())
            if len(tried) == 2:
                holder.execute("ROLLBACK")
            return tried[-1]

    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA journal_mode=WAL")
        holder.execute("BEGIN IMMEDIATE")
        Waiting(url).open()
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            Waiting(url).open()
        holder.execute("ROLLBACK")

    assert tried == [True, True, False]


@pytest.mark.parametrize("oldest", [False, True])
def test_evaluate_reads_it_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], oldest: bool
) -> None:
    """The file is the same, byte for byte."""
    url = make_former(tmp_path / "old.db", oldest=oldest)
    before = hashlib.sha256((tmp_path / "old.db").read_bytes()).hexdigest()

    assert main(["evaluate", "--store", url, "--model", "fraud", "--by", "predicted_at"]) == 0
    assert main(["evaluate", "--store", url, "--model", "fraud", "--role", "shadow"]) == 1
    shown = capsys.readouterr()
    assert "labelled    1\n" in shown.out
    assert shown.err == (
        "otel-ml evaluate: auc is None: it needs labels of both classes, and all or none are 1\n"
        "otel-ml evaluate: 1 labels wait for a prediction (1 unknown_id, such as 'early')\n"
        "otel-ml evaluate: no labelled prediction of 'fraud' in this window; the store has fraud 1 primary\n"
        "otel-ml evaluate: 1 labels wait for a prediction (1 unknown_id, such as 'early')\n"
    )
    assert hashlib.sha256((tmp_path / "old.db").read_bytes()).hexdigest() == before


@pytest.mark.parametrize("command", ["evaluate", "label"])
def test_a_command_refuses_what_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A database of another tool gets no tables of ours, and keeps its journal mode."""
    (tmp_path / "labels.csv").write_text("id,label\na,1\n")
    files = [str(tmp_path / "labels.csv")] if command == "label" else []
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    before = (tmp_path / "other.db").read_bytes()

    assert main([command, "--store", f"sqlite:///{tmp_path}/other.db", "--model", "fraud", *files]) == 2
    assert capsys.readouterr().err.endswith("is not a prediction store: it has no table otel_ml_predictions\n")
    assert (tmp_path / "other.db").read_bytes() == before


def test_a_store_that_is_only_read_takes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Predictions and labels are refused with a line and counted."""
    url = f"sqlite:///{tmp_path}/predictions.db"
    otel_ml.GroundTruth(url).close()
    truth = otel_ml.GroundTruth(url, read_only=True)
    predict(truth, "a")

    assert truth.flush()
    assert truth.record_label("a", 1) == "failed"
    assert (truth.account().refused, truth.account().failed) == ({"store": 1}, {"store": 1})
    assert "it was opened to be read only" in caplog.text
    truth.close()
