"""Readings of the host: CPU, memory, swap, disks, file systems, network interfaces and pressure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from otel_ml import semconv
from otel_ml.resource_sampler._counters import ContinuedCounters
from otel_ml.resource_sampler._proc_files import number_after, read_bytes
from otel_ml.resource_sampler._source import Gap, Reading, Report, gather, measured
from otel_ml.resource_sampler.linux._cgroup import UNLIMITED
from otel_ml.resource_sampler.linux._cpu import MAX_CPUS, Cpu
from otel_ml.resource_sampler.linux._disks import MAX_DISKS, Disks
from otel_ml.resource_sampler.linux._filesystems import MAX_FILESYSTEMS, Filesystems, StatVfs
from otel_ml.resource_sampler.linux._mounts import Mounts
from otel_ml.resource_sampler.linux._network import MAX_INTERFACES, Network
from otel_ml.resource_sampler.linux._pressure import Pressure

__all__ = ["MAX_CPUS", "MAX_DISKS", "MAX_FILESYSTEMS", "MAX_INTERFACES", "PARTS", "HostSource", "Part"]

Part = Literal["cpu", "memory", "paging", "disk", "filesystem", "network", "pressure"]
PARTS: Final[tuple[Part, ...]] = ("cpu", "memory", "paging", "disk", "filesystem", "network", "pressure")

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
        sys: Root of the sys file system, which has the kind of disks and interfaces; by default beside `proc`.
        host_root: Where the host's root is mounted in a container: /proc, /sys, mounts and interfaces are those of the
            host's first process. Replaces `proc`.
        parts: Which groups of figures to read.
        utilization: Whether to add the shares of CPU time, from the second reading on.
        per_cpu: Whether CPU times are those of each CPU, with `cpu.logical_number`, in place of their sum.
        mounts: Mount points to report; by default the root and all local file systems.
        statvfs: `os.statvfs`, or a stand-in for it.
        clock: Monotonic seconds.
    """

    name = "host"

    def __init__(  # noqa: PLR0913 - seams, all of them keywords
        self,
        *,
        proc: str | Path = "/proc",
        sys: str | Path | None = None,
        host_root: str | Path | None = None,
        parts: Sequence[Part] = PARTS,
        utilization: bool = False,
        per_cpu: bool = False,
        mounts: Sequence[str] | None = None,
        statvfs: Callable[[str], StatVfs] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        root = "" if host_root is None else str(host_root).rstrip("/")
        proc = Path(proc if host_root is None else f"{root}/proc")
        sys = proc.parent / "sys" if sys is None else Path(sys)
        # the namespaces of a container are not the host's
        process = proc / ("self" if host_root is None else "1")
        self._meminfo, self._vmstat = str(proc / "meminfo"), str(proc / "vmstat")
        self._faults_end = 0
        """Where the line of the last fault ends, at most."""
        self._memory_content = b""
        """/proc/meminfo in this reading, which memory and swap share."""
        self._counters = ContinuedCounters()
        self._cpu = Cpu(proc, utilization=utilization, per_cpu=per_cpu)
        self._disks = Disks(proc, sys, clock)
        self._network = Network((proc if host_root is None else process) / "net" / "dev", sys, clock)
        choice = Mounts(process, proc / "filesystems", mounts)
        self._filesystems = Filesystems(choice, root, statvfs or os.statvfs, clock)
        # "full" of the host's CPU is always 0: some task always runs.
        pressure = Pressure("host", skip={("cpu", "full")})
        steps: dict[Part, Callable[[], Iterator[Reading | Gap]]] = {
            "cpu": lambda: self._continue(self._cpu.read),
            "memory": self._memory,
            "paging": lambda: self._continue(self._paging),
            "disk": self._disks.read,
            "filesystem": self._filesystems.read,
            "network": self._network.read,
            "pressure": lambda: self._continue(lambda: pressure.read(f"{proc}/pressure", "{resource}")),
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
        self._cpu.forget()
        self._disks.forget()
        self._network.forget()
        self._filesystems.forget()

    def _continue(self, read: Callable[[], Iterable[Reading | Gap]]) -> Iterator[Reading | Gap]:
        """Counters of the kernel itself, which start again only with the machine."""
        return self._counters.apply(read(), lambda: self._cpu.boot)

    def _memory(self) -> Iterator[Reading | Gap]:
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
            if size is None:
                continue
            if 0 <= size <= total:
                yield measured((semconv.SYSTEM_MEMORY_USAGE, size, _OF_STATE[state]))
                yield measured((semconv.SYSTEM_MEMORY_UTILIZATION, size / total, _OF_STATE[state]))
            else:
                yield _impossible(f"memory {state}")
        if available is not None:
            if available <= total:
                yield measured((semconv.SYSTEM_MEMORY_LINUX_AVAILABLE, available, _NOTHING))
            else:
                yield _impossible("memory available")

    def _paging(self) -> Iterator[Reading | Gap]:
        content = self._memory_content or read_bytes(self._meminfo)
        total, free = number_after(content, b"SwapTotal:") * 1024, number_after(content, b"SwapFree:") * 1024
        if free <= total < UNLIMITED:
            yield measured((semconv.SYSTEM_PAGING_USAGE, total - free, _OF_PAGING["used"]))
            yield measured((semconv.SYSTEM_PAGING_USAGE, free, _OF_PAGING["free"]))
        else:
            yield _impossible("swap")
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


def _impossible(what: str) -> Gap:
    """The gap for a figure of a container's /proc that mixes those of the container with those of the host."""
    return Gap(what, "malformed", "more than there is")


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
