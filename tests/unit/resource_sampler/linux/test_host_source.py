from __future__ import annotations

import shutil
from types import SimpleNamespace

import psutil
import pytest

from otel_ml.resource_sampler import Gap, HostSource


def statvfs(point):
    if point == "/data":
        raise PermissionError(13, "Permission denied")
    return SimpleNamespace(f_frsize=4096, f_blocks=1000, f_bfree=400, f_bavail=300)


def host(data, **options):
    return HostSource(proc=data / "proc_node", sys=data / "proc_node" / "sys", statvfs=statvfs, **options)


def test_cpu_times_are_seconds_by_mode_with_guest_time_counted_once(data, flat):
    """irq and softirq are one mode, guest time stays within user time."""
    report = host(data, parts=("cpu",)).read()
    assert flat(report) == [
        ("system.cpu.time", pytest.approx(59.46), {"cpu.mode": "user"}),
        ("system.cpu.time", pytest.approx(45.18), {"cpu.mode": "nice"}),
        ("system.cpu.time", pytest.approx(48.04), {"cpu.mode": "system"}),
        ("system.cpu.time", pytest.approx(987.81), {"cpu.mode": "idle"}),
        ("system.cpu.time", pytest.approx(7.65), {"cpu.mode": "iowait"}),
        ("system.cpu.time", pytest.approx(3.74), {"cpu.mode": "interrupt"}),
        ("system.cpu.time", pytest.approx(1.41), {"cpu.mode": "steal"}),
        ("system.cpu.logical.count", 2, {}),
    ]
    assert report.gaps == ()


def test_cpu_shares_start_with_the_second_reading_and_sum_to_one(data, flat, tmp_path):
    """A share is the difference of two readings, so the first reading has none."""
    (tmp_path / "stat").write_text("cpu  100 0 100 800 0 0 0 0\ncpu0 0 0\n")
    source = HostSource(proc=tmp_path, parts=("cpu",), utilization=True)
    first = flat(source.read())
    (tmp_path / "stat").write_text("cpu  130 0 110 860 0 0 0 0\ncpu0 0 0\n")
    second = flat(source.read())
    assert [row for row in first if row[0] == "system.cpu.utilization"] == []
    assert [row for row in second if row[0] == "system.cpu.utilization" and row[1]] == [
        ("system.cpu.utilization", pytest.approx(0.3), {"cpu.mode": "user"}),
        ("system.cpu.utilization", pytest.approx(0.1), {"cpu.mode": "system"}),
        ("system.cpu.utilization", pytest.approx(0.6), {"cpu.mode": "idle"}),
    ]


def test_memory_used_is_total_minus_available(data, flat):
    """Used memory follows the convention, so it overlaps with cached."""
    kilobyte, total = 1024, 24683656
    rows = flat(host(data, parts=("memory",)).read())
    expected = []
    for state, kilobytes in (
        ("used", total - 24059896),
        ("free", 21325688),
        ("buffers", 163196),
        ("cached", 2282464 + 599260),
    ):
        attributes = {"system.memory.state": state}
        expected.append(("system.memory.usage", kilobytes * kilobyte, attributes))
        expected.append(("system.memory.utilization", pytest.approx(kilobytes / total), attributes))
    assert rows == [*expected, ("system.memory.linux.available", 24059896 * kilobyte, {})]


def test_swap_and_page_faults(data, flat):
    """Minor faults are all faults minus the major ones."""
    assert flat(host(data, parts=("paging",)).read()) == [
        ("system.paging.usage", (2097148 - 2000000) * 1024, {"system.paging.state": "used"}),
        ("system.paging.usage", 2000000 * 1024, {"system.paging.state": "free"}),
        ("system.paging.faults", 1474, {"system.paging.fault.type": "major"}),
        ("system.paging.faults", 3240563 - 1474, {"system.paging.fault.type": "minor"}),
    ]


def test_disks_are_whole_and_real(data, flat):
    """Partitions, loop, zram and device-mapper devices would count the same bytes twice or none."""
    rows = flat(host(data, parts=("disk",)).read())
    assert [row for row in rows if row[2]["system.device.name"] == "vda"] == [
        ("system.disk.io", 3422538 * 512, {"system.device.name": "vda", "disk.io.direction": "read"}),
        ("system.disk.operations", 85694, {"system.device.name": "vda", "disk.io.direction": "read"}),
        ("system.disk.operation_time", 12.084, {"system.device.name": "vda", "disk.io.direction": "read"}),
        ("system.disk.io", 9834080 * 512, {"system.device.name": "vda", "disk.io.direction": "write"}),
        ("system.disk.operations", 19059, {"system.device.name": "vda", "disk.io.direction": "write"}),
        ("system.disk.operation_time", 80.157, {"system.device.name": "vda", "disk.io.direction": "write"}),
        ("system.disk.io_time", 12.42, {"system.device.name": "vda"}),
    ]
    assert {row[2]["system.device.name"] for row in rows} == {"vda", "nvme0n1"}


def test_file_systems_are_local_and_counted_once(data, flat):
    """The root, then one row a block device; no network, image or bind mount; one that refuses is a gap."""
    report = host(data, parts=("filesystem",)).read()
    base = {"system.filesystem.mode": "rw"}
    root = {"system.device.name": "overlay", "system.filesystem.type": "overlay", "system.filesystem.mountpoint": "/"}
    models = {
        "system.device.name": "/dev/vda",
        "system.filesystem.type": "ext4",
        "system.filesystem.mountpoint": "/models/cache one",
    }
    expected = []
    for mount in (root, models):
        for state, blocks in (("used", 600), ("free", 300), ("reserved", 100)):
            attributes = {**base, **mount, "system.filesystem.state": state}
            expected.append(("system.filesystem.usage", blocks * 4096, attributes))
        expected.append(("system.filesystem.utilization", pytest.approx(600 / 900), {**base, **mount}))
    assert flat(report) == expected
    assert report.gaps == (
        Gap("filesystem /data", "permission", "Permission denied"),
        Gap("filesystem kinds", "excluded", "not local: nfs4, proc, squashfs, sysfs, tmpfs"),
    )


def test_listed_mounts_replace_the_choice(data, flat):
    """A listed mount is reported whatever its kind."""
    rows = flat(host(data, parts=("filesystem",), mounts=["/mnt/nas"]).read())
    assert {row[2]["system.filesystem.mountpoint"] for row in rows} == {"/mnt/nas"}


def test_network_leaves_virtual_interfaces_out(data, flat):
    """Loopback, bridges and containers' ends carry the same bytes again."""
    receive = {"network.interface.name": "eth0", "network.io.direction": "receive"}
    transmit = {"network.interface.name": "eth0", "network.io.direction": "transmit"}
    assert flat(host(data, parts=("network",)).read()) == [
        ("system.network.io", 1328919429, receive),
        ("system.network.errors", 1, receive),
        ("system.network.packet.dropped", 2, receive),
        ("system.network.io", 6611696, transmit),
        ("system.network.errors", 3, transmit),
        ("system.network.packet.dropped", 4, transmit),
    ]


def test_pressure_is_cumulative_seconds_of_the_host(data, flat):
    """The host's CPU has no full stall; that line is always 0."""

    def attributes(resource, stall):
        return {
            "otelml.pressure.resource": resource,
            "otelml.pressure.stall.type": stall,
            "otelml.pressure.scope": "host",
        }

    assert flat(host(data, parts=("pressure",)).read()) == [
        ("otelml.pressure.stall.time", 324.276035, attributes("cpu", "some")),
        ("otelml.pressure.stall.time", 2.5, attributes("memory", "some")),
        ("otelml.pressure.stall.time", 0.5, attributes("memory", "full")),
        ("otelml.pressure.stall.time", 14.053445, attributes("io", "some")),
        ("otelml.pressure.stall.time", 7.910795, attributes("io", "full")),
        ("otelml.pressure.stall.time", 1.5, attributes("irq", "full")),
    ]


def test_devices_beyond_the_limits_are_left_out_and_named(tmp_path, flat):
    """Cardinality is bounded whatever the machine has."""
    (tmp_path / "net").mkdir()
    rows = "".join(f"eth{n}: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n" for n in range(40))
    (tmp_path / "net" / "dev").write_text("head\nhead\n" + rows)
    report = HostSource(proc=tmp_path, parts=("network",)).read()
    assert len(report.readings) == 32 * 6
    assert report.gaps == (Gap("network", "capped", "8 of 40 left out"),)


@pytest.mark.parametrize("name", ["stat", "meminfo", "vmstat", "diskstats", "net/dev", "self/mounts", "pressure/io"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00 nonsense\nmore: nonsense 1 2\n", b"cpu  x y\n"])
def test_a_broken_file_costs_only_its_own_readings(data, tmp_path, flat, name, content):
    """A missing, empty or malformed file raises nothing, invents no value and leaves the other groups whole."""
    whole = flat(host(data).read())
    root = shutil.copytree(data / "proc_node", tmp_path / "proc")
    (root / name).unlink() if content is None else (root / name).write_bytes(content)
    report = HostSource(proc=root, sys=root / "sys", statvfs=statvfs).read()
    rows = flat(report)
    assert all(row in whole for row in rows)
    assert len(rows) < len(whole)


@pytest.mark.parametrize(
    ("name", "before", "after", "lost"),
    [
        ("meminfo", b"MemTotal:       24683656 kB", b"MemTotal: 0 kB", {"memory"}),
        ("meminfo", b"MemTotal:       24683656 kB", b"MemTotal: " + b"9" * 400 + b" kB", {"memory"}),
        ("stat", b"cpu  ", b"cpu  " + b"9" * 400 + b" ", {"cpu"}),
        ("pressure/io", b"total=", b"total=" + b"9" * 400, {"pressure"}),
        ("vmstat", b"pgmajfault ", b"pgmajfault " + b"9" * 400, {"paging"}),
    ],
)
def test_an_impossible_figure_costs_only_its_own_group(data, tmp_path, name, before, after, lost):
    """Zero memory or a number of 400 digits leaves the other groups whole and invents no figure."""
    root = shutil.copytree(data / "proc_node", tmp_path / "proc")
    content = (root / name).read_bytes()
    assert before in content
    (root / name).write_bytes(content.replace(before, after))
    whole = host(data).read()
    report = HostSource(proc=root, sys=root / "sys", statvfs=statvfs).read()
    broken = {gap.what for gap in report.gaps} - {gap.what for gap in whole.gaps}
    assert (broken, {gap.kind for gap in report.gaps if gap.what in broken}) == (lost, {"malformed"})
    assert [reading for reading in report.readings if reading not in whole.readings] == []


def test_a_tree_that_is_not_there_is_all_gaps(tmp_path):
    """On a system without /proc every reading is a gap."""
    report = HostSource(proc=tmp_path, sys=tmp_path / "none", statvfs=statvfs).read()
    assert report.readings == ()
    assert {gap.kind for gap in report.gaps} == {"absent"}


def test_live_figures_agree_with_psutil(flat):
    """An independent reader of the same machine returns the same figures."""
    rows = {(name, *sorted(attributes.items())): value for name, value, attributes in flat(HostSource().read())}
    memory, cpu = psutil.virtual_memory(), psutil.cpu_times()
    assert rows[("system.cpu.logical.count",)] == psutil.cpu_count()
    assert rows["system.cpu.time", ("cpu.mode", "user")] == pytest.approx(cpu.user, abs=30)
    assert rows["system.memory.usage", ("system.memory.state", "used")] == pytest.approx(
        memory.total - memory.available, abs=memory.total / 20
    )
    names = {dict(key[1:]).get("network.interface.name") for key in rows if key[0] == "system.network.io"}
    assert names <= set(psutil.net_io_counters(pernic=True))
