from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from otel_ml.resource_sampler import ContainerSource, Gap, NamedProcess, OneProcess, ProcessSource
from otel_ml.resource_sampler._target_process import SEARCH_SECONDS


@pytest.fixture
def proc(data, tmp_path):
    return shutil.copytree(data / "proc_node", tmp_path / "proc")


def restart(proc, pid, ticks):
    stat = proc / str(pid) / "stat"
    before = stat.read_text()
    columns = before[before.rindex(")") + 2 :].split()
    columns[22 - 3] = str(ticks)
    stat.write_text(before[: before.rindex(")") + 2] + " ".join(columns) + "\n")


def test_a_process_is_read_until_it_ends(proc):
    """A later process of the same id is not read."""
    target = OneProcess(4242, proc=proc)
    assert target() == 4242
    restart(proc, 4242, 999999)
    assert target() is None


def test_a_process_that_ended_and_was_not_waited_for_is_gone():
    """A zombie counts as ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    target = OneProcess(child.pid)
    assert target() == child.pid
    child.stdin.close()
    while target() is not None:
        pass
    child.wait()
    assert target() is None


def test_a_name_is_found_again_after_a_restart(proc):
    """The oldest process of that name is found; while there is none, the search repeats."""
    now = [0.0]
    named = NamedProcess("worker", proc=proc, clock=lambda: now[0])
    assert named() == 4300
    shutil.rmtree(proc / "4300")
    now[0] = SEARCH_SECONDS
    assert named() is None
    shutil.copytree(proc / "4301", proc / "5000")
    (proc / "5000" / "comm").write_text("worker\n")
    assert named() is None
    now[0] = 2 * SEARCH_SECONDS
    assert named() == 5000


def test_the_oldest_of_a_name_is_taken(proc):
    """Workers of a prefork server share the name of their first process."""
    (proc / "4301" / "comm").write_text("worker\n")
    assert NamedProcess("worker", proc=proc)() == 4300


def test_the_sources_follow_the_process(proc):
    """A new process starts its figures again; no process is a gap and no number."""
    pids = [4242]
    source = ProcessSource(lambda: pids[0], proc=proc, boot_clock=lambda: 1e6)
    first = source.read()
    pids[0] = None
    nothing = source.read()
    pids[0] = 4300
    second = source.read()
    assert {reading.value for reading in first.readings if reading.metric.name == "process.thread.count"} == {17}
    assert nothing.readings == ()
    reason = "there is none, it has ended, or /proc hides it from this user (hidepid)"
    assert nothing.gaps == (Gap("process", "vanished", reason),)
    assert {reading.value for reading in second.readings if reading.metric.name == "process.thread.count"} == {1}


def test_a_container_of_another_process_is_seen_through_its_own_root(data, tmp_path, flat):
    """The sidecar's own group is not the service's: the service's mount is read below its root."""
    tree = data / "cgroup_v2_private"
    proc = tmp_path / "proc"
    service = proc / "77"
    shutil.copytree(tree, service / "root")
    # the service's mount as it looks from the sidecar's namespace
    (service / "cgroup").write_text("0::/../cri-service.scope\n")
    (service / "mountinfo").write_text("29 23 0:26 /../cri-service.scope /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n")
    (proc / "diskstats").write_text((tree / "proc" / "diskstats").read_text())
    shutil.copytree(tree / "sys" / "dev", tmp_path / "sys" / "dev")
    report = ContainerSource(77, proc=proc).read()
    assert flat(report) == flat(ContainerSource(proc=tree / "proc", root=tree).read())
    assert report.gaps == ()


def test_a_group_outside_of_every_mount_is_not_taken_for_the_mount(data, tmp_path):
    """A path that leads out of the namespace has no figures here."""
    service = tmp_path / "proc" / "77"
    shutil.copytree(data / "cgroup_v2_private", service / "root")
    (service / "cgroup").write_text("0::/../cri-service.scope/../../other\n")
    (service / "mountinfo").write_text("29 23 0:26 /../cri-service.scope /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n")
    assert ContainerSource(77, proc=tmp_path / "proc").read().readings == ()


EXHAUSTED = """
import os, resource, subprocess, sys
from otel_ml.resource_sampler import NamedProcess, OneProcess, ProcessSource
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
before, named = OneProcess(os.getpid()), NamedProcess("nobody-has-this")
source = ProcessSource(os.getpid(), clock=iter(range(0, 1000, 1)).__next__)
known = {reading.metric.name for reading in source.read().readings}
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
during = OneProcess(os.getpid())
seen = [before() == os.getpid(), during() == os.getpid(), named()]
report = source.read()
for descriptor in taken:
    os.close(descriptor)
seen += [before() == os.getpid(), during() == os.getpid()]
child.communicate(b"\\n")
print(seen, "otelml.process.children.count" in known)
print(sorted({reading.metric.name for reading in report.readings if "children" in reading.metric.name}))
print(sorted({(gap.kind, gap.detail) for gap in report.gaps if gap.kind != "unsupported"}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux")
def test_a_process_has_not_ended_because_there_are_no_descriptors_left():
    """Without free descriptors the process is unknown, neither ended nor without children."""
    finished = subprocess.run(
        [sys.executable, "-c", EXHAUSTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (finished.stdout.splitlines(), finished.stderr) == (
        [
            "[True, True, None, True, True] True",
            "[]",
            "[('io', 'Too many open files')]",
        ],
        "",
    )
