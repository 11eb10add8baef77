from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from otel_ml import semconv
from otel_ml.resource_sampler import ContainerSource, Gap, ProcessSource, Reading, ResourceSampler
from otel_ml.resource_sampler._counters import MAX_SERIES, ContinuedCounters

TICKS = os.sysconf("SC_CLK_TCK")
USER = {"cpu.mode": "user"}


def write_process(proc, pid, *, seconds, start, read=0):
    """A process with this user time, its children with the same, and bytes read."""
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["S", "1", *["0"] * 46]
    ticks = str(round(seconds * TICKS))
    columns[12 - 3] = columns[14 - 3] = columns[16 - 3] = ticks
    columns[22 - 3] = str(start)
    (folder / "stat").write_text(f"{pid} (service) {' '.join(columns)}\n")
    (folder / "io").write_text(f"rchar: 1\nread_bytes: {read}\nwrite_bytes: 0\n")


def point(points, name, **attributes):
    return next(value for value, of in points[name] if attributes.items() <= dict(of).items())


def test_counters_continue_after_a_restart_even_if_the_new_ones_are_higher(tmp_path):
    """10 s, a new process with 30 s, then one with 29.9 s that is lower by less than a hundredth: 10, 40, 69.9."""
    pid = [100]
    sampler = ResourceSampler(sources=[ProcessSource(lambda: pid[0], proc=tmp_path)], budget=64)
    seen = []
    for service, seconds, read in ((100, 10, 1000), (200, 30, 3000), (300, 29.9, 2990)):
        write_process(tmp_path, service, seconds=seconds, start=service, read=read)
        pid[0] = service
        points = sampler.tick()
        seen.append(
            (
                point(points, "process.cpu.time", **USER),
                point(points, "process.disk.io", **{"disk.io.direction": "read"}),
                point(points, "process.paging.faults", **{"system.paging.fault.type": "major"}),
                point(points, "otelml.process.children.cpu.time", **USER),
            )
        )
        pid[0] = None  # no process for one tick
        sampler.tick()
    expected = [(seconds, read, round(seconds * TICKS)) for seconds, read in ((10, 1000), (40, 4000), (69.9, 6990))]
    assert seen == [(pytest.approx(time), read, faults, pytest.approx(time)) for time, read, faults in expected]


def test_a_reused_process_id_is_another_process(tmp_path):
    """Two processes of one id are distinguished by their start."""
    source = ProcessSource(100, proc=tmp_path)
    seen = []
    for seconds, start in ((10, 1), (12, 1), (30, 2)):
        write_process(tmp_path, 100, seconds=seconds, start=start)
        seen.append(next(r.value for r in source.read().readings if r.metric is semconv.PROCESS_CPU_TIME))
    assert seen == [pytest.approx(10), pytest.approx(12), pytest.approx(42)]


def test_bytes_of_an_unknown_process_are_not_added(tmp_path):
    """Without its start a process could be the one before; that tick has no bytes."""
    source = ProcessSource(100, proc=tmp_path)
    seen = []
    for read in (1000, 1100, 1200):
        write_process(tmp_path, 100, seconds=1, start=1, read=read)
        if read == 1100:
            (tmp_path / "100" / "stat").write_text("nonsense\n")
        seen.append([r.value for r in source.read().readings if r.metric is semconv.PROCESS_DISK_IO])
    assert seen == [[1000, 0], [], [1200, 0]]


def test_the_own_process_starts_at_0_after_a_fork():
    """A child does not inherit what its parent counted."""
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1) as child:
        child.stdout.readline()
        alone, source = ProcessSource(child.pid), ProcessSource()
        before = source.read()
        source._find = lambda: child.pid
        seen = [
            [r.value for r in found.readings if r.metric is semconv.PROCESS_PAGING_FAULTS]
            for found in (source.read(), alone.read())
        ]
        child.communicate(b"\n")
    assert before.readings
    assert seen[0] == seen[1]


def test_counters_continue_when_a_container_is_replaced(data, tmp_path, flat):
    """Another group is another container, even if its counters are higher."""
    tree = shutil.copytree(data / "cgroup_v2_nested", tmp_path / "tree")
    group = tree / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-abc.scope"
    now = [0.0]
    source = ContainerSource(proc=tree / "proc", root=tree, clock=lambda: now[0])

    def counts():
        return [(r.value, dict(r.attributes)) for r in source.read().readings if r.metric.instrument == "counter"]

    first = counts()
    same = counts()
    shutil.move(group, group.with_name("cri-def.scope"))
    membership = tree / "proc/self/cgroup"
    membership.write_text(membership.read_text().replace("cri-abc", "cri-def"))
    now[0] = 10.0
    second = counts()
    assert first
    assert same == first
    assert second == [(pytest.approx(2 * value), attributes) for value, attributes in first]


def test_counters_continue_when_a_container_restarts_under_its_name(data, tmp_path):
    """The inode shows another group of the same name, even if its counters have reached those of the first."""
    tree = shutil.copytree(data / "cgroup_v2_nested", tmp_path / "tree")
    group = tree / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-abc.scope"
    for pid in ("100", "200"):
        shutil.copytree(tree / "proc" / "self", tree / "proc" / pid)
    pid = [100]
    source = ContainerSource(lambda: pid[0], proc=tree / "proc", root=tree)

    def counts():
        return [(r.value, dict(r.attributes)) for r in source.read().readings if r.metric.instrument == "counter"]

    first = counts()
    pid[0] = None
    assert counts() == []
    shutil.copytree(group, group.with_name("new"))
    shutil.move(group, tmp_path / "old")
    shutil.move(group.with_name("new"), group)
    pid[0] = 200
    assert first
    assert counts() == [(pytest.approx(2 * value), attributes) for value, attributes in first]


def test_unsound_values_are_neither_added_nor_remembered():
    """A negative count stays negative, so that it becomes no point."""
    counters = ContinuedCounters()
    values = ((1, 10), (1, -5), (2, -5), (2, 3), (2, 2**63), (3, 1))
    seen = [
        next(counters.apply([Reading(semconv.PROCESS_CPU_TIME, raw, USER)], lambda owner=owner: owner)).value
        for owner, raw in values
    ]
    assert seen == [10, -5, -5, 13, 2**63, 14]


def test_gauges_and_gaps_pass_and_the_memory_is_bounded():
    """Only counters are continued; series that come and go do not fill the memory."""
    counters = ContinuedCounters()
    gauge, gap = Reading(semconv.PROCESS_MEMORY_USAGE, 7, {}), Gap("x", "absent")
    passed = [*counters.apply([gauge, gap], lambda: 1), *counters.apply([gauge, gap], lambda: 2)]
    for number in range(2 * MAX_SERIES):
        list(counters.apply([Reading(semconv.CONTAINER_DISK_IO, 1, {"system.device.name": str(number)})], lambda: 1))
    assert passed == [gauge, gap] * 2
    assert len(counters) == MAX_SERIES


def test_a_series_that_was_read_last_is_not_forgotten():
    """The series that was not read for longest makes room for a new one."""
    counters = ContinuedCounters()
    kept = Reading(semconv.PROCESS_CPU_TIME, 10, USER)
    disks = [
        Reading(semconv.CONTAINER_DISK_IO, 1, {"system.device.name": str(number)}) for number in range(MAX_SERIES + 1)
    ]
    list(counters.apply([disks[0], kept, *disks[1 : MAX_SERIES - 1], kept, *disks[-2:]], lambda: 1))
    assert next(counters.apply([kept], lambda: 2)).value == 20
