from __future__ import annotations

import shutil

import pytest

from otel_ml.resource_sampler import ContainerSource, Gap


def container(root):
    return ContainerSource(proc=root / "proc", root=root)


def pressure(resource, stall, seconds):
    attributes = {
        "otelml.pressure.resource": resource,
        "otelml.pressure.stall.type": stall,
        "otelml.pressure.scope": "container",
    }
    return ("otelml.pressure.stall.time", pytest.approx(seconds), attributes)


CPU = [
    ("container.cpu.time", pytest.approx(7.0), {"cpu.mode": "user"}),
    ("container.cpu.time", pytest.approx(2.3), {"cpu.mode": "system"}),
]
THROTTLING = [
    ("otelml.container.cpu.periods", 400, {}),
    ("otelml.container.cpu.throttled.periods", 60, {}),
    ("otelml.container.cpu.throttled.time", pytest.approx(1.5), {}),
]
MEMORY = [
    ("container.memory.usage", 161480704, {}),
    ("container.memory.working_set", 161480704 - 20971520, {}),
    ("container.memory.rss", 104857600, {}),
]
FAULTS = [
    ("container.paging.faults", 30, {"system.paging.fault.type": "major"}),
    ("container.paging.faults", 49970, {"system.paging.fault.type": "minor"}),
]
PRESSURE = [
    pressure("cpu", "some", 4.0),
    pressure("cpu", "full", 1.0),
    pressure("memory", "some", 0.0003),
    pressure("memory", "full", 0.0002),
    pressure("io", "some", 0),
    pressure("io", "full", 0),
    pressure("irq", "full", 0.25),
]


DISK_IO = [
    ("container.disk.io", 1048576, {"system.device.name": "vda", "disk.io.direction": "read"}),
    ("container.disk.io", 4096, {"system.device.name": "vda", "disk.io.direction": "write"}),
    ("container.disk.io", 512, {"system.device.name": "8:16", "disk.io.direction": "read"}),
    ("container.disk.io", 0, {"system.device.name": "8:16", "disk.io.direction": "write"}),
]


def limits(cpu, memory):
    return (
        [("otelml.container.cpu.limit", pytest.approx(cpu), {})],
        [
            ("otelml.container.memory.limit", memory, {}),
            ("container.memory.available", memory - (161480704 - 20971520), {}),
        ],
    )


def test_version_2_in_a_private_namespace(data, flat):
    """The group looks like the root but is the container's."""
    cpu_limit, memory_limit = limits(1.5, 536870912)
    report = container(data / "cgroup_v2_private").read()
    oom = [("otelml.container.memory.oom_kills", 1, {})]
    assert flat(report) == [*CPU, *cpu_limit, *THROTTLING, *MEMORY, *memory_limit, *FAULTS, *oom, *DISK_IO, *PRESSURE]
    assert report.gaps == ()


def test_version_2_takes_the_smallest_limit_up_the_tree(data, flat):
    """A container without limits is bound by its pod's limits."""
    cpu_limit, memory_limit = limits(0.5, 268435456)
    rows = flat(container(data / "cgroup_v2_nested").read())
    assert [row for row in rows if row[0] == "otelml.container.cpu.limit"] == cpu_limit
    assert [row for row in rows if row[0] in {"otelml.container.memory.limit", "container.memory.available"}] == (
        memory_limit
    )


def test_throttling_is_that_of_the_group_whose_quota_binds(data, flat):
    """The pod's quota throttles the container, whose own group does not count it."""
    rows = [
        row for row in flat(container(data / "cgroup_v2_nested").read()) if "periods" in row[0] or "throttled" in row[0]
    ]
    assert rows == [
        ("otelml.container.cpu.periods", 900, {}),
        ("otelml.container.cpu.throttled.periods", 200, {}),
        ("otelml.container.cpu.throttled.time", 5.0, {}),
    ]


def test_version_1_with_the_path_of_the_host(data, flat):
    """The path is the host's, the mount is rooted at the container."""
    cpu_limit, memory_limit = limits(1.5, 536870912)
    report = container(data / "cgroup_v1_docker").read()
    oom = [("otelml.container.memory.oom_kills", 1, {})]
    assert flat(report) == [*CPU, *cpu_limit, *THROTTLING, *MEMORY, *memory_limit, *FAULTS, *oom, *DISK_IO]
    assert report.gaps == (Gap("container pressure", "absent", "no unified control group of its own"),)


def test_hybrid_reads_only_the_groups_that_are_its_own(data, flat):
    """A root group is the whole host, which is no container; no limit is no point."""
    report = container(data / "cgroup_hybrid").read()
    assert flat(report) == [
        ("container.memory.usage", 34803712, {}),
        ("container.memory.working_set", 34803712 - 20971520, {}),
        ("container.memory.rss", 104857600, {}),
        *FAULTS,
    ]
    assert report.gaps == (
        Gap("container cpu", "absent", "no cpuacct control group of its own"),
        Gap("container cpu limit", "absent", "no cpu control group of its own"),
        Gap("container oom kills", "absent", "No such file or directory"),
        Gap("container disk io", "absent", "no blkio control group of its own"),
        Gap("container pressure", "absent", "no unified control group of its own"),
    )


def test_the_root_of_version_2_is_no_container(data):
    """A process on the bare host has no container figures."""
    report = container(data / "cgroup_v2_root").read()
    assert report.readings == ()
    assert {gap.kind for gap in report.gaps} == {"absent"}


def throttling(source):
    return [r.value for r in source.read().readings if "periods" in r.metric.name or "throttled" in r.metric.name]


def test_of_equal_quotas_the_innermost_binds(data, tmp_path):
    """A pod has the sum of its containers' quotas: with one container both have the same, whatever their names."""
    root = shutil.copytree(data / "cgroup_v2_nested", tmp_path / "tree")
    group = root / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/cri-abc.scope"
    (group / "cpu.max").write_text("50000 100000\n")
    assert throttling(container(root)) == [400, 60, 1.5]


def test_a_resize_that_lets_another_group_bind_adds_nothing_of_its_past(data, tmp_path):
    """400 periods of the container, then those of its pod from then on, then the container's again."""
    root = shutil.copytree(data / "cgroup_v2_nested", tmp_path / "tree")
    pod = root / "sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice"
    own = pod / "cri-abc.scope"
    source = container(root)
    (own / "cpu.max").write_text("40000 100000\n")
    seen = [throttling(source)]
    (own / "cpu.max").write_text("max 100000\n")
    seen.append(throttling(source))
    stat = pod / "cpu.stat"
    stat.write_text(stat.read_text().replace("900", "905").replace("200\n", "201\n").replace("5000000", "5500000"))
    seen.append(throttling(source))
    (own / "cpu.max").write_text("40000 100000\n")
    seen.append(throttling(source))
    assert seen == [[400, 60, 1.5], [400, 60, 1.5], [405, 61, 2.0], [405, 61, 2.0]]


def test_limits_that_change_are_seen(data, tmp_path, flat):
    """A pod can be resized while it runs."""
    root = shutil.copytree(data / "cgroup_v2_private", tmp_path / "tree")
    source = container(root)
    before = source.cpu_limit()
    (root / "sys/fs/cgroup/cpu.max").write_text("300000 100000\n")
    after = source.cpu_limit()
    (root / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    assert (before, after, source.cpu_limit()) == (1.5, 3.0, None)


@pytest.mark.parametrize(("content", "error"), [("1 0\n", "ZeroDivisionError"), ("9" * 400 + " 1\n", "OverflowError")])
def test_an_impossible_quota_costs_only_itself(data, tmp_path, content, error):
    """A period of zero or a number of 400 digits: a gap, and the rest of the container is read."""
    root = shutil.copytree(data / "cgroup_v2_private", tmp_path / "tree")
    source = container(root)
    whole = source.read()
    (root / "sys/fs/cgroup/cpu.max").write_text(content)
    report = source.read()
    lost = {reading.metric.name for reading in whole.readings} - {reading.metric.name for reading in report.readings}
    assert lost == {"otelml.container.cpu.limit", *(name for name, _, _ in THROTTLING)}
    assert set(report.gaps) - set(whole.gaps) == {Gap("container cpu limit", "malformed", error)}
    assert source.cpu_limit() is None


@pytest.mark.parametrize(
    "name", ["cpu.stat", "cpu.max", "memory.current", "memory.stat", "memory.max", "memory.events", "io.stat"]
)
@pytest.mark.parametrize("content", [None, "", "nonsense\n", "a b c d\n"])
def test_a_broken_file_costs_only_its_own_readings(data, tmp_path, flat, name, content):
    """Missing, empty or malformed: no exception and no invented value."""
    whole = flat(container(data / "cgroup_v2_private").read())
    root = shutil.copytree(data / "cgroup_v2_private", tmp_path / "tree")
    path = root / "sys/fs/cgroup" / name
    path.unlink() if content is None else path.write_text(content)
    rows = flat(container(root).read())
    assert all(row in whole for row in rows)
    assert 0 < len(rows) < len(whole)


@pytest.mark.parametrize("name", ["cgroup", "mountinfo"])
@pytest.mark.parametrize("content", ["", "nonsense\n", "1:a:/x - y\n", "1:memory:/../other\n0::/../x\n"])
def test_an_unreadable_place_is_no_reading_of_another_place(data, tmp_path, flat, name, content):
    """A group that cannot be found or is not visible has no figures."""
    whole = flat(container(data / "cgroup_v1_docker").read())
    root = shutil.copytree(data / "cgroup_v1_docker", tmp_path / "tree")
    (root / "proc/self" / name).write_text(content)
    rows = flat(container(root).read())
    assert all(row in whole for row in rows)


def test_live_reading_does_not_fail():
    """Every layout of this machine gives readings or gaps, and no counted error."""
    report = ContainerSource().read()
    assert report.readings or report.gaps
    assert {gap.kind for gap in report.gaps} <= {"absent"}
