"""Disks, file systems and interfaces are chosen by what the kernel says of them, not by their names.

prometheus/node_exporter#1162, #2450, #3232 (ZFS), #2403 (two file systems at one point), sysstat/sysstat#256 and
netdata/netdata#14666 (bind mounts), netdata/netdata#18384 (bonds), ganglia/monitor-core#84 (VLANs), Atoptool/atop#157
(NVMe multipath).
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from otel_ml.resource_sampler import Gap, HostSource

KINDS = "nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\toverlay\nnodev\tfuse\nnodev\tnfs4\nnodev\tzfs\n\text4\n\txfs\n\tbtrfs\n\tfuseblk\n"


def statvfs(point):
    return SimpleNamespace(f_frsize=1024, f_blocks=100, f_bfree=50, f_bavail=50)


def mounts(tree, table, numbers=None, kinds=KINDS, **options):
    """Mount points that are reported of a table of mounts, and the gaps."""
    tree.write("proc/self/mounts", "".join(f"{row} rw 0 0\n" for row in table))
    if kinds:
        tree.write("proc/filesystems", kinds)
    if numbers is not None:
        rows = (f"36 35 {number} / {point} rw - ext4 x rw\n" for point, number in numbers.items())
        tree.write("proc/self/mountinfo", "".join(rows))
    report = HostSource(proc=tree.proc, parts=("filesystem",), statvfs=statvfs, **options).read()
    return [r.attributes["system.filesystem.mountpoint"] for r in report.readings[3::4]], report.gaps


@pytest.mark.parametrize("kinds", [KINDS, ""])
def test_a_pool_is_reported_and_a_program_is_not(tree, kinds):
    """Each ZFS file system is there; FUSE mounts of programs, whatever they call themselves, are none of the disks."""
    table = [
        "/dev/sda1 / ext4",
        "tank/data /tank/data zfs",
        "tank/pg /tank/pg zfs",
        "/dev/fuse /run/user/1000/doc fuse.portal",
        "/dev/sdb1 /media/stick fuseblk",
        "user@host:/ /mnt/far fuse.sshfs",
    ]
    points, gaps = mounts(tree, table, kinds=kinds)
    assert points == ["/", "/media/stick", "/tank/data", "/tank/pg"]
    assert gaps == (Gap("filesystem kinds", "excluded", "not local: fuse.portal, fuse.sshfs"),)


def test_a_device_is_one_row_however_often_it_is_mounted(tree):
    """Bind mounts, other names of the same device, and subvolumes are the same space."""
    table = [
        "/dev/mapper/vg-root / ext4",
        "/dev/dm-0 /srv/bound ext4",
        "/dev/sdb1 /pool btrfs",
        "/dev/sdb1 /pool/deep/home btrfs",
        "/dev/nvme0n1 /data xfs",
    ]
    numbers = {"/": "253:0", "/srv/bound": "253:0", "/pool": "0:41", "/pool/deep/home": "0:42", "/data": "259:0"}
    assert mounts(tree, table, numbers)[0] == ["/", "/data", "/pool"]


def test_a_mount_under_another_one_is_not_reported(tree):
    """What statvfs answers for the point belongs to the mount on top."""
    assert mounts(tree, ["/dev/sda1 / ext4", "/dev/sdb1 /data ext4", "tmpfs /data tmpfs"])[0] == ["/"]


def test_a_real_file_system_below_etc_is_reported_and_a_file_is_not(tree, tmp_path):
    """A container engine mounts single files from the host's disk; a folder is a file system, wherever it is."""
    (tmp_path / "hosts").write_text("")
    (tmp_path / "keys").mkdir()
    table = ["overlay / overlay", f"/dev/sda1 {tmp_path}/hosts ext4", f"/dev/sdb1 {tmp_path}/keys ext4"]
    assert mounts(tree, table)[0] == ["/", f"{tmp_path}/keys"]


def test_a_mount_that_was_asked_for_and_is_not_there_is_a_failure(tree):
    """It is counted and logged like every figure that should be there."""
    points, gaps = mounts(tree, ["/dev/sda1 / ext4", "nas:/x /mnt/nas nfs4"], mounts=["/mnt/nas", "/mnt/gone"])
    assert points == ["/mnt/nas"]
    assert gaps == (Gap("filesystem /mnt/gone", "vanished", "nothing is mounted there"),)


def test_disks_are_what_has_hardware_or_a_connection(tree):
    """One disk is one row: no partition, mapper, array, pool volume, memory, loop or disk above its paths."""
    real = ["sda", "nvme0n1", "xvdb1", "mmcblk0", "cciss!c0d0", "dasda"]
    for name in real:
        tree.disk(name, "device")
    tree.disk("nbd0", "pid")
    tree.disk("nvme1c0n1", "device/subsysnqn", "device/cntlid")
    tree.disk("nvme1n1", "device/subsysnqn")
    for name in ("nbd1", "zram0", "ram0", "loop0", "zd0"):
        tree.disk(name)
    for name in ("dm-0", "md127", "bcache0", "drbd0"):
        tree.disk(name, "slaves/sda")
    names = [path.name.replace("!", "/") for path in (tree.root / "sys/block").iterdir()]
    rows = "".join(f"8 0 {name} 1 0 2 3 4 0 5 6 0 7 8\n" for name in [*names, "sda1", "nvme0n1p1", "mmcblk0p1"])
    tree.write("proc/diskstats", rows)
    report = HostSource(proc=tree.proc, parts=("disk",)).read()
    assert {r.attributes["system.device.name"] for r in report.readings} == {
        *(name.replace("!", "/") for name in real),
        "nbd0",
        "nvme1c0n1",
    }


def interfaces(tree, *names):
    rows = "".join(f"{name}: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n" for name in names)
    tree.write("proc/net/dev", f"head\nhead\n{rows}")
    report = HostSource(proc=tree.proc, parts=("network",)).read()
    return [r.attributes["network.interface.name"] for r in report.readings[::6]]


def test_interfaces_are_what_has_hardware(tree):
    """Names do not matter: a renamed card counts, and what is built on cards or leads to containers does not."""
    tree.interface("lo", kind=772)
    for name in ("enp3s0", "lan-public", "veth-uplink", "ib0"):
        tree.interface(name, "device/vendor")
    tree.interface("bond0", "lower_enp3s0")
    tree.interface("enp3s0.100", "lower_enp3s0", link=2)
    tree.interface("br0", "lower_enp3s0", "bridge/stp_state")
    tree.interface("eni1a2b3c4d5e6", link=3)
    tree.interface("podman0", "bridge/stp_state")
    tree.interface("wg0", kind=65534)
    tree.interface("tun0", "tun_flags", kind=65534)
    tree.interface("dummy0")
    names = sorted(path.name for path in (tree.root / "sys/class/net").iterdir())
    assert interfaces(tree, *names) == ["enp3s0", "ib0", "lan-public", "veth-uplink"]


def test_a_card_below_another_one_is_counted_once(tree):
    """At Azure the synthetic interface counts what its virtual function carries."""
    tree.interface("eth0", "device/vendor", "lower_enP1s1")
    tree.interface("enP1s1", "device/vendor", "master/device/vendor")
    assert interfaces(tree, "eth0", "enP1s1") == ["eth0"]


@pytest.mark.parametrize("entries", [{"link": 7}, {"entries": ["tun_flags"]}])
def test_a_pod_has_its_own_end_of_a_pair(tree, entries):
    """Without hardware in the namespace, the interface that leads out of it is the pod's network."""
    tree.interface("lo", kind=772)
    tree.interface("eth0", *entries.get("entries", ()), link=entries.get("link", 0))
    tree.interface("docker0", "bridge/stp_state")
    tree.interface("veth9", "master/bridge", link=12)
    tree.interface("tunl0", kind=768, link=3)
    assert interfaces(tree, "lo", "docker0", "eth0", "tunl0", "veth9") == ["eth0"]


def test_an_interface_is_found_again_when_the_table_changes(tree):
    """A card that is plugged in appears at the next reading."""
    tree.interface("eth0", "device/vendor")
    assert interfaces(tree, "eth0") == ["eth0"]
    source = HostSource(proc=tree.proc, parts=("network",))
    source.read()
    tree.interface("usb0", "device/vendor")
    row = ": 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
    tree.write("proc/net/dev", f"head\nhead\neth0{row}usb0{row}")
    assert len(source.read().readings) == 12


def test_without_sys_every_interface_but_the_loopback_is_reported(tree):
    """Where the kernel tells nothing, nothing is left out."""
    assert interfaces(tree, "lo", "eth0", "veth1") == ["eth0", "veth1"]
