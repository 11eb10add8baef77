"""Machines on which a device changes its kind, hides behind another one, or is one of hundreds.

prometheus/node_exporter#3484, #3261, #3376 and #2805 (a read-only bind mount of a disk that can be written),
prometheus/node_exporter#3687 (a mount point that is no UTF-8), moby/moby#41055 (hundreds of
ZFS file systems, one a container layer), prometheus/node_exporter#959 (a table of mounts with the layers of hundreds of containers), prometheus/node_exporter#2065 and netdata/netdata#10150 (a share whose server is
gone stops the agent), k8snetworkplumbingwg/multus-cni#1400 (a pod with a virtual function beside its own interface),
troglobit/mini-snmpd#23 (ports of a switch and their uplink), prometheus/node_exporter#3317 (the boot time moves with the clock),
lxc/lxcfs#84, #170, #412 and #695, nicolargo/glances#3505 (memory of a container beside figures of its host).
"""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from otel_ml.resource_sampler import Gap, HostSource, ResourceSampler

KINDS = "nodev\ttmpfs\nnodev\toverlay\nnodev\tzfs\nnodev\tcifs\n\text4\n\txfs\n"
ROW = ": 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"


def filesystems(tree, rows, kinds=KINDS):
    """Mount points and modes that are reported of rows of the table of mounts, and the gaps."""
    table = [row.split() for row in rows]
    tree.write(
        "proc/self/mounts", "".join(f"{device} {point} {kind} {mode} 0 0\n" for device, point, kind, mode, *_ in table)
    )
    tree.write(
        "proc/self/mountinfo", "".join(f"36 35 {row[4]} / {row[1]} {row[3]} - x x rw\n" for row in table if row[4:])
    )
    if kinds:
        tree.write("proc/filesystems", kinds)
    space = SimpleNamespace(f_frsize=1024, f_blocks=100, f_bfree=50, f_bavail=50)
    report = HostSource(proc=tree.proc, parts=("filesystem",), statvfs=lambda _: space).read()
    name = "system.filesystem."
    return [
        (r.attributes[f"{name}mountpoint"], r.attributes[f"{name}mode"]) for r in report.readings[3::4]
    ], report.gaps


def test_a_disk_that_can_be_written_somewhere_is_not_read_only(tree):
    """A pod that mounts a folder of the disk read-only and another one to write to still fills the disk."""
    rows = [
        "overlay / overlay ro 0:30",
        "/dev/sda1 /app/config ext4 ro 8:1",
        "/dev/sda1 /var/lib/scratch ext4 rw 8:1",
        "/dev/sdb1 /nix ext4 rw 8:17",
        "/dev/sdb1 /nix/store ext4 ro 8:17",
        "/dev/sdc1 /usr ext4 ro 8:33",
    ]
    assert filesystems(tree, rows)[0] == [("/", "ro"), ("/nix", "rw"), ("/usr", "ro"), ("/app/config", "rw")]


def test_a_disk_that_is_read_only_over_itself_is_written_below(tree):
    """NixOS mounts its store over itself so that only its own service writes to it; another layer's writing is its own."""
    rows = [
        "overlay / overlay ro 0:30",
        "overlay /var/lib/docker/overlay2/a/merged overlay rw 0:31",
        "/dev/sdb1 /nix/store ext4 rw 8:17",
        "/dev/sdb1 /nix/store ext4 ro 8:17",
        "/dev/dm-0 /data ext4 ro 253:0",
        "/dev/mapper/vg-data /srv/data ext4 rw 253:0",
    ]
    assert filesystems(tree, rows)[0] == [("/", "ro"), ("/data", "rw"), ("/nix/store", "rw")]


def test_a_mount_point_whose_name_is_no_text_is_read(tree):
    """Names are bytes: the space is asked for by them, and shown as text."""
    for table, row in (("mounts", b"/dev/mapper/\xe9 /mnt/cass\xe9\\0401 ext4 rw 0 0\n"), ("mountinfo", b"")):
        tree.write(f"proc/self/{table}")
        (tree.proc / "self" / table).write_bytes(row)
    tree.write("proc/filesystems", KINDS)
    asked = []
    space = SimpleNamespace(f_frsize=1024, f_blocks=100, f_bfree=50, f_bavail=50)
    source = HostSource(proc=tree.proc, parts=("filesystem",), statvfs=lambda point: asked.append(point) or space)
    rows = source.read().readings
    assert [os.fsencode(point) for point in asked] == [b"/mnt/cass\xe9 1"]
    assert {row.attributes["system.filesystem.mountpoint"] for row in rows} == {"/mnt/cass? 1"}
    assert {row.attributes["system.device.name"] for row in rows} == {"/dev/mapper/?"}

    def gone(_: str) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    (gap,) = HostSource(proc=tree.proc, parts=("filesystem",), statvfs=gone).read().gaps
    assert gap.what == "filesystem /mnt/cass? 1"


def test_of_too_many_those_nearest_to_the_root_are_reported(tree):
    """File systems of container layers do not take the places of the data disks."""
    layers = [f"rpool/{n} /var/lib/docker/zfs/graph/{n} zfs rw" for n in range(40)]
    points, gaps = filesystems(
        tree, ["rpool/ROOT / zfs rw", *layers, "/dev/sdb1 /volume1 ext4 rw", "zdata /zdata zfs rw"]
    )
    assert [point for point, _ in points[:3]] == ["/", "/volume1", "/zdata"]
    assert (len(points), gaps) == (32, (Gap("filesystem", "capped", "11 of 43 left out"),))


def test_a_disk_that_is_mounted_after_hundreds_of_containers_is_reported(tree):
    """The lines of their layers make the table larger than any other file of /proc."""
    layers = ":".join(f"/var/lib/docker/overlay2/l/{n:026}" for n in range(40))
    rows = [f"overlay /var/lib/docker/overlay2/{n}/merged overlay rw,lowerdir={layers}" for n in range(700)]
    assert filesystems(tree, ["/dev/sda1 / ext4 rw", *rows, "/dev/sdb1 /data ext4 rw"])[0] == [
        ("/", "rw"),
        ("/data", "rw"),
    ]


@pytest.mark.parametrize("kinds", [KINDS, ""])
def test_a_share_is_never_asked(tree, kinds):
    """Its server may be gone, which would stop the sampler; a missing table of kinds changes nothing."""
    rows = ["/dev/sda1 / ext4 rw", "//nas/models /mnt/models cifs rw"]
    assert filesystems(tree, rows, kinds) == (
        [("/", "rw")],
        (Gap("filesystem kinds", "excluded", "not local: cifs"),),
    )


def interfaces(tree, *names, **options):
    tree.write("proc/net/dev", f"head\nhead\n{''.join(name + ROW for name in names)}")
    readings = HostSource(proc=tree.proc, parts=("network",), **options).read().readings
    return [r.attributes["network.interface.name"] for r in readings[::6]]


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("route", f"{ROUTES}eth0\t0001A8C0\t0\t1\t0\t0\t0\t00FFFFFF\neth0\t00000000\t01F4A8C0\t3\t0\t0\t0\t00000000\n"),
        ("ipv6_route", f"{'0' * 32} 00 {'0' * 32} 00 {'f' * 32} 00000400 1 0 00000003     eth0\n"),
    ],
)
def test_a_pod_with_a_card_of_its_own_keeps_its_network(tree, table, row):
    """The interface of the default route is the pod's, whatever other hardware the pod has."""
    tree.interface("eth0", link=44)
    tree.interface("net1", "device/vendor")
    tree.interface("veth1", link=45)
    tree.write(f"proc/net/{table}", row)
    assert interfaces(tree, "lo", "eth0", "net1", "veth1") == ["eth0", "net1"]


def test_the_default_route_of_a_host_is_counted_once(tree):
    """It may lead over a bridge, a bond, a macvlan or a tunnel, whose bytes the card counts."""
    tree.interface("eth0", "device/vendor", "upper_br0/bridge", "upper_mac0/address")
    tree.interface("br0", "lower_eth0", "bridge/stp_state")
    tree.interface("mac0", "lower_eth0", link=1)
    tree.interface("wg0", kind=65534)
    rows = (f"{name}\t00000000\t0\t3\t0\t0\t0\t00000000\n" for name in ("br0", "mac0", "wg0"))
    tree.write("proc/net/route", f"{ROUTES}{''.join(rows)}")
    assert interfaces(tree, "eth0", "br0", "mac0", "wg0") == ["eth0"]


def test_ports_of_a_switch_count_what_their_uplink_carries(tree):
    """Every frame of a port passes the uplink as well."""
    tree.interface("eth0", "device/of_node", "upper_lan1/device", "upper_lan2/device")
    tree.interface("lan1", "device/of_node", "lower_eth0/device", link=1)
    tree.interface("lan2", "device/of_node", "lower_eth0/device", link=1)
    assert interfaces(tree, "eth0", "lan1", "lan2") == ["lan1", "lan2"]


def test_a_device_that_gets_its_connection_later_appears(tree):
    """A network block device waits for its server, and a virtual function for its place below the machine's card."""
    tree.disk("nbd0")
    tree.write("proc/diskstats", "43 0 nbd0 1 0 2 3 4 0 5 6 0 7 8\n")
    tree.interface("eth0", "device/vendor")
    tree.interface("enP1", "device/vendor")
    tree.write("proc/net/dev", f"head\nhead\neth0{ROW}enP1{ROW}")
    seconds = [0.0]
    source = HostSource(proc=tree.proc, parts=("disk", "network"), clock=lambda: seconds[0])

    def names():
        return {value for r in source.read().readings for value in r.attributes.values()} - {
            "read",
            "write",
            "receive",
            "transmit",
        }

    assert names() == {"eth0", "enP1"}
    tree.disk("nbd0", "pid")
    tree.write("sys/class/net/enP1/master/device/vendor")
    seconds[0] += 60
    assert names() == {"eth0", "nbd0"}


def stat(btime=1_700_000_000, **ticks):
    columns = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    row = " ".join(str(ticks.get(column, 100)) for column in columns)
    return f"cpu  {row} 0 0\ncpu0 {row} 0 0\nbtime {btime}\n"


@pytest.mark.parametrize(
    "fall",
    [
        {"mode": "steal", "values": (900_000, 600_000, 600_010), "seconds": (9000.0, 9000.0, 9000.1)},
        {"mode": "idle", "values": (90_000, 45_000, 45_010), "seconds": (900.0, 900.0, 900.1)},
        {"mode": "steal", "values": (1000, 1_844_674_407_370, 1010), "seconds": (10.0, None, 10.1)},
    ],
    ids=["moved to another host", "a CPU switched off", "below zero"],
)
def test_a_time_that_falls_while_the_clock_moves_is_no_boot(tree, fall):
    """A machine that is moved gets its clock set as well, and the boot time wavers by a second; the time at work never falls."""
    sampler = ResourceSampler(sources=[HostSource(proc=tree.proc, parts=("cpu",))], budget=64)
    rows = []
    for tick, value in enumerate(fall["values"]):
        tree.write("proc/stat", stat(1_700_000_000 + tick, user=5000 + tick, **{fall["mode"]: value}))
        points = {attributes["cpu.mode"]: seconds for seconds, attributes in sampler.tick()["system.cpu.time"]}
        rows.append((points["user"], points.get(fall["mode"])))
    assert rows == [
        (pytest.approx(50.0 + tick / 100), fall["seconds"][tick] and pytest.approx(fall["seconds"][tick]))
        for tick in range(3)
    ]


def memory(tree, **kilobytes):
    """What is reported of memory and swap, by metric and state, and what is missing."""
    figures = {"MemTotal": 1000, "MemFree": 500, "MemAvailable": 600, "Buffers": 10, "Cached": 90, "SReclaimable": 10}
    figures |= {"SwapTotal": 200, "SwapFree": 150, **kilobytes}
    tree.write("proc/meminfo", "".join(f"{name}: {size:>20} kB\n" for name, size in figures.items()))
    tree.write("proc/vmstat", "pgfault 10\npgmajfault 1\n")
    report = HostSource(proc=tree.proc, parts=("memory", "paging")).read()
    return {
        (reading.metric.name.removeprefix("system."), *reading.attributes.values()): reading.value / 1024
        for reading in report.readings
        if reading.metric.unit == "By"
    }, [(gap.what, gap.kind) for gap in report.gaps]


USUAL = {
    ("memory.usage", "used"): 400,
    ("memory.usage", "free"): 500,
    ("memory.usage", "buffers"): 10,
    ("memory.usage", "cached"): 100,
    ("memory.linux.available",): 600,
    ("paging.usage", "used"): 50,
    ("paging.usage", "free"): 150,
}


SWAP = {("paging.usage", "used"), ("paging.usage", "free")}


@pytest.mark.parametrize(
    ("figures", "lost", "gaps"),
    [
        ({"MemAvailable": 1000, "SwapFree": 200}, set(), ()),
        (
            {"MemAvailable": 1001},
            {("memory.usage", "used"), ("memory.linux.available",)},
            ("memory used", "memory available"),
        ),
        ({"MemFree": 1001}, {("memory.usage", "free")}, ("memory free",)),
        ({"SReclaimable": 911}, {("memory.usage", "cached")}, ("memory cached",)),
        ({"SwapFree": 201}, SWAP, ("swap",)),
        ({"SwapTotal": 0, "SwapFree": 18446744073709346016}, SWAP, ("swap",)),
        ({"SwapTotal": 9007199246672720, "SwapFree": 9007199246535028}, SWAP, ("swap",)),
    ],
)
def test_more_memory_than_there_is_is_no_reading(tree, figures, lost, gaps):
    """LXC mixes figures of the container and its host: what cannot be true is named as missing, the rest stays."""
    readings, missing = memory(tree, **figures)
    assert (set(readings), missing) == (set(USUAL) - lost, [(what, "malformed") for what in gaps])
    assert memory(tree) == (USUAL, [])
