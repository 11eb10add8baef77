"""Readings of the host: CPU, memory, swap, disks, file systems and network interfaces."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

from otel_ml import semconv
from otel_ml.resource_sampler._pressure import read_pressure
from otel_ml.resource_sampler._source import (
    SECONDS_PER_TICK,
    Gap,
    Reading,
    Report,
    gap_of,
    gather,
    read_pairs,
    read_text,
)

Part = Literal["cpu", "memory", "paging", "disk", "filesystem", "network", "pressure"]
PARTS: Final[tuple[Part, ...]] = ("cpu", "memory", "paging", "disk", "filesystem", "network", "pressure")

MAX_DISKS: Final = 32
MAX_INTERFACES: Final = 32
MAX_FILESYSTEMS: Final = 16

_SECTOR: Final = 512
"""Bytes of a sector in /proc/diskstats, whatever the disk's own sector size."""
_MODES: Final = ("user", "nice", "system", "idle", "iowait", "interrupt", "interrupt", "steal")
"""Columns of the cpu line of /proc/stat; guest time, which follows, is already part of user time."""
_VIRTUAL_DISKS: Final = re.compile(r"(loop|ram|zram|sr|fd|dm-|md|nbd)\d*")
"""Not disks, or built from disks that are counted already."""
_VIRTUAL_INTERFACES: Final = re.compile(
    r"(lo|(veth|docker|br-|virbr|cni|cbr|flannel|cali|cilium|lxc|ifb|dummy|tunl|kube-|nodelocaldns|vnet|tap|sit|gre|ip6tnl).*)"
)
_IMAGE_FILESYSTEMS: Final = frozenset({"squashfs", "iso9660", "erofs", "cramfs"})
"""Read-only images, always full."""
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


class StatVfs(Protocol):
    """The fields of `os.statvfs` that are used."""

    @property
    def f_frsize(self) -> int: ...
    @property
    def f_blocks(self) -> int: ...
    @property
    def f_bfree(self) -> int: ...
    @property
    def f_bavail(self) -> int: ...


class HostSource:
    """Reads the host's figures from /proc and /sys; Linux only, elsewhere everything is a gap.

    Inside a container CPU, memory, disks and pressure are the host's, network interfaces are those of the pod.

    Args:
        proc: Root of the proc file system.
        sys_block: Folder with one entry for each whole disk.
        parts: Which groups of figures to read.
        utilization: Whether to add the shares of CPU time, from the second reading on.
        mounts: Mount points to report; by default the root and all file systems on local block devices.
        statvfs: `os.statvfs`, or what answers like it.
    """

    name = "host"

    def __init__(  # noqa: PLR0913 - seams, all of them keywords
        self,
        *,
        proc: str | Path = "/proc",
        sys_block: str | Path = "/sys/block",
        parts: Sequence[Part] = PARTS,
        utilization: bool = False,
        mounts: Sequence[str] | None = None,
        statvfs: Callable[[str], StatVfs] | None = None,
    ) -> None:
        self._proc = Path(proc)
        self._sys_block = Path(sys_block)
        self._utilization = utilization
        self._mounts = mounts
        self._statvfs: Callable[[str], StatVfs] = statvfs or os.statvfs
        self._tick = SECONDS_PER_TICK
        self._cpu_before: dict[str, float] = {}
        steps = {
            "cpu": self._cpu,
            "memory": self._memory,
            "paging": self._paging,
            "disk": self._disks,
            "filesystem": self._filesystems,
            "network": self._network,
            "pressure": self._pressure,
        }
        self._steps = tuple((part, steps[part]) for part in PARTS if part in parts)
        self.metrics: tuple[semconv.Metric, ...] = tuple(
            metric for part in PARTS if part in parts for metric in _METRICS[part]
        )

    def read(self) -> Report:
        """Reads each group once; a group that fails is a gap."""
        return gather(self._steps)

    def close(self) -> None:
        """Forgets the last CPU times."""
        self._cpu_before = {}

    def _cpu(self) -> Iterator[Reading]:
        lines = read_text(self._proc / "stat").splitlines()
        times: dict[str, float] = {}
        columns = next((line for line in lines if line.startswith("cpu ")), "").split()[1:]
        for mode, ticks in zip(_MODES, columns, strict=False):
            times[mode] = times.get(mode, 0.0) + int(ticks) * self._tick
        if not times:
            raise ValueError("no cpu line")
        for mode, seconds in times.items():
            yield Reading(semconv.SYSTEM_CPU_TIME, seconds, {semconv.CPU_MODE: mode})
        count = sum(line[:3] == "cpu" and line[3:4].isdecimal() for line in lines)
        if count:
            yield Reading(semconv.SYSTEM_CPU_LOGICAL_COUNT, count, {})
        if self._utilization:
            yield from _shares(self._cpu_before, times)
            self._cpu_before = times

    def _memory(self) -> Iterator[Reading]:
        kilobytes = read_pairs(self._proc / "meminfo")
        total = kilobytes["MemTotal"] * 1024
        states = {
            "used": total - kilobytes["MemAvailable"] * 1024 if "MemAvailable" in kilobytes else None,
            "free": kilobytes["MemFree"] * 1024,
            "buffers": kilobytes["Buffers"] * 1024,
            "cached": (kilobytes["Cached"] + kilobytes.get("SReclaimable", 0)) * 1024,
        }
        for state, size in states.items():
            if size is not None:
                attributes = {semconv.SYSTEM_MEMORY_STATE: state}
                yield Reading(semconv.SYSTEM_MEMORY_USAGE, size, attributes)
                yield Reading(semconv.SYSTEM_MEMORY_UTILIZATION, size / total, attributes)
        if "MemAvailable" in kilobytes:
            yield Reading(semconv.SYSTEM_MEMORY_LINUX_AVAILABLE, kilobytes["MemAvailable"] * 1024, {})

    def _paging(self) -> Iterator[Reading]:
        kilobytes = read_pairs(self._proc / "meminfo")
        free = kilobytes["SwapFree"] * 1024
        used = kilobytes["SwapTotal"] * 1024 - free
        yield Reading(semconv.SYSTEM_PAGING_USAGE, used, {semconv.SYSTEM_PAGING_STATE: "used"})
        yield Reading(semconv.SYSTEM_PAGING_USAGE, free, {semconv.SYSTEM_PAGING_STATE: "free"})
        counts = read_pairs(self._proc / "vmstat")
        major = counts["pgmajfault"]
        yield Reading(semconv.SYSTEM_PAGING_FAULTS, major, {semconv.SYSTEM_PAGING_FAULT_TYPE: "major"})
        minor = counts["pgfault"] - major
        yield Reading(semconv.SYSTEM_PAGING_FAULTS, minor, {semconv.SYSTEM_PAGING_FAULT_TYPE: "minor"})

    def _disks(self) -> Iterator[Reading | Gap]:
        whole = {entry.name.replace("!", "/") for entry in self._sys_block.iterdir()}
        rows = [line.split() for line in read_text(self._proc / "diskstats").splitlines()]
        disks = [row for row in rows if row[2] in whole and not _VIRTUAL_DISKS.fullmatch(row[2])]
        for row in disks[:MAX_DISKS]:
            device = {semconv.SYSTEM_DEVICE: row[2]}
            for direction, first in (("read", 3), ("write", 7)):
                operations, sectors, milliseconds = int(row[first]), int(row[first + 2]), int(row[first + 3])
                attributes = {**device, semconv.DISK_IO_DIRECTION: direction}
                yield Reading(semconv.SYSTEM_DISK_IO, sectors * _SECTOR, attributes)
                yield Reading(semconv.SYSTEM_DISK_OPERATIONS, operations, attributes)
                yield Reading(semconv.SYSTEM_DISK_OPERATION_TIME, milliseconds / 1000, attributes)
            yield Reading(semconv.SYSTEM_DISK_IO_TIME, int(row[12]) / 1000, device)
        if len(disks) > MAX_DISKS:
            yield Gap("disk", "capped", f"{len(disks) - MAX_DISKS} of {len(disks)} disks left out")

    def _filesystems(self) -> Iterator[Reading | Gap]:
        mounts = _worthwhile(self._proc / "self" / "mounts", self._mounts)
        for device, point, kind, mode in mounts[:MAX_FILESYSTEMS]:
            attributes = {
                semconv.SYSTEM_DEVICE: device,
                semconv.SYSTEM_FILESYSTEM_TYPE: kind,
                semconv.SYSTEM_FILESYSTEM_MODE: mode,
                semconv.SYSTEM_FILESYSTEM_MOUNTPOINT: point,
            }
            try:
                space = self._statvfs(point)
            except OSError as error:
                yield gap_of(f"filesystem {point}", error)
                continue
            yield from _space(space, attributes)
        if len(mounts) > MAX_FILESYSTEMS:
            yield Gap("filesystem", "capped", f"{len(mounts) - MAX_FILESYSTEMS} of {len(mounts)} left out")

    def _network(self) -> Iterator[Reading | Gap]:
        rows = [line.rpartition(":") for line in read_text(self._proc / "net" / "dev").splitlines()[2:]]
        interfaces = [(name.strip(), columns.split()) for name, _, columns in rows]
        interfaces = [(name, row) for name, row in interfaces if not _VIRTUAL_INTERFACES.fullmatch(name)]
        for name, row in interfaces[:MAX_INTERFACES]:
            for direction, first in (("receive", 0), ("transmit", 8)):
                attributes = {semconv.NETWORK_INTERFACE_NAME: name, semconv.NETWORK_IO_DIRECTION: direction}
                yield Reading(semconv.SYSTEM_NETWORK_IO, int(row[first]), attributes)
                yield Reading(semconv.SYSTEM_NETWORK_ERRORS, int(row[first + 2]), attributes)
                yield Reading(semconv.SYSTEM_NETWORK_PACKET_DROPPED, int(row[first + 3]), attributes)
        if len(interfaces) > MAX_INTERFACES:
            yield Gap("network", "capped", f"{len(interfaces) - MAX_INTERFACES} of {len(interfaces)} left out")

    def _pressure(self) -> Iterator[Reading | Gap]:
        # "full" of the host's CPU is always 0: some task always runs.
        return read_pressure(self._proc / "pressure", "{resource}", scope="host", skip=(("cpu", "full"),))


def _shares(before: Mapping[str, float], now: Mapping[str, float]) -> Iterator[Reading]:
    spent = {mode: max(0.0, seconds - before[mode]) for mode, seconds in now.items() if mode in before}
    total = sum(spent.values())
    if total > 0:
        for mode, seconds in spent.items():
            yield Reading(semconv.SYSTEM_CPU_UTILIZATION, seconds / total, {semconv.CPU_MODE: mode})


def _space(space: StatVfs, attributes: Mapping[str, str]) -> Iterator[Reading]:
    states = {
        "used": space.f_blocks - space.f_bfree,
        "free": space.f_bavail,
        "reserved": space.f_bfree - space.f_bavail,
    }
    for state, blocks in states.items():
        yield Reading(
            semconv.SYSTEM_FILESYSTEM_USAGE,
            blocks * space.f_frsize,
            {**attributes, semconv.SYSTEM_FILESYSTEM_STATE: state},
        )
    fillable = states["used"] + states["free"]
    if fillable > 0:
        yield Reading(semconv.SYSTEM_FILESYSTEM_UTILIZATION, states["used"] / fillable, attributes)


def _worthwhile(mounts: Path, listed: Sequence[str] | None) -> list[tuple[str, str, str, str]]:
    """Device, mount point, type and mode of the mounts to report; never a network file system unless it is listed.

    A network file system whose server is gone would hold the sampler's thread for ever.
    """
    chosen: dict[str, tuple[str, str, str, str]] = {}
    for line in read_text(mounts).splitlines():
        device, point, kind, options = (_unescape(part) for part in line.split()[:4])
        mode = "ro" if "ro" in options.split(",") else "rw"
        if listed is not None:
            if point in listed:
                chosen[point] = (device, point, kind, mode)
        elif point == "/" or _is_local_disk(device, point, kind):
            # one device, one row: the mount nearest to the root, not each bind mount of it
            before = chosen.get(device)
            if before is None or len(point) < len(before[1]):
                chosen[device] = (device, point, kind, mode)
    return sorted(chosen.values(), key=lambda mount: mount[1])


def _is_local_disk(device: str, point: str, kind: str) -> bool:
    # /etc/hosts and its like are single files that a container engine mounts from the host's disk
    return device.startswith("/dev/") and kind not in _IMAGE_FILESYSTEMS and not point.startswith(("/etc/", "/dev/"))


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


_METRICS: Final = {
    "cpu": (semconv.SYSTEM_CPU_TIME, semconv.SYSTEM_CPU_LOGICAL_COUNT, semconv.SYSTEM_CPU_UTILIZATION),
    "memory": (
        semconv.SYSTEM_MEMORY_USAGE,
        semconv.SYSTEM_MEMORY_UTILIZATION,
        semconv.SYSTEM_MEMORY_LINUX_AVAILABLE,
    ),
    "paging": (semconv.SYSTEM_PAGING_USAGE, semconv.SYSTEM_PAGING_FAULTS),
    "disk": (
        semconv.SYSTEM_DISK_IO,
        semconv.SYSTEM_DISK_OPERATIONS,
        semconv.SYSTEM_DISK_OPERATION_TIME,
        semconv.SYSTEM_DISK_IO_TIME,
    ),
    "filesystem": (semconv.SYSTEM_FILESYSTEM_USAGE, semconv.SYSTEM_FILESYSTEM_UTILIZATION),
    "network": (semconv.SYSTEM_NETWORK_IO, semconv.SYSTEM_NETWORK_ERRORS, semconv.SYSTEM_NETWORK_PACKET_DROPPED),
    "pressure": (semconv.PRESSURE_STALL_TIME,),
}
