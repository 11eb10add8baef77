from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile

import psutil
import pytest

from otel_ml import semconv
from otel_ml.resource_sampler import Gap, Reading, Report
from otel_ml.resource_sampler._election import Elected, Leadership

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no POSIX locks here")

EVERYBODY = "every process of this group reads the devices and the container"

WORKER = """
import sys, time
from pathlib import Path
from otel_ml.resource_sampler._election import Leadership
leadership = Leadership(Path(sys.argv[1]), "workers")
for line in sys.stdin:
    if line.strip() == "release":
        leadership.release()
    print(leadership.is_held() if line.strip() == "ask" else "-", leadership.holder(), flush=True)
"""


class Worker:
    """A real process that asks for the lock for each line of its input."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def leads(self):
        return self.say("ask")[0] == "True"

    def end(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(90)
        self.process.stdin.close()
        self.process.stdout.close()


class Counting:
    """A source that counts how often it was closed."""

    name, metrics, closed = "gpu", (semconv.HW_POWER,), 0

    def read(self):
        return Report((Reading(semconv.HW_POWER, 1.0, {}),))

    def close(self):
        self.closed += 1


@pytest.fixture
def workers(tmp_path):
    started = [Worker(tmp_path) for _ in range(3)]
    yield started
    for worker in started:
        worker.end()


def test_one_of_three_processes_leads_and_the_next_takes_over_when_it_is_killed(workers):
    """The system frees the lock however its process ends."""
    first, second, third = workers
    assert [worker.leads() for worker in workers] == [True, False, False]
    assert second.say("ask") == ["False", str(first.process.pid)]
    first.end(signal.SIGKILL)
    assert [third.leads(), second.leads(), third.leads()] == [True, False, True]


def test_a_leader_that_stops_leaves_no_file_and_a_free_place(workers, tmp_path):
    """Started and stopped services do not fill the folder."""
    first, second, _ = workers
    assert first.leads()
    first.say("release")
    assert list(tmp_path.iterdir()) == []
    assert second.leads()


def test_locks_that_ended_processes_left_behind_are_removed(tmp_path):
    """The next leader of any group removes the file of a killed service, and leaves held locks alone."""
    (tmp_path / "devices.1.2.lock").write_text("99")
    held = Leadership(tmp_path, "held")
    other = Leadership(tmp_path, "other")
    assert (held.is_held(), other.is_held(), held.is_held()) == (True, True, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["devices.held.lock", "devices.other.lock"]
    held.release()
    other.release()


def test_two_samplers_of_one_process_do_not_both_lead(tmp_path):
    """A record lock does not distinguish two samplers of one process; the process itself does."""
    first, second = Leadership(tmp_path, "x"), Leadership(tmp_path, "x")
    assert (first.is_held(), second.is_held(), first.is_held()) == (True, False, True)
    first.release()
    assert second.is_held()
    second.release()


def test_a_leader_whose_file_was_removed_gives_way_to_the_new_leader(tmp_path, workers):
    """Temporary files of ten days are removed on many machines; two leaders would double every figure of the devices."""
    now = [0.0]
    leadership = Leadership(tmp_path, "workers", clock=lambda: now[0])
    elected = Elected(Counting(), leadership)
    assert len(elected.read().readings) == 1
    (tmp_path / "devices.workers.lock").unlink()
    other = workers[0]
    assert other.leads()
    now[0] = 60.0
    report = elected.read()
    assert report.gaps == (Gap("gpu", "elsewhere", f"process {other.process.pid} of this group reads it"),)
    assert elected.source.closed == 1
    leadership.release()
    assert (tmp_path / "devices.workers.lock").read_text() == str(other.process.pid)
    other.end()
    assert len(elected.read().readings) == 1
    leadership.release()


def test_a_leader_whose_file_was_removed_leads_again_if_no_other_process_does(tmp_path):
    """It locks a new file; the time of a file that is still there is updated."""
    now = [0.0]
    leadership = Leadership(tmp_path, "x", clock=lambda: now[0])
    path = tmp_path / "devices.x.lock"
    assert leadership.is_held()
    os.utime(path, (1.0, 1.0))
    now[0] = 60.0
    assert leadership.is_held()
    assert path.stat().st_mtime > 1.0
    path.unlink()
    now[0] = 120.0
    assert leadership.is_held()
    assert path.read_text() == str(os.getpid())
    leadership.release()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_worker_does_not_inherit_the_lead(tmp_path):
    """Its copy of the descriptor neither leads nor keeps the lock alive after the parent's end."""
    leadership = Leadership(tmp_path, "forked")
    assert leadership.is_held()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        leadership.reset_after_fork()
        answers = [leadership.is_held()]
        os.write(writing, repr(answers).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == "[False]"
    os.waitpid(child, 0)
    assert leadership.is_held()
    leadership.release()


def test_without_a_folder_for_the_lock_every_process_leads(tmp_path, caplog):
    """Readings are worth more than their uniqueness; one line says which path failed and why."""
    path = tmp_path / "none" / "deeper" / "devices.x.lock"
    leaderships = [Leadership(path.parent, "x") for _ in range(2)]
    assert [leadership.is_held() for leadership in leaderships * 2] == [True] * 4
    assert [record.getMessage() for record in caplog.records] == [
        f"otel-ml: no lock at {path} (No such file or directory): {EVERYBODY}"
    ]


def test_a_private_folder_that_others_may_write_to_is_named(tmp_path, caplog, monkeypatch):
    """The line names the folder and what is wrong with it."""
    monkeypatch.delenv("OTEL_ML_INSTANCE_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"otel-ml-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert Leadership().is_held()
    assert [record.getMessage() for record in caplog.records] == [
        f"otel-ml: no lock at {folder} (not a private folder of this user): {EVERYBODY}"
    ]


def test_a_lock_that_cannot_be_written_is_given_back(tmp_path, caplog):
    """On a full disk no descriptor and no file is left, and the lock is free once there is room."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(descriptor, content, offset):
        raise full

    before = psutil.Process().num_fds()
    leadership = Leadership(tmp_path, "x", write=refuse)
    path = tmp_path / "devices.x.lock"
    assert leadership.is_held()
    assert psutil.Process().num_fds() <= before  # garbage of earlier tests may be closed meanwhile
    assert list(tmp_path.iterdir()) == []
    leadership.release()
    later = Leadership(tmp_path, "x")
    assert (later.is_held(), later.holder(), path.read_text()) == (True, os.getpid(), str(os.getpid()))
    later.release()
    assert [record.getMessage() for record in caplog.records] == [
        f"otel-ml: no lock at {path} (No space left on device): {EVERYBODY}"
    ]


def test_an_impossible_lock_is_tried_again(tmp_path):
    """A disk that was full at the start does not make every worker read the devices forever."""
    now, folder = [0.0], tmp_path / "late"
    first, second = (Leadership(folder, "x", clock=lambda: now[0]) for _ in range(2))
    together = [first.is_held(), second.is_held()]
    folder.mkdir()
    now[0] = 60.0
    assert (together, [first.is_held(), second.is_held()]) == ([True, True], [True, False])
    first.release()


def test_a_process_that_does_not_lead_names_the_leader(tmp_path):
    """The gap is not an error."""
    worker = Worker(tmp_path)
    try:
        assert worker.leads()
        elected = Elected(Counting(), Leadership(tmp_path, "workers"))
        holder = worker.process.pid
        assert elected.read() == Report((), (Gap("gpu", "elsewhere", f"process {holder} of this group reads it"),))
        worker.end()
        assert elected.read() == Counting().read()
        elected.close()
        assert elected.source.closed == 1
    finally:
        worker.end()


def test_two_services_of_one_script_do_not_share_a_lead(tmp_path, monkeypatch):
    """Services that share a process group without being one server each have a leader."""
    monkeypatch.setenv("OTEL_ML_INSTANCE_DIR", str(tmp_path))
    commands = (["server", "fraud:app"], ["server", "churn:app"], ["server", "fraud:app"])
    leaderships = [Leadership() for _ in commands]
    held = []
    for command, leadership in zip(commands, leaderships, strict=True):
        monkeypatch.setattr(sys, "argv", command)
        held.append(leadership.is_held())
    for leadership in leaderships:
        leadership.release()
    assert held == [True, True, False]
    assert list(tmp_path.iterdir()) == []


def test_workers_of_a_prefork_server_elect_one(tmp_path):
    """Three forked processes with the default sampler: one has container and GPUs, and after its death another one."""
    code = """
import os, signal, sys, time
from otel_ml.resource_sampler import ResourceSampler
pipes = []
for _ in range(3):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        sampler = ResourceSampler(mode="process")
        while True:
            gpu = sampler.sample().sources[-1]
            os.write(writing, b"0" if any(gap.kind == "elsewhere" for gap in gpu.gaps) else b"1")
            time.sleep(0.05)
    os.close(writing)
    pipes.append((pid, reading))
def state():
    return {pid: os.read(reading, 65536)[-1:] for pid, reading in pipes}
def leaders():
    return [pid for pid, last in state().items() if last == b"1"]
def wait(wanted):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = leaders()
        if len(found) == wanted:
            return found
    return found
(first,) = wait(1)
os.kill(first, signal.SIGKILL)
os.waitpid(first, 0)
pipes = [(pid, reading) for pid, reading in pipes if pid != first]
(second,) = wait(1)
print(first != second)
for pid, _ in pipes:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""
    environment = {**os.environ, "OTEL_ML_INSTANCE_DIR": str(tmp_path)}
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert (finished.stdout, finished.stderr) == ("True\n", "")
