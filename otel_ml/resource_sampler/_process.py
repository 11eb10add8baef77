"""Readings of one process: CPU, memory, storage, threads, descriptors, faults and, in process, garbage collection."""

from __future__ import annotations

import gc
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import psutil

from otel_ml import semconv
from otel_ml.resource_sampler._source import SECONDS_PER_TICK, Gap, Reading, Report, gather, read_pairs, read_text

if sys.platform != "win32":
    import resource


class Usage(Protocol):
    """The fields of `resource.getrusage` that are used."""

    @property
    def ru_nvcsw(self) -> int: ...
    @property
    def ru_nivcsw(self) -> int: ...


class _Stat:
    """The columns of /proc/<pid>/stat that are used, by their number in proc(5)."""

    def __init__(self, text: str) -> None:
        # the name in column 2 may hold spaces and brackets
        columns = text[text.rindex(")") + 2 :].split()
        self.minor_faults = int(columns[10 - 3])
        self.major_faults = int(columns[12 - 3])
        self.user_ticks = int(columns[14 - 3])
        self.system_ticks = int(columns[15 - 3])
        self.threads = int(columns[20 - 3])
        self.start_ticks = int(columns[22 - 3])
        self.virtual_bytes = int(columns[23 - 3])
        self.resident_pages = int(columns[24 - 3])


def _usage_of_self() -> Usage | None:
    if sys.platform == "win32":
        return None
    return resource.getrusage(resource.RUSAGE_SELF)


def _seconds_since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, ours or another's."""
    return pid > 0 and psutil.pid_exists(pid)


def available_cpus(pid: int = 0) -> float:
    """CPUs that a process may run on, by its affinity; 0 is this process."""
    try:
        return float(len(os.sched_getaffinity(pid)))
    except (AttributeError, OSError):
        return float(os.cpu_count() or 1)


class ProcessSource:
    """Reads one process's figures from /proc; Linux only, elsewhere everything but garbage collection is a gap.

    Context switches come from `getrusage`, which counts all threads; /proc/<pid>/status counts the main thread alone,
    so that they are absent for another process.

    Args:
        pid: The process; by default the one that reads, also after a fork.
        proc: Root of the proc file system.
        utilization: Whether to add the share of the available CPUs, from the second reading on.
        cpus: How many CPUs are available to the process.
        usage: Answers like ``getrusage(RUSAGE_SELF)``; only asked about the own process.
        gc_stats: Answers like `gc.get_stats`; only asked about the own process.
        boot_clock: Seconds since boot, suspension included.
        clock: Monotonic seconds.
    """

    name = "process"
    metrics = (
        semconv.PROCESS_CPU_TIME,
        semconv.PROCESS_CPU_UTILIZATION,
        semconv.PROCESS_MEMORY_USAGE,
        semconv.PROCESS_MEMORY_VIRTUAL,
        semconv.PROCESS_DISK_IO,
        semconv.PROCESS_THREAD_COUNT,
        semconv.PROCESS_FILE_DESCRIPTOR_COUNT,
        semconv.PROCESS_FILE_DESCRIPTOR_LIMIT,
        semconv.PROCESS_CONTEXT_SWITCHES,
        semconv.PROCESS_PAGING_FAULTS,
        semconv.PROCESS_UPTIME,
        semconv.CPYTHON_GC_COLLECTIONS,
        semconv.CPYTHON_GC_COLLECTED_OBJECTS,
        semconv.CPYTHON_GC_UNCOLLECTABLE_OBJECTS,
    )

    def __init__(  # noqa: PLR0913 - seams, all of them keywords
        self,
        pid: int | None = None,
        *,
        proc: str | Path = "/proc",
        utilization: bool = False,
        cpus: Callable[[], float] = available_cpus,
        usage: Callable[[], Usage | None] = _usage_of_self,
        gc_stats: Callable[[], Sequence[dict[str, int]]] = gc.get_stats,
        boot_clock: Callable[[], float] = _seconds_since_boot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pid = pid
        self._proc = Path(proc)
        self._utilization = utilization
        self._cpus = cpus
        self._usage = usage
        self._gc_stats = gc_stats
        self._boot_clock = boot_clock
        self._clock = clock
        self._before: tuple[tuple[int, int], float, float, float] | None = None
        """Process (id and start), monotonic time, user seconds and system seconds of the last reading."""

    def read(self) -> Report:
        """Reads the process once; a process that is gone is one gap."""
        folder = self._folder()
        if self._pid is not None and not folder.is_dir():
            return Report((), (Gap(f"process {self._pid}", "vanished"),))
        steps: list[tuple[str, Callable[[], Iterator[Reading | Gap]]]] = [
            ("process stat", self._stat),
            ("process disk io", self._disk_io),
            ("process file descriptors", self._descriptors),
            ("process descriptor limit", self._descriptor_limit),
            ("process context switches", self._context_switches),
        ]
        if self._pid is None:
            steps.append(("garbage collection", lambda: garbage_collection(self._gc_stats)))
        return gather(steps)

    def close(self) -> None:
        """Forgets the last CPU times."""
        self._before = None

    def _folder(self) -> Path:
        return self._proc / str(os.getpid() if self._pid is None else self._pid)

    def _stat(self) -> Iterator[Reading]:
        stat = _Stat(read_text(self._folder() / "stat"))
        user, system = stat.user_ticks * SECONDS_PER_TICK, stat.system_ticks * SECONDS_PER_TICK
        yield Reading(semconv.PROCESS_CPU_TIME, user, {semconv.CPU_MODE: "user"})
        yield Reading(semconv.PROCESS_CPU_TIME, system, {semconv.CPU_MODE: "system"})
        yield Reading(semconv.PROCESS_MEMORY_USAGE, stat.resident_pages * mmap.PAGESIZE, {})
        yield Reading(semconv.PROCESS_MEMORY_VIRTUAL, stat.virtual_bytes, {})
        yield Reading(semconv.PROCESS_THREAD_COUNT, stat.threads, {})
        yield Reading(semconv.PROCESS_PAGING_FAULTS, stat.major_faults, {semconv.SYSTEM_PAGING_FAULT_TYPE: "major"})
        yield Reading(semconv.PROCESS_PAGING_FAULTS, stat.minor_faults, {semconv.SYSTEM_PAGING_FAULT_TYPE: "minor"})
        if self._utilization:
            yield from self._shares((int(self._folder().name), stat.start_ticks), user, system)
        uptime = self._boot_clock() - stat.start_ticks * SECONDS_PER_TICK
        if uptime < 0:
            raise ValueError("started after now")
        yield Reading(semconv.PROCESS_UPTIME, uptime, {})

    def _shares(self, process: tuple[int, int], user: float, system: float) -> Iterator[Reading]:
        now, before = self._clock(), self._before
        self._before = (process, now, user, system)
        if before is None or before[0] != process or now <= before[1]:
            return
        capacity = (now - before[1]) * max(self._cpus(), 1e-3)
        for mode, spent in (("user", user - before[2]), ("system", system - before[3])):
            yield Reading(semconv.PROCESS_CPU_UTILIZATION, max(0.0, spent) / capacity, {semconv.CPU_MODE: mode})

    def _disk_io(self) -> Iterator[Reading]:
        counts = read_pairs(self._folder() / "io")
        for direction in ("read", "write"):
            yield Reading(semconv.PROCESS_DISK_IO, counts[f"{direction}_bytes"], {semconv.DISK_IO_DIRECTION: direction})

    def _descriptors(self) -> Iterator[Reading]:
        yield Reading(semconv.PROCESS_FILE_DESCRIPTOR_COUNT, sum(1 for _ in (self._folder() / "fd").iterdir()), {})

    def _descriptor_limit(self) -> Iterator[Reading]:
        for line in read_text(self._folder() / "limits").splitlines():
            if line.startswith("Max open files"):
                soft = line.split()[3]
                if soft != "unlimited":
                    yield Reading(semconv.PROCESS_FILE_DESCRIPTOR_LIMIT, int(soft), {})

    def _context_switches(self) -> Iterator[Reading | Gap]:
        usage = self._usage() if self._pid is None else None
        if usage is None:
            yield Gap("process context switches", "unsupported", "only known for the own process")
            return
        switches = {"voluntary": usage.ru_nvcsw, "involuntary": usage.ru_nivcsw}
        for kind, count in switches.items():
            yield Reading(semconv.PROCESS_CONTEXT_SWITCHES, count, {semconv.PROCESS_CONTEXT_SWITCH_TYPE: kind})


def garbage_collection(gc_stats: Callable[[], Sequence[dict[str, int]]] = gc.get_stats) -> Iterator[Reading]:
    """Counts of this interpreter's garbage collector, by generation."""
    for generation, stats in enumerate(gc_stats()):
        attributes = {semconv.CPYTHON_GC_GENERATION: generation}
        for metric, key in _GC_KEYS:
            yield Reading(metric, stats[key], attributes)


_GC_KEYS: Final = (
    (semconv.CPYTHON_GC_COLLECTIONS, "collections"),
    (semconv.CPYTHON_GC_COLLECTED_OBJECTS, "collected"),
    (semconv.CPYTHON_GC_UNCOLLECTABLE_OBJECTS, "uncollectable"),
)
