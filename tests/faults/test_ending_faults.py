"""Cases 9 and 10: processes that exit and processes that are killed."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from otlp_receiver import Reply

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
PYTHON = sys.executable
LONG = pytest.mark.slow


def received(receiver):
    return len({span.span_id for span in receiver.spans() if span.name == "predict m"})


@pytest.mark.parametrize(
    ("how", "status"), [("exit", 7), pytest.param("return", 0, marks=LONG), pytest.param("raise", 1, marks=LONG)]
)
def test_case_09_the_interpreters_exit(run, receiver, tmp_path, figure, how, status):
    """A program that exits by itself sends everything and keeps its exit status."""
    program = run("script.py", how, COUNT=tmp_path / "count")
    program.wait_for_line("ready")
    began = time.monotonic()

    assert program.wait() == status
    exit_seconds = time.monotonic() - began
    assert received(receiver) == len(receiver.logs()) == 1000
    assert "ml.predictions" in receiver.metrics()
    figure(9, mode=how, lost=1000 - received(receiver), exit_s=exit_seconds)


@pytest.mark.parametrize(
    ("name", "signals", "flushes", "status"),
    [
        ("SIGTERM", [TERM], True, -TERM),
        ("SIGINT", [INT], False, -INT),
        pytest.param("plain SIGTERM", [TERM], False, -TERM, marks=LONG),
    ],
)
def test_case_09_a_script_that_gets_a_signal(run, receiver, tmp_path, figure, name, signals, flushes, status):
    """Ctrl-C, and SIGTERM with the option on, send everything finished; otherwise SIGTERM costs what was queued."""
    program = run("script.py", "load", COUNT=tmp_path / "count", OTEL_ML_FLUSH_ON_SIGTERM=str(flushes).lower())
    program.wait_for_line("ready")
    time.sleep(0.3)
    began = time.monotonic()
    for number in signals:
        program.send(number)

    assert program.wait() == status
    exit_seconds = time.monotonic() - began
    finished = int((tmp_path / "count").read_text())
    lost = finished - received(receiver)
    assert lost <= 0 if name != "plain SIGTERM" else lost <= finished  # -1: the signal came between the two writes
    assert exit_seconds < 30
    figure(9, mode=f"script {name}", lost=max(0, lost), exit_s=exit_seconds)


def handles(program, number):
    """Whether the program has a handler for this signal; ours is gone once it runs."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    return bool(int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (number - 1) & 1)


def test_case_09_a_second_sigterm_ends_at_once(run, receiver, tmp_path, figure):
    """The first signal waits for a hanging receiver; the second does not."""
    receiver.default = dict.fromkeys(("traces", "logs", "metrics"), Reply(delay=60, stores=False))
    program = run("script.py", "load", COUNT=tmp_path / "count", OTEL_ML_FLUSH_ON_SIGTERM="true")
    program.wait_for_line("ready")
    program.send(TERM)
    wait_until(lambda: not handles(program, TERM))
    was_running = program.is_running()
    began = time.monotonic()
    program.send(TERM)

    assert (was_running, program.wait()) == (True, -TERM)
    assert time.monotonic() - began < 4  # the first signal waits for five seconds


@pytest.mark.parametrize("kind", ["dead", "hanging"])
def test_case_09_no_receiver_holds_an_exit(run, receiver, tmp_path, figure, kind):
    """The exit takes at most five seconds if no receiver accepts what is queued."""
    if kind == "dead":
        receiver.close()
    receiver.default = dict.fromkeys(("traces", "logs", "metrics"), Reply(delay=60, stores=False))
    program = run("script.py", "exit", COUNT=tmp_path / "count")
    program.wait_for_line("ready")
    began = time.monotonic()

    assert program.wait() == 7
    exit_seconds = time.monotonic() - began
    assert exit_seconds < 30
    figure(9, mode=f"exit, {kind} receiver", exit_s=exit_seconds)


def answered_until_the_end(url, load, program, send):
    """Sends requests from four clients, signals the server after this many answers; returns the number of answers."""
    answers, stop = [], threading.Event()
    # uvicorn waits forever for a connection that arrives at the last instant and stays busy
    once = {"Connection": "close"}

    def client():
        with httpx.Client(trust_env=False, timeout=60, headers=once) as session:
            while not stop.is_set():
                try:
                    if session.get(f"{url}/predict").status_code == 200:
                        answers.append(1)
                except httpx.TransportError:
                    if not program.is_running():
                        return
                    time.sleep(0.01)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for one in clients:
        one.start()
    given_up = time.monotonic() + 60
    while len(answers) < load and time.monotonic() < given_up:
        time.sleep(0.01)
    send()
    status = program.wait(60)
    stop.set()
    for one in clients:
        one.join()
    return len(answers), status


def ready(url, program):
    for _ in range(600):
        try:
            if httpx.get(f"{url}/healthz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            assert program.is_running(), program.output
            time.sleep(0.05)
    raise AssertionError(program.output)


LOAD = 100
"""Requests answered before the signal, so that it always arrives under load."""
GUNICORN = (PYTHON, "-m", "gunicorn", "--workers", "2", "--graceful-timeout", "10", "--log-level", "error")
UVICORN = (PYTHON, "-m", "uvicorn", "asgi:app", "--log-level", "error")
SERVERS = {
    "uvicorn": (UVICORN, {}, -TERM),
    "uvicorn, no integration": (UVICORN, {"PLAIN": "1", "OTEL_ML_FLUSH_ON_SIGTERM": "true"}, -TERM),
    "uvicorn --workers": ((*UVICORN, "--workers", "2"), {}, 0),
    "gunicorn sync": ((*GUNICORN, "wsgi:application"), {}, 0),
    "gunicorn --preload": ((*GUNICORN, "--preload", "wsgi:application"), {}, 0),
    "gunicorn uvicorn worker": ((*GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "asgi:app"), {}, 0),
}
SLOW = {"uvicorn, no integration", "uvicorn --workers", "gunicorn --preload", "gunicorn uvicorn worker"}


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=[pytest.mark.slow] if mode in SLOW else []) for mode in SERVERS]
)
def test_case_09_servers_under_load(run, receiver, free_port, figure, mode):
    """SIGTERM under load: the prediction of every answered request arrives, and the exit status is the server's own."""
    command, environment, status = SERVERS[mode]
    where = ("--port", free_port) if "uvicorn" in command else ("--bind", f"127.0.0.1:{free_port}")
    program = run(*command, *where, **environment)
    ready(f"http://127.0.0.1:{free_port}", program)
    began = []

    def send():
        began.append(time.monotonic())
        program.send(TERM)

    answered, seen = answered_until_the_end(f"http://127.0.0.1:{free_port}", LOAD, program, send)
    exit_seconds = time.monotonic() - began[0]

    assert seen == status, program.output
    assert answered >= LOAD
    assert received(receiver) >= answered
    assert receiver.duplicates() == 0
    lost = max(0, answered - received(receiver))
    figure(9, mode=mode, lost=lost, duplicated=receiver.duplicates(), exit_s=exit_seconds)


def spooled(folder):
    return sorted(folder.rglob("*.otlp"))


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("spool", [True, pytest.param(False, marks=LONG)])
def test_case_10_a_killed_process(run, receiver, tmp_path, figure, spool):
    """SIGKILL during an outage: with a spool only records not yet tried are lost, and the rest is replayed once."""
    folder = tmp_path / "spool"
    receiver.default = dict.fromkeys(("traces", "logs", "metrics"), Reply(503))
    settings = {"COUNT": tmp_path / "count", "OTEL_BSP_SCHEDULE_DELAY": 300}
    if spool:
        settings["OTEL_ML_SPOOL_DIR"] = folder
    program = run("script.py", "load", **settings)
    program.wait_for_line("ready")
    if spool:
        wait_until(lambda: len(spooled(folder)) >= 4)
    time.sleep(0.5)
    program.send(KILL)
    program.wait()
    finished = int((tmp_path / "count").read_text())
    torn = spooled(folder)[:1]
    for path in torn:
        path.write_bytes(path.read_bytes()[:-1])
    receiver.default = {}

    second = run("script.py", "replay" if spool else "return", **settings)
    assert second.wait() == 0, second.output
    if spool:
        ledger = json.loads(second.wait_for_line("ledger").removeprefix("ledger"))
        lost = finished - received(receiver)
        torn_spans = ledger["traces"]["dropped"].get("invalid", 0)
        torn_logs = ledger["logs"]["dropped"].get("invalid", 0)
        assert torn_spans + torn_logs > 0
        assert ledger["traces"]["delivered"] == received(receiver)
        assert ledger["traces"]["in_flight"] == ledger["logs"]["in_flight"] == 0
        assert ledger["traces"]["produced"] == ledger["traces"]["delivered"] + torn_spans
        assert lost - torn_spans < 2.5 * 1000  # one second's delay times the program's rate
        assert spooled(folder) == []
        assert receiver.duplicates() == 0
        figure(
            10,
            spool=True,
            lost=lost - torn_spans,
            torn_skipped=torn_spans + torn_logs,
            duplicated=receiver.duplicates(),
        )
    else:
        assert received(receiver) == 1000
        figure(10, spool=False, lost=finished, duplicated=receiver.duplicates())
