"""Readings of one process: CPU, memory, storage, threads, descriptors, faults and, in process, garbage collection."""

from __future__ import annotations

import gc
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from otel_ml import semconv
from otel_ml.resource_sampler._counters import ContinuedCounters
from otel_ml.resource_sampler._proc_files import close_kept_files, number_after, read_bytes
from otel_ml.resource_sampler._source import SECONDS_PER_TICK, Gap, Reading, Report, gather, measured
from otel_ml.resource_sampler.linux._children import Children
from otel_ml.resource_sampler.linux._stat import Stat, read_stat

SLOW_SECONDS: Final = 60.0
"""How old the descriptor limit and the proportional set size may be."""
_OF_MODE: Final = {mode: {semconv.CPU_MODE: mode} for mode in ("user", "system")}
_OF_FAULT: Final = {kind: {semconv.SYSTEM_PAGING_FAULT_TYPE: kind} for kind in ("major", "minor")}
_OF_DIRECTION: Final = {direction: {semconv.DISK_IO_DIRECTION: direction} for direction in ("read", "write")}
_OF_SWITCH: Final = {kind: {semconv.PROCESS_CONTEXT_SWITCH_TYPE: kind} for kind in ("voluntary", "involuntary")}
_OF_GENERATION: Final = tuple({semconv.CPYTHON_GC_GENERATION: generation} for generation in range(8))
_NOT_SEEN: Final = "there is none, it has ended, or /proc hides it from this user (hidepid)"
_NOTHING: Final[Mapping[str, str | int]] = {}


class Usage(Protocol):
    """The fields of `resource.getrusage` that are used."""

    @property
    def ru_nvcsw(self) -> int: ...
    @property
    def ru_nivcsw(self) -> int: ...


def _usage_of_self() -> Usage | None:
    if sys.platform == "win32":
        return None
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF)


def _seconds_since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_alive(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether there is such a process, ours or another's."""
    if pid <= 0:
        return False
    if os.path.exists("/proc/self/stat"):  # noqa: PTH110
        return (proc / str(pid)).exists()
    import psutil

    return psutil.pid_exists(pid)


def available_cpus(pid: int = 0) -> float:
    """CPUs that a process may run on, by its affinity; 0 is this process."""
    try:
        return float(len(os.sched_getaffinity(pid)))
    except (AttributeError, OSError):
        return float(os.cpu_count() or 1)


class ProcessSource:
    """Reads the figures of one process and its descendants from /proc; Linux only, elsewhere they are gaps.

    Context switches come from `getrusage`, which counts all threads; /proc/<pid>/status counts the main thread alone,
    so that they are absent for another process.

    Args:
        pid: The process, or a function that returns it (None for no process); by default this process, also
            after a fork.
        proc: Root of the proc file system.
        utilization: Whether to add the share of the available CPUs, from the second reading on.
        pss: Whether to add the proportional set size, read once in `SLOW_SECONDS`: it walks all page tables and pauses
            up the process meanwhile.
        children: Whether to look for descendants.
        cpus: How many CPUs are available to the process.
        usage: A stand-in for ``getrusage(RUSAGE_SELF)``; only used for the own process.
        gc_stats: A stand-in for `gc.get_stats`; only used for the own process.
        boot_clock: Seconds since boot, suspension included.
        clock: Monotonic seconds.
    """

    name = "process"
    metrics = (
        semconv.PROCESS_CPU_TIME,
        semconv.PROCESS_CPU_UTILIZATION,
        semconv.PROCESS_MEMORY_USAGE,
        semconv.PROCESS_MEMORY_VIRTUAL,
        semconv.PROCESS_MEMORY_PSS,
        semconv.PROCESS_DISK_IO,
        semconv.PROCESS_THREAD_COUNT,
        semconv.PROCESS_FILE_DESCRIPTOR_COUNT,
        semconv.PROCESS_FILE_DESCRIPTOR_LIMIT,
        semconv.PROCESS_CONTEXT_SWITCHES,
        semconv.PROCESS_PAGING_FAULTS,
        semconv.PROCESS_UPTIME,
        semconv.PROCESS_CHILDREN_COUNT,
        semconv.PROCESS_CHILDREN_CPU_TIME,
        semconv.PROCESS_CHILDREN_MEMORY_USAGE,
        semconv.CPYTHON_GC_COLLECTIONS,
        semconv.CPYTHON_GC_COLLECTED_OBJECTS,
        semconv.CPYTHON_GC_UNCOLLECTABLE_OBJECTS,
    )

    def __init__(  # noqa: PLR0913 - seams, all of them keywords
        self,
        pid: int | Callable[[], int | None] | None = None,
        *,
        proc: str | Path = "/proc",
        utilization: bool = False,
        pss: bool = False,
        children: bool = True,
        cpus: Callable[[], float] = available_cpus,
        usage: Callable[[], Usage | None] = _usage_of_self,
        gc_stats: Callable[[], Sequence[dict[str, int]]] = gc.get_stats,
        boot_clock: Callable[[], float] = _seconds_since_boot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_own = pid is None
        self._find: Callable[[], int | None] = os.getpid if pid is None else pid if callable(pid) else lambda: pid
        self._proc = Path(proc)
        self._utilization = utilization
        self._cpus = cpus
        self._usage = usage
        self._boot_clock = boot_clock
        self._clock = clock
        self._children = Children(self._proc, clock) if children else None
        self._counters = ContinuedCounters()
        self._pid = 0
        self._folder = ""
        self._stat: Stat | None = None
        self._before: tuple[tuple[int, int], float, float, float] | None = None
        """Process (id and start), monotonic time, user seconds and system seconds of the last reading."""
        self._slow: dict[str, tuple[float, tuple[Reading, ...]]] = {}
        """Readings of the slow steps, and when they were read."""
        self._steps = tuple(self._chosen(pss=pss, gc_stats=gc_stats))

    def read(self) -> Report:
        """Reads the process once; a process that is gone is one gap."""
        pid = self._find()
        if pid is None:
            self.close()
            wanted = str(getattr(self._find, "wanted", "process"))
            return Report((), (Gap(wanted, "vanished", _NOT_SEEN),))
        if pid != self._pid:
            self.close()
            self._pid, self._folder = pid, f"{self._proc}/{pid}"
        if not self._is_own and not os.path.isdir(self._folder):  # noqa: PTH112 - a tenth of the time
            self.close()
            return Report((), (Gap(f"process {pid}", "vanished"),))
        return gather(self._steps)

    def _chosen(
        self, *, pss: bool, gc_stats: Callable[[], Sequence[dict[str, int]]]
    ) -> Iterator[tuple[str, Callable[[], Iterable[Reading | Gap]]]]:
        yield "process stat", lambda: self._continue(self._basics)
        yield "process disk io", lambda: self._continue(self._disk_io)
        yield "process file descriptors", self._descriptors
        yield "process descriptor limit", lambda: self._slowly("limit", self._descriptor_limit)
        if self._children is not None:
            yield "process children", lambda: self._continue(self._descendants)
        yield "process context switches", self._context_switches
        if pss:
            yield "process pss", lambda: self._slowly("pss", self._proportional)
        if self._is_own:
            yield "garbage collection", lambda: garbage_collection(gc_stats)

    def close(self) -> None:
        """Forgets the last figures except counters, and closes kept files."""
        if self._folder:
            close_kept_files(self._folder)
        self._before, self._pid, self._folder = None, 0, ""
        self._slow.clear()
        if self._children is not None:
            self._children.forget()

    def _continue(self, read: Callable[[], Iterator[Reading | Gap]]) -> Iterator[Reading | Gap]:
        """The readings of a step with counters continued from earlier processes; a fork of this process starts at 0."""
        return read() if self._is_own else self._counters.apply(read(), self._owner)

    def _owner(self) -> tuple[int, int]:
        return self._pid, 0 if self._stat is None else self._stat.start_ticks

    def _basics(self) -> Iterator[Reading | Gap]:
        self._stat = None
        stat = self._stat = read_stat(self._folder, keep=True)
        user, system = stat.user_ticks * SECONDS_PER_TICK, stat.system_ticks * SECONDS_PER_TICK
        yield measured((semconv.PROCESS_CPU_TIME, user, _OF_MODE["user"]))
        yield measured((semconv.PROCESS_CPU_TIME, system, _OF_MODE["system"]))
        yield measured((semconv.PROCESS_MEMORY_USAGE, stat.resident_pages * mmap.PAGESIZE, _NOTHING))
        yield measured((semconv.PROCESS_MEMORY_VIRTUAL, stat.virtual_bytes, _NOTHING))
        yield measured((semconv.PROCESS_THREAD_COUNT, stat.threads, _NOTHING))
        yield measured((semconv.PROCESS_PAGING_FAULTS, stat.major_faults, _OF_FAULT["major"]))
        yield measured((semconv.PROCESS_PAGING_FAULTS, stat.minor_faults, _OF_FAULT["minor"]))
        if self._utilization:
            yield from self._shares((self._pid, stat.start_ticks), user, system)
        uptime = self._boot_clock() - stat.start_ticks * SECONDS_PER_TICK
        if uptime < 0:
            raise ValueError("started after now")
        yield measured((semconv.PROCESS_UPTIME, uptime, _NOTHING))

    def _shares(self, process: tuple[int, int], user: float, system: float) -> Iterator[Reading]:
        now, before = self._clock(), self._before
        self._before = (process, now, user, system)
        if before is None or before[0] != process or now <= before[1]:
            return
        capacity = (now - before[1]) * max(self._cpus(), 1e-3)
        for mode, spent in (("user", user - before[2]), ("system", system - before[3])):
            yield measured((semconv.PROCESS_CPU_UTILIZATION, max(0.0, spent) / capacity, _OF_MODE[mode]))

    def _disk_io(self) -> Iterator[Reading | Gap]:
        if self._stat is None and not self._is_own:
            return  # the owner of the bytes is unknown
        content = read_bytes(f"{self._folder}/io")
        yield measured((semconv.PROCESS_DISK_IO, number_after(content, b"read_bytes:"), _OF_DIRECTION["read"]))
        yield measured((semconv.PROCESS_DISK_IO, number_after(content, b"write_bytes:"), _OF_DIRECTION["write"]))

    def _descriptors(self) -> Iterator[Reading | Gap]:
        folder = f"{self._folder}/fd"
        # from Linux 6.2 on the size of the folder is its number of entries, before it is 0
        count = os.stat(folder).st_size if folder.startswith("/proc/") else 0  # noqa: PTH116
        count = count or len(os.listdir(folder))  # noqa: PTH208 - a third of the time
        yield measured((semconv.PROCESS_FILE_DESCRIPTOR_COUNT, count, _NOTHING))

    def _slowly(self, what: str, read: Callable[[], Iterator[Reading]]) -> Iterable[Reading | Gap]:
        """The readings of a step that runs once in `SLOW_SECONDS`; one that fails is tried again at the next tick."""
        now, known = self._clock(), self._slow.get(what)
        if known is None or now - known[0] >= SLOW_SECONDS:
            self._slow.pop(what, None)
            known = self._slow[what] = (now, tuple(read()))
        return known[1]

    def _descriptor_limit(self) -> Iterator[Reading]:
        for line in read_bytes(f"{self._folder}/limits", keep=False).splitlines():
            if line.startswith(b"Max open files"):
                soft = line.split()[3]
                if soft != b"unlimited":
                    yield measured((semconv.PROCESS_FILE_DESCRIPTOR_LIMIT, int(soft), _NOTHING))

    def _proportional(self) -> Iterator[Reading]:
        size = number_after(read_bytes(f"{self._folder}/smaps_rollup", keep=False), b"Pss:") * 1024
        yield measured((semconv.PROCESS_MEMORY_PSS, size, _NOTHING))

    def _descendants(self) -> Iterator[Reading | Gap]:
        if self._stat is None or self._children is None:
            return iter(())
        return self._children.read(self._pid, self._stat)

    def _context_switches(self) -> Iterator[Reading | Gap]:
        usage = self._usage() if self._is_own else None
        if usage is None:
            yield Gap("process context switches", "unsupported", "only known for the own process")
            return
        yield measured((semconv.PROCESS_CONTEXT_SWITCHES, usage.ru_nvcsw, _OF_SWITCH["voluntary"]))
        yield measured((semconv.PROCESS_CONTEXT_SWITCHES, usage.ru_nivcsw, _OF_SWITCH["involuntary"]))


def garbage_collection(gc_stats: Callable[[], Sequence[dict[str, int]]] = gc.get_stats) -> Iterator[Reading]:
    """Counts of this interpreter's garbage collector, by generation."""
    for attributes, stats in zip(_OF_GENERATION, gc_stats(), strict=False):
        for metric, key in _GC_KEYS:
            yield measured((metric, stats[key], attributes))


_GC_KEYS: Final = (
    (semconv.CPYTHON_GC_COLLECTIONS, "collections"),
    (semconv.CPYTHON_GC_COLLECTED_OBJECTS, "collected"),
    (semconv.CPYTHON_GC_UNCOLLECTABLE_OBJECTS, "uncollectable"),
)
