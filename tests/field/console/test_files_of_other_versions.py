"""The console's file after an upgrade, a crash, and where there is no home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import duckdb
import pytest
from console_feed import span, traces

from otel_ml.console import ConsoleError, Options, default_database
from otel_ml.console.receiving._otlp_http import PROTOBUF, rows
from otel_ml.console.storage._store import Database


def written(path, names=("kept",)):
    """A file with a span of each name, closed."""
    store = Database.open(Options(database=str(path)))
    for own, name in enumerate(names, 1):
        store.insert(rows("traces", traces(span(name, own=f"{own:016x}")).SerializeToString(), PROTOBUF, 100).rows)
    store.close()
    return path


@pytest.mark.parametrize("version", [1, 99])
def test_a_file_of_another_version_is_moved_aside(tmp_path, version):
    """An upgrade, or a step back, does not keep the console from starting (mlflow/mlflow#2923, Arize-ai/phoenix#3246)."""
    file = written(tmp_path / "console.duckdb")
    with duckdb.connect(str(file)) as connection:
        connection.execute("update console_schema set version = ?", [version])
    store = Database.open(Options(database=str(file)))
    aside = tmp_path / f"console.version-{version}.duckdb"
    assert (store.moved_aside, store.stored()["spans"]) == (str(aside), 0)
    store.close()
    with duckdb.connect(str(aside), read_only=True) as connection:
        assert connection.execute("select name from spans").fetchall() == [("kept",)]
    again = Database.open(Options(database=str(file)))
    assert again.moved_aside is None
    again.close()


def test_the_command_says_where_the_records_are(tmp_path):
    """One line on standard error names both files; the ready line follows (mlflow/mlflow#2923)."""
    file = written(tmp_path / "console.duckdb")
    with duckdb.connect(str(file)) as connection:
        connection.execute("update console_schema set version = 1")
    arguments = [sys.executable, "-m", "otel_ml", "console", "--port", "0", "--database", str(file)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert "listening" in started.stdout.readline()
        started.terminate()
        _, told = started.communicate(timeout=240)
    assert told == (
        f"otel-ml console: another version of otel-ml wrote {file}, which is now {tmp_path}/console.version-1.duckdb\n"
    )
    assert started.returncode == 0


def test_a_file_of_another_program_is_left_alone(tmp_path):
    """No tables are added to a DuckDB file that somebody else made (sinaptik-ai/pandas-ai#1078)."""
    file = tmp_path / "sales.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create table sales (amount integer)")
    before = file.read_bytes()
    with pytest.raises(
        ConsoleError, match=r"sales.duckdb is a DuckDB file of another program; choose another --database$"
    ):
        Database.open(Options(database=str(file)))
    assert file.read_bytes() == before


def test_a_file_after_a_power_failure_opens_or_says_what_to_do(tmp_path):
    """A log that ends early loses its end only; a damaged one is named with the remedy (norrietaylor/distillery#647)."""
    file = tmp_path / "console.duckdb"
    store = Database.open(Options(database=str(file)))
    store.insert(rows("traces", traces(span()).SerializeToString(), PROTOBUF, 100).rows)
    for name in ("cut", "zeros"):
        shutil.copy(file, tmp_path / name)
    log = (tmp_path / "console.duckdb.wal").read_bytes()
    store.close()
    (tmp_path / "half").write_bytes((tmp_path / "console.duckdb").read_bytes()[:20_000])
    (tmp_path / "cut.wal").write_bytes(log[:-3])
    Database.open(Options(database=str(tmp_path / "cut"))).close()
    (tmp_path / "zeros.wal").write_bytes(log[: len(log) // 2] + bytes(len(log) // 2))
    for name in ("zeros", "half"):
        with pytest.raises(ConsoleError, match=rf"{name} is damaged \(.*\); delete it or choose another --database$"):
            Database.open(Options(database=str(tmp_path / name)))


def test_a_user_without_a_home_is_asked_for_a_file(monkeypatch):
    """A container with a user that has no home gets one line, not a traceback (xorbitsai/xagent#900)."""
    for name in ("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    with pytest.raises(ConsoleError, match="no home folder for the file; choose a --database$"):
        default_database()
