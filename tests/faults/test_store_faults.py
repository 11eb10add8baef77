"""Case 29, the store of ground truth: processes that are killed in a join, and a database that goes away."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager

import pytest

import otel_ml
from otel_ml import _guard
from otel_ml.ground_truth import GroundTruth
from otel_ml.testing import InMemoryTelemetry

LABELS, CHUNK = 2000, 50


@pytest.fixture
def model_of():
    """Makes models whose predictions go to a store; the errors of the store are counted, and expected here."""
    with InMemoryTelemetry():
        yield lambda truth: otel_ml.Model("m", "1", task="binary", classes=["0", "1"], ground_truth=truth)
    _guard.reset()


def record(url, write_end):
    """In a child: records all labels, and writes how many were matched after each call."""
    truth = GroundTruth(url)
    os.write(write_end, b"open\n")
    for start in range(0, LABELS, CHUNK):
        states = truth.record_labels((f"p{number}", number % 2) for number in range(start, start + CHUNK))
        os.write(write_end, b"%d\n" % states.get("matched", 0))


def kill_in_a_join(url, chosen) -> tuple[int, bool]:
    """Kills a child that records labels; returns how many it counted, and whether it had finished."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            record(url, write_end)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as lines:
        assert lines.readline() == "open\n"
        time.sleep(chosen.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        counted = [int(line) for line in lines]
    return sum(counted), len(counted) == LABELS // CHUNK


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_a_process_killed_in_a_join_counts_nothing_twice(model_of, store_url, rounds, figure):
    """Each label is counted at most once over all processes; a kill costs the counts of one transaction, the store has all."""
    truth = GroundTruth(store_url)
    model = model_of(truth)
    model.record(None, prediction=["1"] * LABELS, id=[f"p{number}" for number in range(LABELS)], batch=True)
    assert truth.flush(60)
    chosen, counted, kills = random.Random(29), 0, 0
    for _ in range(rounds):
        more, finished = kill_in_a_join(store_url, chosen)
        counted += more
        kills += not finished
        if finished:  # all labels are there: the next round revises none of them
            break
    last = truth.record_labels((f"p{number}", number % 2) for number in range(LABELS))

    lost = LABELS - counted - last.get("matched", 0)
    assert 0 <= lost <= kills * CHUNK
    assert set(last) <= {"matched", "duplicate"}
    found = truth.compute_metrics(0, 4e9, model="m", by="predicted_at")
    assert (found["predicted"], found["labelled"], found["accuracy"]) == (LABELS, LABELS, 0.5)
    truth.close()
    figure(29, mode="SIGKILL in a join", kills=kills, uncounted=lost, duplicated=0)


def test_a_process_killed_while_it_writes_stores_nothing_twice(model_of, store_url):
    """A job that starts again after a kill completes what is missing; what was stored is refused as repeated."""
    ids = [f"p{number}" for number in range(LABELS)]
    child = os.fork()
    if child == 0:
        try:
            truth = GroundTruth(store_url)
            for name in ids:
                model_of(truth).record(None, prediction=["1"], id=[name], batch=True)
        finally:
            os._exit(0)
    time.sleep(0.2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    truth = GroundTruth(store_url)
    model_of(truth).record(None, prediction=["1"] * LABELS, id=ids, batch=True)
    assert truth.flush(60)

    account = truth.account()
    assert account.stored + account.refused.get("repeated", 0) == LABELS
    assert truth.record_labels((name, 1) for name in ids) == {"matched": LABELS}
    truth.close()


@contextmanager
def away(url, server, how):
    """The database is away: the server is stopped or killed, or another process holds the file."""
    if how == "locked":
        holder = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")
        holder.close()
    else:
        getattr(server, how)()
        yield
        server.start()


@pytest.mark.parametrize("seconds", [0.5, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["stop", "kill", "locked"])
def test_a_database_that_is_away_loses_nothing(model_of, postgresql, tmp_path, how, seconds, figure):
    """Predictions wait and are stored once; a single label fails within a bound; a list of labels waits for a short outage."""
    url = f"sqlite:///{tmp_path}/p.db" if how == "locked" else postgresql.url(postgresql.new_schema())
    truth = GroundTruth(url)
    model = model_of(truth)
    logged, ended, states = [], threading.Event(), []

    def predict():
        while not ended.wait(0.01):
            name = f"p{len(logged)}"
            model.record({}, prediction=1, id=name)
            logged.append(name)

    service = threading.Thread(target=predict)
    service.start()
    while truth.account().stored < 10:
        time.sleep(0.01)
    with away(url, postgresql, how):
        began = time.monotonic()
        single = truth.record_label("p0", 1) if how != "locked" else "failed"  # SQLite itself waits for 10 s
        took = time.monotonic() - began
        batch = threading.Thread(
            target=lambda: states.append(truth.record_labels((f"p{number}", 1) for number in range(9)))
        )
        batch.start()
        time.sleep(seconds)
    back = time.monotonic()
    batch.join()
    ended.set()
    service.join()
    assert truth.flush(60)
    recovery = time.monotonic() - back

    assert single == "failed"
    assert took < 10
    assert states == [{"matched": 9}] if seconds < 30 else states[0].get("failed", 0) + states[0].get("matched", 0) == 9
    account = truth.account()
    assert (account.stored, account.refused, account.queued) == (len(logged), {}, 0)
    last = truth.record_labels((name, 1) for name in logged)
    assert last.get("matched", 0) + states[0].get("matched", 0) == len(logged)
    assert truth.compute_metrics(0, 4e9, model="m", by="predicted_at")["predicted"] == len(logged)
    truth.close()
    figure(29, mode=f"database {how} for {seconds} s", lost=0, duplicated=0, recovery_s=recovery)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [20])
def test_a_server_killed_again_and_again_stores_each_row_once(model_of, postgresql, rounds, figure):
    """Whether a COMMIT was done before the server died or not: no row is lost, repeated or refused."""
    truth = GroundTruth(postgresql.url(postgresql.new_schema()))
    model = model_of(truth)
    chosen, logged, ended, matched = random.Random(29), [], threading.Event(), []

    def predict():
        while not ended.wait(0.002):
            ids = [f"p{len(logged) + number}" for number in range(20)]
            model.record(None, prediction=["1"] * 20, id=ids, batch=True)
            logged.extend(ids)

    def label():
        done = 0
        while not ended.is_set() or done < len(logged):
            names = logged[done : done + 200]
            matched.append(truth.record_labels((name, 1) for name in names))
            done += len(names)
            time.sleep(0.001)

    threads = [threading.Thread(target=predict), threading.Thread(target=label)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        before = truth.account().stored
        while truth.account().stored == before:
            time.sleep(0.01)
        time.sleep(chosen.uniform(0, 0.1))
        postgresql.kill()
        postgresql.start()
    ended.set()
    for thread in threads:
        thread.join()
    assert truth.flush(60)

    account = truth.account()
    assert (account.stored, account.refused, account.failed) == (len(logged), {}, {})
    assert (account.matched, account.duplicate, account.waiting) == (len(logged), 0, 0)
    found = truth.compute_metrics(0, 4e9, model="m", by="predicted_at")
    assert (found["predicted"], found["labelled"]) == (len(logged), len(logged))
    truth.close()
    figure(29, mode=f"{rounds} kills of the server", lost=0, duplicated=0)
