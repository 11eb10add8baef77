"""What a container read and wrote is told by disk, however the kernel writes its rows.

containerd/cgroups#393, canonical/lxd#18609, arianvp/cgroup-exporter#23 (rows without a number), canonical/lxd#10052
(several numbers in one row), green-coding-solutions/green-metrics-tool#1837 (a row without figures), sysstat/sysstat#341
(NVMe disks that can have several paths).
"""

from __future__ import annotations

import pytest

from otel_ml.resource_sampler import ContainerSource

DISKSTATS = "8 0 sda\n252 0 dm-0\n259 0 nvme0n1\n0 0 nvme0c0n1\n0 0 nvme0c1n1\n"


@pytest.fixture
def disk_io(tree):
    """A function that returns the bytes of a container by disk and direction, with the file that the kernel shows."""
    tree.write("proc/diskstats", DISKSTATS)
    for folder in ("8:0/device/vendor", "252:0/slaves/sda/x", "259:0/device/subsysnqn", "7:4/loop/x"):
        tree.write(f"sys/dev/block/{folder}")

    def read(version, content):
        if version == 2:
            tree.write("proc/self/cgroup", "0::/\n")
            tree.write("proc/self/mountinfo", "36 35 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n")
            tree.write("sys/fs/cgroup/cgroup.type", "domain\n")
            tree.write("sys/fs/cgroup/io.stat", content)
        else:
            tree.write("proc/self/cgroup", "5:blkio:/\n")
            tree.write("proc/self/mountinfo", "36 35 0:27 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n")
            tree.write("sys/fs/cgroup/blkio/blkio.throttle.io_service_bytes", content)
        report = ContainerSource(proc=tree.proc, root=tree.root).read()
        rows = [reading for reading in report.readings if reading.metric.name == "container.disk.io"]
        return [(row.attributes["system.device.name"], row.attributes["disk.io.direction"], row.value) for row in rows]

    return read


def test_a_disk_with_several_paths_is_counted_once_and_by_its_name(disk_io):
    """The kernel counts the bytes at the disk; the rows of its paths have no number, and are as many as there are paths."""
    content = (
        "259:0 rbytes=1048576 wbytes=4096 rios=20 wios=1 dbytes=0 dios=0\n"
        "(unknown) rbytes=0 wbytes=0 rios=19 wios=1 dbytes=0 dios=0\n"
        "(unknown) rbytes=8192 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
    )
    assert disk_io(2, content) == [("nvme0n1", "read", 1048576), ("nvme0n1", "write", 4096)]


def test_the_same_disk_of_an_older_control_group(disk_io):
    """One row a direction has the same two forms."""
    content = "".join(
        f"{number} {kind} {count}\n" for number in ("259:0", "(unknown)") for kind, count in (("Read", 7), ("Write", 9))
    )
    assert disk_io(1, content + "Total 32\n") == [("nvme0n1", "read", 7), ("nvme0n1", "write", 9)]


def test_a_row_that_begins_with_other_devices_is_that_of_the_last(disk_io):
    """Some kernels write the numbers of devices without counts before the next row, in the same line."""
    content = "7:4 252:0 8:0 rbytes=28672 wbytes=512 rios=22 wios=1 dbytes=0 dios=0\n8:0 7:4 rbytes=5 wbytes=0 rios=1 wios=0\n"
    assert disk_io(2, content) == [("sda", "read", 28672), ("sda", "write", 512)]


def test_a_row_without_figures_is_no_disk(disk_io):
    """A device whose counts are not there yet, and one that only the cost controller knows."""
    assert disk_io(2, "252:0 \n8:0 cost.usage=5\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n") == [
        ("8:16", "read", 1),
        ("8:16", "write", 2),
    ]
