"""Readings of a container, that is of the control group that a process runs in: use, limits, throttling, pressure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._counters import Continued
from otel_ml.resource_sampler._source import (
    SECONDS_PER_TICK,
    Gap,
    Reading,
    Report,
    gap_of,
    gather,
    let_go,
    measured,
    number_after,
    read_bytes,
    read_text,
)
from otel_ml.resource_sampler.linux._block_io import BlockIo
from otel_ml.resource_sampler.linux._cgroup import UNIFIED, Group, find_groups
from otel_ml.resource_sampler.linux._pressure import Pressure

LOCATED_SECONDS: Final = 10.0
"""How long it is believed where the group lies, and which of its ancestors can limit it."""
LOOKED_SECONDS: Final = 60.0
"""How long at most while memberships, mounts and groups stay the same."""

_UNLIMITED: Final = 1 << 62
"""cgroup v1 writes "no limit" as the largest multiple of a page."""
_OF_MODE: Final = {mode: {semconv.CPU_MODE: mode} for mode in ("user", "system")}
_OF_FAULT: Final = {kind: {semconv.SYSTEM_PAGING_FAULT_TYPE: kind} for kind in ("major", "minor")}
_NOTHING: Final[Mapping[str, str | int]] = {}


class ContainerSource:
    """Reads the control group's figures; a process in the root group is in no container, which is a gap.

    Limits are read every time, since a pod can be resized while it runs. Counters of another group are added to what
    was counted for the groups before.

    Args:
        pid: The process whose container is meant, or what tells it at every reading (None for nobody); by default the
            one that reads.
        proc: Root of the proc file system.
        root: Folder under which the mount points of control groups are looked up; for another process its own root.
        clock: Monotonic seconds.
    """

    name = "container"
    metrics = (
        semconv.CONTAINER_CPU_TIME,
        semconv.CONTAINER_CPU_LIMIT,
        semconv.CONTAINER_CPU_PERIODS,
        semconv.CONTAINER_CPU_THROTTLED_PERIODS,
        semconv.CONTAINER_CPU_THROTTLED_TIME,
        semconv.CONTAINER_MEMORY_USAGE,
        semconv.CONTAINER_MEMORY_WORKING_SET,
        semconv.CONTAINER_MEMORY_RSS,
        semconv.CONTAINER_MEMORY_LIMIT,
        semconv.CONTAINER_MEMORY_AVAILABLE,
        semconv.CONTAINER_PAGING_FAULTS,
        semconv.CONTAINER_MEMORY_OOM_KILLS,
        semconv.CONTAINER_DISK_IO,
        semconv.PRESSURE_STALL_TIME,
    )

    def __init__(
        self,
        pid: int | Callable[[], int | None] | None = None,
        *,
        proc: str | Path = "/proc",
        root: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find: Callable[[], int | str | None] = pid if callable(pid) else lambda: "self" if pid is None else pid
        self._proc = Path(proc)
        self._root = Path("/") if root is None and pid is None else None if root is None else Path(root)
        self._clock = clock
        self._pid: int | str | None = None
        """Whose group is known."""
        self._seen: tuple[int | str, str, str] | None = None
        """The process, its memberships and mounts when its groups were looked up."""
        self._located_at = self._looked_at = float("-inf")
        self._is_located = False
        """Whether the group was looked up in this reading."""
        self._groups: dict[str, Group] = {}
        self._owned: dict[str, Group | None] = {}
        """The group that accounts for a controller, None where there is none."""
        self._limits: dict[str, tuple[str, ...]] = {}
        """Files with limits, those of all ancestors, by controller."""
        self._inodes: dict[str, int] = {}
        self._missing: dict[str, tuple[Gap, ...]] = {}
        """The gap of a step whose controller has no group of its own."""
        self._bound: dict[str, tuple[tuple[str, int], str, int, int]] = {}
        """Of each counter of throttling: the container, the group that binds it, its last value, and what is added."""
        self._block_io = BlockIo(Path(proc))
        self._stalls = Pressure("container")
        self._continued = Continued()
        self._steps: tuple[tuple[str, Callable[[], Iterable[Reading | Gap]]], ...] = (
            self._step("container cpu", "cpuacct", self._cpu),
            self._step("container cpu limit", "cpu", self._cpu_limit),
            self._step("container memory", "memory", self._memory),
            self._step("container oom kills", "memory", self._oom_kills),
            self._step("container disk io", "blkio", self._disk_io),
            self._step("container pressure", UNIFIED, self._pressure),
        )

    def read(self) -> Report:
        """Reads the group once; what it lacks is a gap, and so is a process that is gone."""
        self._is_located = False
        if not self._is_process_there():
            self.close()
            # one missing process is one failure, and the process's own source tells it
            return Report((), (Gap("container", "absent", "its process has ended, or there is none of that name"),))
        return gather(self._steps)

    def close(self) -> None:
        """Forgets where the group lies."""
        self._pid, self._seen, self._located_at = None, None, float("-inf")

    def cpu_limit(self) -> float | None:
        """CPUs that the quota grants, the smallest up the tree; None without a quota or where it cannot be read."""
        self._is_located = False
        for reading in gather((("container cpu limit", self._cpu_limit),)).readings:
            if reading.metric is semconv.CONTAINER_CPU_LIMIT:
                return float(reading.value)
        return None

    def _step(
        self, what: str, controller: str, read: Callable[[], Iterator[Reading | Gap]]
    ) -> tuple[str, Callable[[], Iterable[Reading | Gap]]]:
        """A step whose readings are continued from those of the groups that the process was in before."""

        def owner() -> tuple[str, int]:
            return self._owner(controller)

        def step() -> Iterable[Reading | Gap]:
            if self._find_group(controller) is not None:
                return self._continued.over(read(), owner)
            if what not in self._missing:
                self._missing[what] = (gap_of(what, _no_group(controller)),)
            return self._missing[what]

        return what, step

    def _owner(self, controller: str) -> tuple[str, int]:
        """The group and its inode: a container that is started again has one of the same name, and begins at 0."""
        place = self._group(controller).place
        if place not in self._inodes:
            self._inodes[place] = os.stat(place).st_ino  # noqa: PTH116
        return place, self._inodes[place]

    def _group(self, controller: str) -> Group:
        """The group that accounts for a controller.

        Raises:
            FileNotFoundError: There is none, or it is the whole host.
        """
        group = self._find_group(controller)
        if group is None:
            raise _no_group(controller)
        return group

    def _find_group(self, controller: str) -> Group | None:
        if not self._is_located:
            self._locate()
            self._is_located = True
        if controller not in self._owned:
            found = self._groups.get(controller) or self._groups.get(UNIFIED)
            self._owned[controller] = None if found is None or found.is_whole_host() else found
        return self._owned[controller]

    def _is_process_there(self) -> bool:
        pid = self._find()
        if pid == "self":  # whoever reads is there
            return True
        return pid is not None and os.path.exists(f"{self._proc}/{pid}")  # noqa: PTH110 - a tenth of the time

    def _locate(self) -> None:
        pid = self._find()
        if pid is None:
            raise ProcessLookupError(3, "no such process")
        now = self._clock()
        if pid != self._pid or now - self._located_at >= LOCATED_SECONDS:
            folder = self._proc / str(pid)
            seen = (pid, read_text(f"{folder}/cgroup"), read_text(f"{folder}/mountinfo"))
            if seen == self._seen and now - self._looked_at < LOOKED_SECONDS and self._are_all_there():
                self._limits, self._located_at = {}, now
                return
            self._pid, self._seen, left = None, None, {group.folder for group in self._groups.values()}
            self._groups = find_groups(seen[1], seen[2], self._root or folder / "root")
            left -= {group.folder for group in self._groups.values()}
            if left:
                above = {Path(file).parent for files in self._limits.values() for file in files}
                for group_folder in left | above:
                    let_go(str(group_folder))
            self._owned, self._limits, self._inodes, self._missing = {}, {}, {}, {}
            self._pid, self._seen, self._located_at, self._looked_at = pid, seen, now, now

    def _are_all_there(self) -> bool:
        """Whether the known groups are those of before, and none is another one of the same name."""
        try:
            return all(os.stat(place).st_ino == inode for place, inode in self._inodes.items())  # noqa: PTH116
        except OSError:
            return False

    def _limit_files(self, group: Group, controller: str, name: str) -> tuple[str, ...]:
        if controller not in self._limits:
            self._limits[controller] = group.files_upwards(name)
        return self._limits[controller]

    def _cpu(self) -> Iterator[Reading | Gap]:
        group = self._group("cpuacct")
        if group.version == 2:
            content = read_bytes(f"{group.place}/cpu.stat")
            times = {mode: number_after(content, b"%b_usec" % mode.encode()) / 1e6 for mode in _OF_MODE}
        else:
            content = read_bytes(f"{group.place}/cpuacct.stat")
            times = {mode: number_after(content, mode.encode()) * SECONDS_PER_TICK for mode in _OF_MODE}
        for mode, seconds in times.items():
            yield measured((semconv.CONTAINER_CPU_TIME, seconds, _OF_MODE[mode]))

    def _cpu_limit(self) -> Iterator[Reading | Gap]:
        group = self._group("cpu")
        name = "cpu.max" if group.version == 2 else "cpu.cfs_quota_us"
        quotas = [
            (quota, path) for path in self._limit_files(group, "cpu", name) if (quota := _quota(path)) is not None
        ]
        binding = ""
        if quotas:
            # of equal ones the innermost, as a pod and its only container have them
            quota, binding = min(quotas, key=lambda pair: pair[0])
            yield measured((semconv.CONTAINER_CPU_LIMIT, quota, _NOTHING))
        content = _throttling(binding, name, f"{group.place}/cpu.stat")
        if group.version == 2 and b"nr_periods " not in content and b"usage_usec " in content:
            return  # the cpu controller is not switched on
        name, unit = ("throttled_usec", 1e6) if group.version == 2 else ("throttled_time", 1e9)
        for metric, counter in (
            (semconv.CONTAINER_CPU_PERIODS, "nr_periods"),
            (semconv.CONTAINER_CPU_THROTTLED_PERIODS, "nr_throttled"),
        ):
            yield measured((metric, self._moved(binding, counter, number_after(content, counter.encode())), _NOTHING))
        throttled = self._moved(binding, name, number_after(content, name.encode())) / unit
        yield measured((semconv.CONTAINER_CPU_THROTTLED_TIME, throttled, _NOTHING))

    def _moved(self, place: str, counter: str, raw: int) -> int:
        """A counter of the group that binds, which another one may do after a resize: what that counted is not ours."""
        owner = self._owner("cpu")
        before = self._bound.get(counter)
        base = 0
        if before is not None and before[0] == owner:
            _, last_place, last, base = before
            base += last - raw if last_place != place else 0
        self._bound[counter] = (owner, place, raw, base)
        return raw + base

    def _memory(self) -> Iterator[Reading | Gap]:
        group = self._group("memory")
        stat = read_bytes(f"{group.place}/memory.stat")
        if group.version == 2:
            usage = int(read_bytes(f"{group.place}/memory.current"))
            prefix, resident = b"", number_after(stat, b"anon")
            files = self._limit_files(group, "memory", "memory.max")
            limits = [limit for limit in map(_memory_maximum, files) if limit is not None]
        else:
            usage = int(read_bytes(f"{group.place}/memory.usage_in_bytes"))
            prefix, resident = b"total_", number_after(stat, b"total_rss")
            limits = [number_after(stat, b"hierarchical_memory_limit")]
        working_set = max(0, usage - number_after(stat, prefix + b"inactive_file"))
        yield measured((semconv.CONTAINER_MEMORY_USAGE, usage, _NOTHING))
        yield measured((semconv.CONTAINER_MEMORY_WORKING_SET, working_set, _NOTHING))
        yield measured((semconv.CONTAINER_MEMORY_RSS, resident, _NOTHING))
        limits = [limit for limit in limits if limit < _UNLIMITED]
        if limits:
            yield measured((semconv.CONTAINER_MEMORY_LIMIT, min(limits), _NOTHING))
            yield measured((semconv.CONTAINER_MEMORY_AVAILABLE, max(0, min(limits) - working_set), _NOTHING))
        major = number_after(stat, prefix + b"pgmajfault")
        yield measured((semconv.CONTAINER_PAGING_FAULTS, major, _OF_FAULT["major"]))
        minor = number_after(stat, prefix + b"pgfault") - major
        yield measured((semconv.CONTAINER_PAGING_FAULTS, minor, _OF_FAULT["minor"]))

    def _oom_kills(self) -> Iterator[Reading | Gap]:
        group = self._group("memory")
        content = read_bytes(f"{group.place}/{'memory.events' if group.version == 2 else 'memory.oom_control'}")
        yield measured((semconv.CONTAINER_MEMORY_OOM_KILLS, number_after(content, b"oom_kill"), _NOTHING))

    def _disk_io(self) -> Iterator[Reading | Gap]:
        return self._block_io.read(self._group("blkio"))

    def _pressure(self) -> Iterator[Reading | Gap]:
        return self._stalls.read(self._group(UNIFIED).place, "{resource}.pressure")


def _no_group(controller: str) -> FileNotFoundError:
    return FileNotFoundError(2, f"no {controller or 'unified'} control group of its own")


def _throttling(limiting: str, name: str, own: str) -> bytes:
    """``cpu.stat`` of the group whose quota binds, since the groups below it do not count how it holds them back."""
    if limiting:
        try:
            return read_bytes(f"{limiting.removesuffix(name)}cpu.stat")
        except FileNotFoundError:
            pass
    return read_bytes(own)


def _quota(path: str) -> float | None:
    """CPUs that one group's own quota grants; the period of v1 stands in a file beside it."""
    columns = read_bytes(path).split()
    if path.endswith("_quota_us"):
        columns += read_bytes(path.removesuffix("_quota_us") + "_period_us").split()
    quota, period = columns
    return None if quota in {b"max", b"-1"} else int(quota) / int(period)


def _memory_maximum(path: str) -> int | None:
    """One group's own memory limit under v2."""
    content = read_bytes(path).strip()
    return None if content == b"max" else int(content)
