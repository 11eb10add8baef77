"""Readings of a container, that is of the control group that a process runs in: use, limits, throttling, pressure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._counters import ContinuedCounters, Counter
from otel_ml.resource_sampler._proc_files import number_after, read_bytes
from otel_ml.resource_sampler._source import SECONDS_PER_TICK, Gap, Reading, Report, gather, measured, to_gap
from otel_ml.resource_sampler.linux._block_io import BlockIo
from otel_ml.resource_sampler.linux._cgroup import UNIFIED, UNLIMITED, Group
from otel_ml.resource_sampler.linux._cgroup_membership import Membership, Owner, no_group
from otel_ml.resource_sampler.linux._pressure import Pressure

_OF_MODE: Final = {mode: {semconv.CPU_MODE: mode} for mode in ("user", "system")}
_OF_FAULT: Final = {kind: {semconv.SYSTEM_PAGING_FAULT_TYPE: kind} for kind in ("major", "minor")}
_NOTHING: Final[Mapping[str, str | int]] = {}
_MEMORY_FILES: Final = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", b"total_inactive_file"),
    2: ("memory.max", "memory.current", b"inactive_file"),
}
"""Files of a group's limit and usage, and the name of what can be freed, by version."""


class ContainerSource:
    """Reads the control group's figures; a process in the root group is in no container, which is a gap.

    Limits are read every time, since a pod can be resized while it runs. Counters of a new group are added to
    those of the groups before.

    Args:
        pid: The process whose container is read, or a function that returns it (None for no process); by default
            this process.
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
        self._membership = Membership(pid, proc=Path(proc), root=root, clock=clock)
        self._throttled: dict[str, tuple[Owner, Counter]] = {}
        """Counters of throttling, with the container; each is owned by the group whose quota binds."""
        self._block_io = BlockIo(Path(proc))
        self._stalls = Pressure("container")
        self._counters = ContinuedCounters()
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
        self._membership.start_reading()
        if not self._membership.is_process_there():
            self.close()
            # one missing process is one failure, which the process's own source reports
            return Report((), (Gap("container", "absent", "its process has ended, or there is none of that name"),))
        return gather(self._steps)

    def close(self) -> None:
        """Forgets where the group is."""
        self._membership.forget()

    def cpu_limit(self) -> float | None:
        """CPUs that the quota grants, the smallest up the tree; None without a quota or where it cannot be read."""
        self._membership.start_reading()
        for reading in gather((("container cpu limit", self._cpu_limit),)).readings:
            if reading.metric is semconv.CONTAINER_CPU_LIMIT:
                return float(reading.value)
        return None

    def _step(
        self, what: str, controller: str, read: Callable[[], Iterator[Reading | Gap]]
    ) -> tuple[str, Callable[[], Iterable[Reading | Gap]]]:
        """A step whose counters continue those of the groups that the process was in before."""

        def owner() -> Owner:
            return self._membership.owner(controller)

        def step() -> Iterable[Reading | Gap]:
            if self._membership.find(controller) is not None:
                return self._counters.apply(read(), owner)
            return (to_gap(what, no_group(controller)),)

        return what, step

    def _cpu(self) -> Iterator[Reading | Gap]:
        group = self._membership.get("cpuacct")
        if group.version == 2:
            content = read_bytes(f"{group.place}/cpu.stat")
            times = {mode: number_after(content, b"%b_usec" % mode.encode()) / 1e6 for mode in _OF_MODE}
        else:
            content = read_bytes(f"{group.place}/cpuacct.stat")
            times = {mode: number_after(content, mode.encode()) * SECONDS_PER_TICK for mode in _OF_MODE}
        for mode, seconds in times.items():
            yield measured((semconv.CONTAINER_CPU_TIME, seconds, _OF_MODE[mode]))

    def _cpu_limit(self) -> Iterator[Reading | Gap]:
        group = self._membership.get("cpu")
        name = "cpu.max" if group.version == 2 else "cpu.cfs_quota_us"
        quotas = [
            (quota, path)
            for path in self._membership.limit_files(group, "cpu", name)
            if (quota := _quota(path)) is not None
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
            yield measured(
                (metric, self._continued(binding, counter, number_after(content, counter.encode())), _NOTHING)
            )
        throttled = self._continued(binding, name, number_after(content, name.encode())) / unit
        yield measured((semconv.CONTAINER_CPU_THROTTLED_TIME, throttled, _NOTHING))

    def _continued(self, place: str, name: str, raw: int) -> float:
        """A counter of the group whose quota binds; after a resize another group's counter takes over."""
        container = self._membership.owner("cpu")
        known = self._throttled.get(name)
        if known is None or known[0] != container:
            known = self._throttled[name] = (container, Counter(place))
        return known[1].rebase(place, raw)

    def _memory(self) -> Iterator[Reading | Gap]:
        group = self._membership.get("memory")
        stat = read_bytes(f"{group.place}/memory.stat")
        _, current, inactive = _MEMORY_FILES[group.version]
        usage = int(read_bytes(f"{group.place}/{current}"))
        prefix, resident = (b"", b"anon") if group.version == 2 else (b"total_", b"total_rss")
        working_set = max(0, usage - number_after(stat, inactive))
        yield measured((semconv.CONTAINER_MEMORY_USAGE, usage, _NOTHING))
        yield measured((semconv.CONTAINER_MEMORY_WORKING_SET, working_set, _NOTHING))
        yield measured((semconv.CONTAINER_MEMORY_RSS, number_after(stat, resident), _NOTHING))
        limits = list(self._memory_limits(group, working_set))
        if group.version == 1:  # also that of a group above which cannot be seen
            limit = number_after(stat, b"hierarchical_memory_limit")
            limits += [(limit, limit - working_set)] if limit < UNLIMITED else []
        if limits:
            yield measured((semconv.CONTAINER_MEMORY_LIMIT, min(limit for limit, _ in limits), _NOTHING))
            yield measured((semconv.CONTAINER_MEMORY_AVAILABLE, max(0, min(left for _, left in limits)), _NOTHING))
        major = number_after(stat, prefix + b"pgmajfault")
        yield measured((semconv.CONTAINER_PAGING_FAULTS, major, _OF_FAULT["major"]))
        minor = number_after(stat, prefix + b"pgfault") - major
        yield measured((semconv.CONTAINER_PAGING_FAULTS, minor, _OF_FAULT["minor"]))

    def _memory_limits(self, group: Group, working_set: int) -> Iterator[tuple[int, int]]:
        """The limit of each group up the tree and what it has left: the containers of a pod share the pod's limit."""
        maximum, current, inactive = _MEMORY_FILES[group.version]
        for path in self._membership.limit_files(group, "memory", maximum):
            limit = _memory_maximum(path)
            if limit is None or limit >= UNLIMITED:
                continue
            place, used = path.removesuffix(f"/{maximum}"), working_set
            if place != group.place:
                try:
                    used = int(read_bytes(f"{place}/{current}"))
                    used = max(0, used - number_after(read_bytes(f"{place}/memory.stat"), inactive))
                except OSError:  # then what this group uses is all that is known
                    used = working_set
            yield limit, limit - used

    def _oom_kills(self) -> Iterator[Reading | Gap]:
        group = self._membership.get("memory")
        content = read_bytes(f"{group.place}/{'memory.events' if group.version == 2 else 'memory.oom_control'}")
        yield measured((semconv.CONTAINER_MEMORY_OOM_KILLS, number_after(content, b"oom_kill"), _NOTHING))

    def _disk_io(self) -> Iterator[Reading | Gap]:
        return self._block_io.read(self._membership.get("blkio"))

    def _pressure(self) -> Iterator[Reading | Gap]:
        return self._stalls.read(self._membership.get(UNIFIED).place, "{resource}.pressure")


def _throttling(limiting: str, name: str, own: str) -> bytes:
    """``cpu.stat`` of the group whose quota binds, since the groups below it do not count its throttling."""
    if limiting:
        try:
            return read_bytes(f"{limiting.removesuffix(name)}cpu.stat")
        except FileNotFoundError:
            pass
    return read_bytes(own)


def _quota(path: str) -> float | None:
    """CPUs that one group's own quota grants; under v1 the period is in a separate file."""
    columns = read_bytes(path).split()
    if path.endswith("_quota_us"):
        columns += read_bytes(path.removesuffix("_quota_us") + "_period_us").split()
    quota, period = columns
    return None if quota in {b"max", b"-1"} else int(quota) / int(period)


def _memory_maximum(path: str) -> int | None:
    """One group's own memory limit."""
    content = read_bytes(path).strip()
    return None if content == b"max" else int(content)
