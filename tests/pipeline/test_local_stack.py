"""The process list: ports, refusals, and processes that end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import stack as launcher
import supervise
from pipeline_servers import LOCAL


def run_stack(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("STACK_")}
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(LOCAL / "stack.py"), "--ports", "auto", *arguments],
        env={**clean, "STACK_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_ports_are_defaults_offsets_or_free_ones() -> None:
    """Ports from the environment win; `auto` gives each listener a different free port."""
    assert launcher.choose_ports("0", {}) == launcher.DEFAULT_PORTS
    shifted = launcher.choose_ports("100", {"PROMETHEUS_PORT": "9999"})
    assert (shifted["PROMETHEUS_PORT"], shifted["CONSOLE_PORT"]) == (9999, 14418)
    free = launcher.choose_ports("auto", {})
    assert len(set(free.values())) == len(launcher.DEFAULT_PORTS)


def test_a_chosen_port_waits_for_its_server() -> None:
    """Nobody who binds any port gets it, a server that listens on it does, and before that connections are refused."""
    port = launcher.reserve_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    launcher.refuse_taken_ports({"PROMETHEUS_PORT": port})
    socket.create_server(("127.0.0.1", port)).close()


def test_a_taken_port_is_named_before_anything_starts() -> None:
    """A port in use gives one line that names the variable to set."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(launcher.StackError, match=f"port {port} is in use: set PROMETHEUS_PORT"):
            launcher.refuse_taken_ports({"PROMETHEUS_PORT": port})


def test_a_port_out_of_range_is_named() -> None:
    """An offset or a variable that leads beyond the last port gives one line that names the listener."""
    with pytest.raises(launcher.StackError, match="CONSOLE_PORT is 74318: ports are 0 to 65535"):
        launcher.refuse_taken_ports({"CONSOLE_PORT": launcher.choose_ports("60000", {})["CONSOLE_PORT"]})


def test_an_unknown_process_is_refused(tmp_path: Path) -> None:
    """An unknown process gives one line with the names of the Procfile."""
    done = run_stack(tmp_path, "prometeus")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "stack: unknown process 'prometeus'; the Procfile has collector, prometheus, alertmanager, webhook, victoria-logs, jaeger, console, sampler\n"
    )


def test_traffic_then_verification_decide(tmp_path: Path) -> None:
    """After STACK_SECONDS the traffic is stopped, the verification runs, and its status is the result."""
    traffic = f"sh -c 'echo sent > {tmp_path}/sent; exec sleep 60'"
    done = run_stack(
        tmp_path,
        "victoria-logs",
        "--traffic",
        traffic,
        "--verify",
        f"cat {tmp_path}/sent; echo checked $VICTORIA_LOGS_URL | cut -d: -f1; exit 3",
        STACK_SECONDS="1",
    )
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (3, ["sent", "checked http"])


def test_a_process_that_ends_too_early_fails_the_run(tmp_path: Path) -> None:
    """A process that ends early fails the run, even with status 0; its last lines are shown and the others are stopped."""
    done = run_stack(tmp_path, "victoria-logs", "--process", "service=echo goodbye; sleep 1", STACK_SECONDS="60")
    assert done.returncode == 1
    assert "a process ended too early" in done.stderr
    assert "goodbye" in done.stderr


@pytest.mark.parametrize("how", ["pipe", "terminal"])
def test_a_terminal_that_is_gone_ends_the_run(tmp_path: Path, how: str) -> None:
    """No process is left behind when the reader of the output goes away, as in `make stack | head`, or the terminal closes."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("STACK_")}
    command = [sys.executable, "-W", "ignore", str(LOCAL / "stack.py"), "--ports", "auto", "webhook"]
    command += ["--process", f"service=echo $$ > {tmp_path}/pid; exec sleep 600"]
    with subprocess.Popen(
        command, env={**clean, "STACK_DIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as run:
        assert run.stdout is not None
        try:
            if how == "pipe":
                run.stdout.close()
            else:
                run.stdout.readline()
                run.send_signal(signal.SIGHUP)
            status = run.wait(90)
        finally:
            run.kill()

    assert status == 0
    # A pipe may close before the service has written its id.
    for pid in (tmp_path / "pid").read_text().split() if (tmp_path / "pid").exists() else ():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_every_known_process_has_a_health_address() -> None:
    """The run waits for every listener of the Procfile and for the example service."""
    environment = {name: str(port) for name, port in launcher.DEFAULT_PORTS.items()}
    known = supervise.endpoints(environment)
    assert set(known) == {*launcher.chosen_processes([], []), "service"} - {"sampler"}


def test_each_run_begins_empty_and_alone(tmp_path: Path) -> None:
    """A run removes the data of earlier runs, keeps other files, and refuses a second run in the same folder."""
    for name in ("prometheus/wal", "queue/exporter", "notes"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "console.duckdb.wal").touch()
    with launcher.emptied(tmp_path):
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lock", "notes"]
        done = run_stack(tmp_path, "victoria-logs", STACK_SECONDS="1")
    assert (done.returncode, done.stderr) == (
        1,
        f"stack: another stack runs in {tmp_path}: set STACK_DIR to another folder\n",
    )
