"""Readings of the host's CPU times from /proc/stat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import number_after, read_bytes
from otel_ml.resource_sampler._source import SECONDS_PER_TICK, Gap, Reading, measured

MAX_CPUS: Final = 256

_MODES: Final = ("user", "nice", "system", "idle", "iowait", "interrupt", "steal")
"""Columns of the cpu line of /proc/stat; guest time, which follows, is already part of user time."""
_AT_WORK: Final = ("user", "nice", "system")
"""Modes whose time falls only with a boot; idle, waiting and steal time also step back."""
_IRQ, _SOFTIRQ = 5, 6
"""Both are interrupts."""
_OF_MODE: Final = {mode: {semconv.CPU_MODE: mode} for mode in _MODES}
_NOTHING: Final[Mapping[str, str | int]] = {}
_LEAST_LIMIT: Final = 1e8
"""Seconds that any mode may have; above them the time since boot decides."""
_CPUS_GONE: Final = 4
"""CPUs that may have been switched off since boot, as a multiple of those that are on."""


class Cpu:
    """CPU times by mode, the number of CPUs, and which boot of the machine they belong to.

    Args:
        proc: Root of the proc file system.
        utilization: Whether to add the shares of CPU time, from the second reading on.
        per_cpu: Whether the times are those of each CPU, with `cpu.logical_number`, in place of their sum; CPUs beyond
            `MAX_CPUS` are one point without a number, so that all points sum to the whole.
        now: Seconds since the epoch.
    """

    def __init__(self, proc: Path, *, utilization: bool, per_cpu: bool, now: Callable[[], float] = time.time) -> None:
        self._stat = str(proc / "stat")
        self._utilization = utilization
        self._per_cpu = per_cpu
        self._now = now
        self._before: dict[str, float] = {}
        self._of_cpu: dict[tuple[int, str], Mapping[str, str | int]] = {}
        self._at_work = 0.0
        self._boot_time = 0
        self.boot = 0
        """Rises with each boot: then the boot time is another one and the time at work has fallen."""

    def read(self) -> Iterator[Reading | Gap]:
        """CPU time by mode, and the number of CPUs; a time that cannot be true is a gap."""
        content = read_bytes(self._stat)
        times = _times(content[: content.find(b"\n")], b"cpu")
        count = content.count(b"\ncpu")
        self._notice_boot(content, sum(times[mode] for mode in _AT_WORK))
        limit = max(_LEAST_LIMIT, _CPUS_GONE * count * (self._now() - self._boot_time)) if self._boot_time else None
        for mode in [mode for mode, seconds in times.items() if limit is not None and seconds > limit]:
            yield Gap(f"cpu time {mode}", "malformed", f"{times.pop(mode):.0f} s, more than there were since boot")
        if self._per_cpu:
            yield from self._each(content, times)
        else:
            for mode, seconds in times.items():
                yield measured((semconv.SYSTEM_CPU_TIME, seconds, _OF_MODE[mode]))
        if count:
            yield measured((semconv.SYSTEM_CPU_LOGICAL_COUNT, count, _NOTHING))
        if self._utilization:
            yield from _shares(self._before, times)
            self._before = times

    def forget(self) -> None:
        """Forgets the last times, which shares are measured from."""
        self._before = {}

    def _notice_boot(self, content: bytes, at_work: float) -> None:
        # the boot time alone also moves when the clock is set
        boot_time = number_after(content, b"btime") if b"\nbtime " in content else 0
        if boot_time != self._boot_time and at_work < self._at_work:
            self.boot += 1
        self._boot_time, self._at_work = boot_time, at_work

    def _each(self, content: bytes, whole: Mapping[str, float]) -> Iterator[Reading | Gap]:
        lines = [line for line in content.splitlines()[1:] if line.startswith(b"cpu")]
        rest = dict(whole)
        for line in lines[:MAX_CPUS]:
            name = line.split(None, 1)[0]
            number = int(name[3:])
            for mode, seconds in _times(line, name).items():
                if mode not in rest:
                    continue
                rest[mode] -= seconds
                attributes = self._of_cpu.get((number, mode))
                if attributes is None:
                    attributes = {semconv.CPU_MODE: mode, semconv.CPU_LOGICAL_NUMBER: number}
                    self._of_cpu[number, mode] = attributes
                yield measured((semconv.SYSTEM_CPU_TIME, seconds, attributes))
        if len(lines) > MAX_CPUS:
            for mode, seconds in rest.items():
                yield measured((semconv.SYSTEM_CPU_TIME, max(0.0, seconds), _OF_MODE[mode]))
            yield Gap("cpu", "capped", f"{len(lines) - MAX_CPUS} of {len(lines)} CPUs are one sum")


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
