from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys

import psutil
import pytest

from otel_ml.resource_sampler import ContainerSource, HostSource, ProcessSource, _proc_files


@pytest.fixture
def kept(monkeypatch):
    """As in a process that does nothing but sample."""
    descriptors: dict[str, int] = {}
    monkeypatch.setattr(_proc_files, "_kept", descriptors)
    yield descriptors
    for descriptor in descriptors.values():
        os.close(descriptor)


def test_a_kept_file_is_read_again_every_time(kept, tmp_path):
    """The current content is read, not that at the time of opening."""
    path = tmp_path / "stat"
    path.write_text("cpu  1 0 1 1\ncpu0 1\n")
    source = HostSource(proc=tmp_path, parts=("cpu",))
    first = source.read().readings[0].value
    path.write_text("cpu  300 0 1 1\ncpu0 1\n")
    second = source.read().readings[0].value
    assert (first, second) == (pytest.approx(0.01), pytest.approx(3.0))
    assert list(kept) == [str(path)]


def test_kept_files_of_an_ended_process_give_no_figures(kept):
    """The kernel reports that there is no such process, and so does the source."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        source = ProcessSource(child.pid)
        assert source.read().readings
        child.communicate(b"\n")
    report = source.read()
    assert (report.readings, [gap.kind for gap in report.gaps]) == ((), ["vanished"])


def test_the_files_of_an_ended_process_do_not_stay_open(kept):
    """They are closed whether or not another process follows; files of other processes stay open."""
    gc.collect()  # garbage of earlier tests
    open_before = psutil.Process().num_fds()
    pid = [None]
    source = ProcessSource(lambda: pid[0])
    HostSource(parts=("cpu",)).read()
    seen = []
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            pid[0] = child.pid
            assert source.read().readings
            seen.append({path.split("/")[2] for path in kept} == {"stat", str(child.pid)})
            child.communicate(b"\n")
    pid[0] = None
    source.read()
    assert seen == [True] * 3
    assert list(kept) == ["/proc/stat"]
    assert psutil.Process().num_fds() == open_before + 1


def test_the_files_of_a_group_that_was_left_do_not_stay_open(kept, data, tmp_path):
    """A container that is replaced again and again does not fill the table of kept files."""
    tree = shutil.copytree(data / "cgroup_v2_nested", tmp_path / "tree")
    group = tree / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-abc.scope"
    now = [0.0]
    source = ContainerSource(proc=tree / "proc", root=tree, clock=lambda: now[0])
    source.read()
    before = len(kept)
    shutil.move(group, group.with_name("cri-def.scope"))
    membership = tree / "proc/self/cgroup"
    membership.write_text(membership.read_text().replace("cri-abc", "cri-def"))
    now[0] = 10.0
    source.read()
    assert len(kept) == before
    assert [path for path in kept if "cri-abc" in path] == []


def test_the_number_of_kept_files_is_bounded(kept, tmp_path, monkeypatch):
    """Further files are reopened each time; a file of several pages is read to its end in both cases."""
    monkeypatch.setattr(_proc_files, "_MAX_KEPT", 2)
    contents = [b"a" * 10, b"b" * 100_000, b"c" * 5_000]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    seen = [_proc_files.read_bytes(str(tmp_path / str(number))) for number in (0, 1, 2, 0, 1, 2)]
    assert seen == contents * 2
    assert len(kept) == 2


def test_nothing_stays_open_in_a_service(tmp_path):
    """A service may close a descriptor that it does not know, which could then belong to another file."""
    before = psutil.Process().num_fds()
    for _ in range(3):
        HostSource().read()
        ProcessSource().read()
    assert psutil.Process().num_fds() <= before  # garbage of earlier tests may be closed meanwhile
