"""Readings of host and process through psutil, for systems without /proc such as macOS and Windows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Final

import psutil as _psutil

from otel_ml import semconv
from otel_ml.resource_sampler._counters import ContinuedCounters
from otel_ml.resource_sampler._source import SEARCH_SECONDS, Gap, Reading, Report, gather, to_gap
from otel_ml.resource_sampler.linux._host import MAX_DISKS, MAX_FILESYSTEMS, MAX_INTERFACES, HostSource, Part
from otel_ml.resource_sampler.linux._process import ProcessSource, garbage_collection

_MODES: Final = ("user", "nice", "system", "idle", "iowait", "steal")
_LOOPBACK: Final = ("lo", "Loopback")

Step = Callable[[], Iterable[Reading | Gap]]


class PortableHostSource:
    """Reads CPU, memory, swap, disks, file systems and network interfaces through psutil.

    Args:
        parts: Which groups of figures to read; pressure does not exist here.
    """

    name = "host"
    metrics = HostSource().metrics

    def __init__(self, *, parts: Iterable[Part] | None = None) -> None:
        steps: dict[str, Step] = {
            "cpu": self._cpu,
            "memory": self._memory,
            "paging": self._paging,
            "disk": self._disks,
            "filesystem": self._filesystems,
            "network": self._network,
        }
        self._steps = [(part, steps[part]) for part in (steps if parts is None else parts) if part in steps]

    def read(self) -> Report:
        """Reads each group once; a group that fails is a gap."""
        return gather((what, _translated(_psutil, step)) for what, step in self._steps)

    def close(self) -> None:
        """Does nothing: there are no handles."""

    def _cpu(self) -> Iterator[Reading]:
        times = _psutil.cpu_times()
        for mode in _MODES:
            seconds = getattr(times, mode, None)
            if seconds is not None:
                yield Reading(semconv.SYSTEM_CPU_TIME, float(seconds), {semconv.CPU_MODE: mode})
        count = _psutil.cpu_count()
        if count:
            yield Reading(semconv.SYSTEM_CPU_LOGICAL_COUNT, count, {})

    def _memory(self) -> Iterator[Reading]:
        memory = _psutil.virtual_memory()
        states = {
            "used": memory.total - memory.available,
            "free": memory.free,
            "buffers": getattr(memory, "buffers", None),
            "cached": getattr(memory, "cached", None),
        }
        for state, size in states.items():
            if size is not None:
                attributes = {semconv.SYSTEM_MEMORY_STATE: state}
                yield Reading(semconv.SYSTEM_MEMORY_USAGE, size, attributes)
                yield Reading(semconv.SYSTEM_MEMORY_UTILIZATION, size / memory.total, attributes)

    def _paging(self) -> Iterator[Reading]:
        swap = _psutil.swap_memory()
        yield Reading(semconv.SYSTEM_PAGING_USAGE, swap.used, {semconv.SYSTEM_PAGING_STATE: "used"})
        yield Reading(semconv.SYSTEM_PAGING_USAGE, swap.free, {semconv.SYSTEM_PAGING_STATE: "free"})

    def _disks(self) -> Iterator[Reading]:
        # nowrap keeps a cache for the whole process; `Points` handles falling counters for all sources
        disks = _psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        for device, counts in list(disks.items())[:MAX_DISKS]:
            for direction in ("read", "write"):
                attributes = {semconv.SYSTEM_DEVICE_NAME: device, semconv.DISK_IO_DIRECTION: direction}
                yield Reading(semconv.SYSTEM_DISK_IO, getattr(counts, f"{direction}_bytes"), attributes)
                yield Reading(semconv.SYSTEM_DISK_OPERATIONS, getattr(counts, f"{direction}_count"), attributes)
                seconds = getattr(counts, f"{direction}_time") / 1000
                yield Reading(semconv.SYSTEM_DISK_OPERATION_TIME, seconds, attributes)

    def _filesystems(self) -> Iterator[Reading | Gap]:
        seen: set[str] = set()
        for mount in _psutil.disk_partitions(all=False):
            if mount.device in seen or len(seen) >= MAX_FILESYSTEMS or "cdrom" in mount.opts:
                continue
            seen.add(mount.device)
            attributes = {
                semconv.SYSTEM_DEVICE_NAME: mount.device,
                semconv.SYSTEM_FILESYSTEM_TYPE: mount.fstype,
                semconv.SYSTEM_FILESYSTEM_MODE: "ro" if "ro" in mount.opts.split(",") else "rw",
                semconv.SYSTEM_FILESYSTEM_MOUNTPOINT: mount.mountpoint,
            }
            try:
                space = _psutil.disk_usage(mount.mountpoint)
            except OSError as error:
                yield to_gap(f"filesystem {mount.mountpoint}", error)
                continue
            states = {"used": space.used, "free": space.free, "reserved": space.total - space.used - space.free}
            for state, size in states.items():
                row = {**attributes, semconv.SYSTEM_FILESYSTEM_STATE: state}
                yield Reading(semconv.SYSTEM_FILESYSTEM_USAGE, size, row)
            if space.used + space.free > 0:
                share = space.used / (space.used + space.free)
                yield Reading(semconv.SYSTEM_FILESYSTEM_UTILIZATION, share, attributes)

    def _network(self) -> Iterator[Reading]:
        interfaces = _psutil.net_io_counters(pernic=True, nowrap=False) or {}
        real = [(name, counts) for name, counts in interfaces.items() if not name.startswith(_LOOPBACK)]
        for name, counts in real[:MAX_INTERFACES]:
            for direction, sent, suffix in (("receive", "recv", "in"), ("transmit", "sent", "out")):
                attributes = {semconv.NETWORK_INTERFACE_NAME: name, semconv.NETWORK_IO_DIRECTION: direction}
                yield Reading(semconv.SYSTEM_NETWORK_IO, getattr(counts, f"bytes_{sent}"), attributes)
                yield Reading(semconv.SYSTEM_NETWORK_ERRORS, getattr(counts, f"err{suffix}"), attributes)
                yield Reading(semconv.SYSTEM_NETWORK_PACKET_DROPPED, getattr(counts, f"drop{suffix}"), attributes)


class PortableProcessSource:
    """Reads one process through psutil: CPU, memory, threads, descriptors, storage, uptime and garbage collection.

    Counters of a process that replaces another one continue; id and start distinguish them.

    Args:
        pid: The process, or a function that returns it (None for no process); by default this process, also
            after a fork.
        psutil: The module `psutil`, or a stand-in for it.
        clock: Seconds since the epoch.
    """

    name = "process"
    metrics = ProcessSource.metrics

    def __init__(
        self,
        pid: int | Callable[[], int | None] | None = None,
        *,
        psutil: ModuleType | Any = _psutil,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._is_own = pid is None
        self._find: Callable[[], int | None] = pid if callable(pid) else lambda: pid
        self._pid: int | None = None
        self._started: float | None = None
        """Start of the process in this reading; with the id it identifies the owner of the counters."""
        self._counters = ContinuedCounters()
        self._psutil = psutil
        self._clock = clock

    def read(self) -> Report:
        """Reads the process once; what this system does not offer is a gap, and so is a process that is gone."""
        self._pid, self._started = self._find(), None
        if self._pid is None and not self._is_own:
            return Report((), (Gap("process", "vanished", "it has ended, or there is none of that name"),))
        steps: list[tuple[str, Step]] = [
            ("process cpu and memory", lambda: self._continued(self._basics())),
            ("process disk io", lambda: self._continued(self._disk_io())),
            ("process file descriptors", self._descriptors),
        ]
        if self._is_own:
            steps.append(("garbage collection", garbage_collection))
        return gather((what, _translated(self._psutil, step)) for what, step in steps)

    def close(self) -> None:
        """Does nothing: there are no handles."""

    def _continued(self, items: Iterator[Reading | Gap]) -> Iterator[Reading | Gap]:
        """The items with counters continued from earlier processes; a fork of this process starts at 0."""
        return items if self._is_own else self._counters.apply(items, lambda: (self._pid, self._started))

    def _basics(self) -> Iterator[Reading | Gap]:
        process = self._psutil.Process(self._pid)
        self._started = started = process.create_time()
        times = process.cpu_times()
        yield Reading(semconv.PROCESS_CPU_TIME, float(times.user), {semconv.CPU_MODE: "user"})
        yield Reading(semconv.PROCESS_CPU_TIME, float(times.system), {semconv.CPU_MODE: "system"})
        memory = process.memory_info()
        yield Reading(semconv.PROCESS_MEMORY_USAGE, memory.rss, {})
        yield Reading(semconv.PROCESS_MEMORY_VIRTUAL, memory.vms, {})
        yield Reading(semconv.PROCESS_THREAD_COUNT, process.num_threads(), {})
        yield Reading(semconv.PROCESS_UPTIME, max(0.0, self._clock() - started), {})

    def _disk_io(self) -> Iterator[Reading | Gap]:
        if self._started is None:
            return  # the owner of the bytes is unknown
        process = self._psutil.Process(self._pid)
        if not hasattr(process, "io_counters"):
            yield Gap("process disk io", "unsupported", "not offered by this system")
            return
        counts = process.io_counters()
        yield Reading(semconv.PROCESS_DISK_IO, counts.read_bytes, {semconv.DISK_IO_DIRECTION: "read"})
        yield Reading(semconv.PROCESS_DISK_IO, counts.write_bytes, {semconv.DISK_IO_DIRECTION: "write"})

    def _descriptors(self) -> Iterator[Reading | Gap]:
        process = self._psutil.Process(self._pid)
        if hasattr(process, "num_fds"):
            yield Reading(semconv.PROCESS_FILE_DESCRIPTOR_COUNT, process.num_fds(), {})
        else:
            yield Gap("process file descriptors", "unsupported", "not offered by this system")


class PortableProcess:
    """A process by its id or name; its start distinguishes it from a later one of the same id.

    Args:
        pid: The process's id.
        name: The process's name in place of the id: the oldest one of that name, looked for again when it ends.
        psutil: The module `psutil`, or a stand-in for it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        pid: int | None = None,
        name: str = "",
        *,
        psutil: ModuleType | Any = _psutil,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._psutil = psutil
        self._name = name
        self._clock = clock
        self._found = None if pid is None else (self._start(pid), pid)
        self._searched_at = float("-inf")

    def __call__(self) -> int | None:
        """The id, None once the process has ended, or while there is none of that name."""
        if self._found is None or self._start(self._found[1]) != self._found[0]:
            if not self._name or self._clock() - self._searched_at < SEARCH_SECONDS:
                return None
            self._searched_at = self._clock()
            self._found = min(self._candidates(), default=None)
        return None if self._found is None or self._found[0] is None else self._found[1]

    def _candidates(self) -> Iterator[tuple[float | None, int]]:
        for process in self._psutil.process_iter(["name"]):
            if process.info["name"] == self._name and process.pid != os.getpid():
                started = self._start(process.pid)
                if started is not None:
                    yield started, process.pid

    def _start(self, pid: int) -> float | None:
        """Start of a process; None when there is none, or it only waits for its parent."""
        try:
            process = self._psutil.Process(pid)
            return None if process.status() == self._psutil.STATUS_ZOMBIE else float(process.create_time())
        except (self._psutil.NoSuchProcess, self._psutil.AccessDenied):
            return None


def _translated(psutil: ModuleType | Any, step: Step) -> Step:
    """The step with psutil's errors as those of the system calls behind them."""

    def run() -> Iterator[Reading | Gap]:
        try:
            yield from step()
        except psutil.NoSuchProcess as error:
            raise ProcessLookupError(3, "no such process") from error
        except psutil.AccessDenied as error:
            raise PermissionError(13, "permission denied") from error

    return run
