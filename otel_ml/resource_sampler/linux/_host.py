"""Readings of the host: CPU, memory, swap, disks, file systems, network interfaces and pressure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import number_after, read_bytes
from otel_ml.resource_sampler._source import SECONDS_PER_TICK, Gap, Reading, Report, gather, measured
from otel_ml.resource_sampler.linux._disks import MAX_DISKS, Disks
from otel_ml.resource_sampler.linux._filesystems import MAX_FILESYSTEMS, Filesystems, StatVfs
from otel_ml.resource_sampler.linux._network import MAX_INTERFACES, Network
from otel_ml.resource_sampler.linux._pressure import Pressure

__all__ = ["MAX_DISKS", "MAX_FILESYSTEMS", "MAX_INTERFACES", "PARTS", "HostSource", "Part"]

Part = Literal["cpu", "memory", "paging", "disk", "filesystem", "network", "pressure"]
PARTS: Final[tuple[Part, ...]] = ("cpu", "memory", "paging", "disk", "filesystem", "network", "pressure")
MAX_CPUS: Final = 256

_MODES: Final = ("user", "nice", "system", "idle", "iowait", "interrupt", "steal")
"""Columns of the cpu line of /proc/stat; guest time, which follows, is already part of user time."""
_IRQ, _SOFTIRQ = 5, 6
"""Both are interrupts."""
_OF_MODE: Final = {mode: {semconv.CPU_MODE: mode} for mode in _MODES}
_OF_STATE: Final = {state: {semconv.SYSTEM_MEMORY_STATE: state} for state in ("used", "free", "buffers", "cached")}
_OF_PAGING: Final = {state: {semconv.SYSTEM_PAGING_STATE: state} for state in ("used", "free")}
_OF_FAULT: Final = {kind: {semconv.SYSTEM_PAGING_FAULT_TYPE: kind} for kind in ("major", "minor")}
_LAST_FAULT: Final = b"\npgmajfault "
_LINE_BYTES: Final = 64
"""No line of a count is longer."""
_NOTHING: Final[Mapping[str, str | int]] = {}


class HostSource:
    """Reads the host's figures from /proc and /sys; Linux only, elsewhere everything is a gap.

    Inside a container, CPU, memory, disks and pressure are the host's; network interfaces are the pod's.

    Args:
        proc: Root of the proc file system.
        sys_block: Folder with one entry for each whole disk.
        parts: Which groups of figures to read.
        utilization: Whether to add the shares of CPU time, from the second reading on.
        per_cpu: Whether CPU times are those of each CPU, with `cpu.logical_number`, in place of their sum.
        mounts: Mount points to report; by default the root and all file systems on local block devices.
        statvfs: `os.statvfs`, or a stand-in for it.
        clock: Monotonic seconds.
    """

    name = "host"

    def __init__(  # noqa: PLR0913 - seams, all of them keywords
        self,
        *,
        proc: str | Path = "/proc",
        sys_block: str | Path = "/sys/block",
        parts: Sequence[Part] = PARTS,
        utilization: bool = False,
        per_cpu: bool = False,
        mounts: Sequence[str] | None = None,
        statvfs: Callable[[str], StatVfs] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        proc = Path(proc)
        self._stat, self._meminfo, self._vmstat = (str(proc / name) for name in ("stat", "meminfo", "vmstat"))
        self._utilization = utilization
        self._per_cpu = per_cpu
        self._faults_end = 0
        """Where the line of the last fault ends, at most."""
        self._memory_content = b""
        """/proc/meminfo in this reading, which memory and swap share."""
        self._cpu_before: dict[str, float] = {}
        self._of_cpu: dict[tuple[int, str], Mapping[str, str | int]] = {}
        self._disks = Disks(proc, Path(sys_block))
        self._filesystems = Filesystems(proc, mounts, statvfs or os.statvfs, clock)
        # "full" of the host's CPU is always 0: some task always runs.
        pressure = Pressure("host", skip={("cpu", "full")})
        steps: dict[Part, Callable[[], Iterator[Reading | Gap]]] = {
            "cpu": self._cpu,
            "memory": self._memory,
            "paging": self._paging,
            "disk": self._disks.read,
            "filesystem": self._filesystems.read,
            "network": Network(proc).read,
            "pressure": lambda: pressure.read(f"{proc}/pressure", "{resource}"),
        }
        self._steps = tuple((part, steps[part]) for part in PARTS if part in parts)
        self.metrics: tuple[semconv.Metric, ...] = tuple(
            metric for part in PARTS if part in parts for metric in _METRICS[part]
        )

    def read(self) -> Report:
        """Reads each group once; a group that fails is a gap."""
        self._memory_content = b""
        return gather(self._steps)

    def close(self) -> None:
        """Forgets the last CPU times and what was remembered of devices."""
        self._cpu_before = {}
        self._disks.forget()
        self._filesystems.forget()

    def _cpu(self) -> Iterator[Reading | Gap]:
        content = read_bytes(self._stat)
        times = _times(content[: content.find(b"\n")], b"cpu")
        if self._per_cpu:
            yield from self._each_cpu(content)
        else:
            for mode, seconds in times.items():
                yield measured((semconv.SYSTEM_CPU_TIME, seconds, _OF_MODE[mode]))
        count = content.count(b"\ncpu")
        if count:
            yield measured((semconv.SYSTEM_CPU_LOGICAL_COUNT, count, _NOTHING))
        if self._utilization:
            yield from _shares(self._cpu_before, times)
            self._cpu_before = times

    def _each_cpu(self, content: bytes) -> Iterator[Reading | Gap]:
        lines = [line for line in content.splitlines()[1:] if line.startswith(b"cpu")]
        for line in lines[:MAX_CPUS]:
            name = line.split(None, 1)[0]
            number = int(name[3:])
            for mode, seconds in _times(line, name).items():
                attributes = self._of_cpu.get((number, mode))
                if attributes is None:
                    attributes = {semconv.CPU_MODE: mode, semconv.CPU_LOGICAL_NUMBER: number}
                    self._of_cpu[number, mode] = attributes
                yield measured((semconv.SYSTEM_CPU_TIME, seconds, attributes))
        if len(lines) > MAX_CPUS:
            yield Gap("cpu", "capped", f"{len(lines) - MAX_CPUS} of {len(lines)} CPUs left out")

    def _memory(self) -> Iterator[Reading]:
        content = self._memory_content = read_bytes(self._meminfo)
        total = number_after(content, b"MemTotal:") * 1024
        if total <= 0:
            raise ValueError("no memory")
        available = number_after(content, b"MemAvailable:") * 1024 if b"\nMemAvailable:" in content else None
        slab = number_after(content, b"SReclaimable:") if b"\nSReclaimable:" in content else 0
        states = {
            "used": None if available is None else total - available,
            "free": number_after(content, b"MemFree:") * 1024,
            "buffers": number_after(content, b"Buffers:") * 1024,
            "cached": (number_after(content, b"Cached:") + slab) * 1024,
        }
        for state, size in states.items():
            if size is not None:
                yield measured((semconv.SYSTEM_MEMORY_USAGE, size, _OF_STATE[state]))
                yield measured((semconv.SYSTEM_MEMORY_UTILIZATION, size / total, _OF_STATE[state]))
        if available is not None:
            yield measured((semconv.SYSTEM_MEMORY_LINUX_AVAILABLE, available, _NOTHING))

    def _paging(self) -> Iterator[Reading]:
        content = self._memory_content or read_bytes(self._meminfo)
        free = number_after(content, b"SwapFree:") * 1024
        used = number_after(content, b"SwapTotal:") * 1024 - free
        yield measured((semconv.SYSTEM_PAGING_USAGE, used, _OF_PAGING["used"]))
        yield measured((semconv.SYSTEM_PAGING_USAGE, free, _OF_PAGING["free"]))
        content = self._faults()
        major, all_faults = number_after(content, b"pgmajfault"), number_after(content, b"pgfault")
        yield measured((semconv.SYSTEM_PAGING_FAULTS, major, _OF_FAULT["major"]))
        yield measured((semconv.SYSTEM_PAGING_FAULTS, all_faults - major, _OF_FAULT["minor"]))

    def _faults(self) -> bytes:
        """/proc/vmstat up to the count of major faults: the kernel formats only the lines that are read."""
        content = read_bytes(self._vmstat, until=_LAST_FAULT, first=self._faults_end)
        found = content.find(_LAST_FAULT)
        if content.find(b"\n", found + 1) < 0:  # the count itself may be cut
            content = read_bytes(self._vmstat)
        self._faults_end = found + _LINE_BYTES
        return content


def _times(line: bytes, name: bytes) -> dict[str, float]:
    """Seconds by mode of one line of /proc/stat."""
    columns = line.split()
    if not columns or columns[0] != name or len(columns) < 5:
        raise ValueError("no cpu line")
    ticks = list(map(int, columns[1 : len(_MODES) + 2]))
    if len(ticks) > _SOFTIRQ:
        ticks[_IRQ] += ticks.pop(_SOFTIRQ)
    return {mode: count * SECONDS_PER_TICK for mode, count in zip(_MODES, ticks, strict=False)}


def _shares(before: Mapping[str, float], now: Mapping[str, float]) -> Iterator[Reading]:
    spent = {mode: max(0.0, seconds - before[mode]) for mode, seconds in now.items() if mode in before}
    total = sum(spent.values())
    if total > 0:
        for mode, seconds in spent.items():
            yield measured((semconv.SYSTEM_CPU_UTILIZATION, seconds / total, _OF_MODE[mode]))


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
