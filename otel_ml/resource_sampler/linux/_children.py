"""Readings of a process's descendants: how many live, their CPU time, ended ones included, and their memory."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._counters import Counter
from otel_ml.resource_sampler._source import SECONDS_PER_TICK, Gap, Reading
from otel_ml.resource_sampler.linux._stat import Stat, read_stat

SEARCH_SECONDS: Final = 10.0
"""The longest time until a new descendant is found."""
FULL_SECONDS: Final = 60.0
"""The longest time if the new one has an id that another process had just before."""
MAX_CHILDREN: Final = 256

_OF_MODE: Final = {mode: {semconv.CPU_MODE: mode} for mode in ("user", "system")}
_GONE: Final = (FileNotFoundError, ProcessLookupError, PermissionError, ValueError, IndexError)
"""Errors of a process that has ended or belongs to another user; without free descriptors nothing is known."""
_NOTHING: Final[Mapping[str, str | int]] = {}


class Children:
    """The descendants of a process, found by their parents' ids.

    Every `SEARCH_SECONDS` the process table is searched, mostly only for new ids; between two searches each known
    descendant costs one file. The CPU time is that of living descendants, plus that of ended ones, which the kernel
    adds to the ancestor that waited for them: short-lived children count too. If an orphan moves to another parent, its
    time stays counted.

    Args:
        proc: Root of the proc file system.
        clock: Monotonic seconds.
    """

    def __init__(self, proc: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._root: tuple[int, int] | None = None
        self._parents: dict[int, int] = {}
        """Parent of every process that existed at the last search."""
        self._known: dict[int, int] = {}
        """Start of each descendant by id, which shows a reused id; 0 until it was read."""
        self._left_out = 0
        self._searched_at = self._full_at = float("-inf")
        self._used = {mode: Counter() for mode in _OF_MODE}
        """CPU ticks by mode."""

    def forget(self) -> None:
        """Starts again, as for another process."""
        self._root = None

    def read(self, pid: int, stat: Stat) -> Iterator[Reading | Gap]:
        """Reads the descendants of the process with this id and these figures."""
        if self._root != (pid, stat.start_ticks):
            self._root = (pid, stat.start_ticks)
            self._parents, self._known, self._used = {}, {}, {mode: Counter() for mode in _OF_MODE}
            self._searched_at = float("-inf")
        now = self._clock()
        if now - self._searched_at >= SEARCH_SECONDS:
            self._searched_at = now
            if now - self._full_at >= FULL_SECONDS:
                self._full_at, self._parents = now, {}
            self._search(pid)
        user, system = stat.waited_user_ticks, stat.waited_system_ticks
        pages = 0
        for child in list(self._known):
            figures = self._figures(child)
            if figures is not None:
                user += figures.user_ticks + figures.waited_user_ticks
                system += figures.system_ticks + figures.waited_system_ticks
                pages += figures.resident_pages
        for mode, ticks in (("user", user), ("system", system)):
            seconds = self._used[mode].hold(ticks) * SECONDS_PER_TICK
            yield Reading(semconv.PROCESS_CHILDREN_CPU_TIME, seconds, _OF_MODE[mode])
        yield Reading(semconv.PROCESS_CHILDREN_COUNT, len(self._known), _NOTHING)
        yield Reading(semconv.PROCESS_CHILDREN_MEMORY_USAGE, pages * mmap.PAGESIZE, _NOTHING)
        if self._left_out:
            total = self._left_out + MAX_CHILDREN
            yield Gap("process children", "capped", f"{self._left_out} of {total} descendants left out")

    def _figures(self, child: int) -> Stat | None:
        """Figures of a descendant; one that ended, or whose id now belongs to another process, is forgotten."""
        try:
            figures = read_stat(f"{self._proc}/{child}")
        except _GONE:
            del self._known[child]
            return None
        if self._known[child] not in {0, figures.start_ticks}:
            del self._known[child]
            self._parents.pop(child, None)
            return None
        self._known[child] = figures.start_ticks
        return figures

    def _search(self, pid: int) -> None:
        present = {int(name) for name in os.listdir(self._proc) if name.isdecimal()}  # noqa: PTH208 - a third of the time
        parents = {child: parent for child, parent in self._parents.items() if child in present}
        # a descendant may have been given to another parent since
        for child in (present - parents.keys()) | (self._known.keys() & present):
            try:
                parents[child] = read_stat(f"{self._proc}/{child}").parent
            except _GONE:  # noqa: PERF203 - a process that ends is no error
                parents.pop(child, None)
        self._parents = parents
        found = _below(pid, parents)
        self._left_out = max(0, len(found) - MAX_CHILDREN)
        self._known = {child: self._known.get(child, 0) for child in found[:MAX_CHILDREN]}


def _below(pid: int, parents: Mapping[int, int]) -> list[int]:
    """All descendants, the nearest ones first."""
    children: dict[int, list[int]] = {}
    for child, parent in parents.items():
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    rank = [pid]
    seen = {pid}
    while rank:
        rank = [child for parent in rank for child in sorted(children.get(parent, ())) if child not in seen]
        seen.update(rank)
        found += rank
    return found
