"""Readings of the container, that is of the control group that this process runs in: use, limits, throttling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._cgroup import UNIFIED, Group, read_groups
from otel_ml.resource_sampler._pressure import read_pressure
from otel_ml.resource_sampler._source import SECONDS_PER_TICK, Gap, Reading, Report, gather, read_pairs, read_text

_UNLIMITED: Final = 1 << 62
"""cgroup v1 writes "no limit" as the largest multiple of a page."""


class ContainerSource:
    """Reads the control group's figures; a process in the root group is in no container, which is a gap.

    Limits are read every time, since a pod can be resized while it runs.

    Args:
        proc: Root of the proc file system.
        root: Folder under which the mount points of control groups are looked up.
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
        semconv.PRESSURE_STALL_TIME,
    )

    def __init__(self, *, proc: str | Path = "/proc", root: str | Path = "/") -> None:
        self._proc = Path(proc)
        self._root = Path(root)
        self._memberships = ""
        self._is_located = False
        """Whether the group was looked up in this reading; a process can be moved between two."""
        self._groups: dict[str, Group] = {}

    def read(self) -> Report:
        """Reads the group once; what it lacks is a gap."""
        self._is_located = False
        steps: tuple[tuple[str, Callable[[], Iterator[Reading | Gap]]], ...] = (
            ("container cpu", self._cpu),
            ("container cpu limit", self._cpu_limit),
            ("container memory", self._memory),
            ("container oom kills", self._oom_kills),
            ("container pressure", self._pressure),
        )
        return gather(steps)

    def close(self) -> None:
        """Forgets where the group lies."""
        self._memberships, self._groups = "", {}

    def cpu_limit(self) -> float | None:
        """CPUs that the quota grants, the smallest up the tree; None without a quota or where it cannot be read."""
        self._is_located = False
        for reading in gather((("container cpu limit", self._cpu_limit),)).readings:
            if reading.metric is semconv.CONTAINER_CPU_LIMIT:
                return float(reading.value)
        return None

    def _group(self, controller: str) -> Group:
        """The group that accounts for a controller.

        Raises:
            FileNotFoundError: There is none, or it is the whole host.
        """
        if not self._is_located:
            memberships = read_text(self._proc / "self" / "cgroup")
            if memberships != self._memberships:
                self._groups = read_groups(self._proc, self._root, memberships)
                self._memberships = memberships
            self._is_located = True
        group = self._groups.get(controller) or self._groups.get(UNIFIED)
        if group is None or group.is_whole_host():
            raise FileNotFoundError(2, f"no {controller or 'unified'} control group of its own")
        return group

    def _cpu(self) -> Iterator[Reading]:
        group = self._group("cpuacct")
        if group.version == 2:
            counts = read_pairs(group.folder / "cpu.stat")
            times = {"user": counts["user_usec"] / 1e6, "system": counts["system_usec"] / 1e6}
        else:
            counts = read_pairs(group.folder / "cpuacct.stat")
            times = {mode: counts[mode] * SECONDS_PER_TICK for mode in ("user", "system")}
        for mode, seconds in times.items():
            yield Reading(semconv.CONTAINER_CPU_TIME, seconds, {semconv.CPU_MODE: mode})

    def _cpu_limit(self) -> Iterator[Reading]:
        group = self._group("cpu")
        quotas = [quota for quota in map(_quota, group.upwards()) if quota is not None]
        if quotas:
            yield Reading(semconv.CONTAINER_CPU_LIMIT, min(quotas), {})
        counts = read_pairs(group.folder / "cpu.stat")
        if "nr_periods" not in counts:  # v2 without the cpu controller
            return
        yield Reading(semconv.CONTAINER_CPU_PERIODS, counts["nr_periods"], {})
        yield Reading(semconv.CONTAINER_CPU_THROTTLED_PERIODS, counts["nr_throttled"], {})
        throttled = counts["throttled_usec"] / 1e6 if group.version == 2 else counts["throttled_time"] / 1e9
        yield Reading(semconv.CONTAINER_CPU_THROTTLED_TIME, throttled, {})

    def _memory(self) -> Iterator[Reading]:
        group = self._group("memory")
        stat = read_pairs(group.folder / "memory.stat")
        if group.version == 2:
            usage = int(read_text(group.folder / "memory.current"))
            prefix, resident = "", stat["anon"]
            limits = [limit for limit in map(_memory_maximum, group.upwards()) if limit is not None]
        else:
            usage = int(read_text(group.folder / "memory.usage_in_bytes"))
            prefix, resident = "total_", stat["total_rss"]
            limits = [stat["hierarchical_memory_limit"]]
        working_set = max(0, usage - stat[f"{prefix}inactive_file"])
        yield Reading(semconv.CONTAINER_MEMORY_USAGE, usage, {})
        yield Reading(semconv.CONTAINER_MEMORY_WORKING_SET, working_set, {})
        yield Reading(semconv.CONTAINER_MEMORY_RSS, resident, {})
        limits = [limit for limit in limits if limit < _UNLIMITED]
        if limits:
            yield Reading(semconv.CONTAINER_MEMORY_LIMIT, min(limits), {})
            yield Reading(semconv.CONTAINER_MEMORY_AVAILABLE, max(0, min(limits) - working_set), {})
        major = stat[f"{prefix}pgmajfault"]
        yield Reading(semconv.CONTAINER_PAGING_FAULTS, major, {semconv.SYSTEM_PAGING_FAULT_TYPE: "major"})
        minor = stat[f"{prefix}pgfault"] - major
        yield Reading(semconv.CONTAINER_PAGING_FAULTS, minor, {semconv.SYSTEM_PAGING_FAULT_TYPE: "minor"})

    def _oom_kills(self) -> Iterator[Reading]:
        group = self._group("memory")
        counts = read_pairs(group.folder / ("memory.events" if group.version == 2 else "memory.oom_control"))
        yield Reading(semconv.CONTAINER_MEMORY_OOM_KILLS, counts["oom_kill"], {})

    def _pressure(self) -> Iterator[Reading | Gap]:
        group = self._group(UNIFIED)
        yield from read_pressure(group.folder, "{resource}.pressure", scope="container")


def _quota(folder: Path) -> float | None:
    """CPUs that this group's own quota grants."""
    if (folder / "cpu.max").exists():
        quota, period = read_text(folder / "cpu.max").split()
    elif (folder / "cpu.cfs_quota_us").exists():
        quota, period = read_text(folder / "cpu.cfs_quota_us").strip(), read_text(folder / "cpu.cfs_period_us").strip()
    else:
        return None
    return None if quota in {"max", "-1"} else int(quota) / int(period)


def _memory_maximum(folder: Path) -> int | None:
    """This group's own memory limit under v2; the root has no such file."""
    if not (folder / "memory.max").exists():
        return None
    text = read_text(folder / "memory.max").strip()
    return None if text == "max" else int(text)
