"""Readings of file systems: their space by state."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from otel_ml import semconv
from otel_ml.resource_sampler._source import Gap, Reading, measured, to_gap
from otel_ml.resource_sampler.linux._mounts import Mount, Mounts

MAX_FILESYSTEMS: Final = 32
"""Those nearest to the root are reported."""
MOUNTS_SECONDS: Final = 10.0
"""How long the table of mounts is taken as unchanged."""

_STATES: Final = ("used", "free", "reserved")

_Attributes = Mapping[str, str | int]


class StatVfs(Protocol):
    """The fields of `os.statvfs` that are used."""

    @property
    def f_frsize(self) -> int: ...
    @property
    def f_blocks(self) -> int: ...
    @property
    def f_bfree(self) -> int: ...
    @property
    def f_bavail(self) -> int: ...


class Filesystems:
    """The root and the local file systems, or those that were listed.

    Never a network file system unless it is listed: one whose server is gone would hold the sampler's thread forever.

    Args:
        mounts: Which file systems to report.
        root: Where the root of their mount namespace is; empty for this process's own.
        statvfs: `os.statvfs`, or a stand-in for it.
        clock: Monotonic seconds.
    """

    def __init__(
        self, mounts: Mounts, root: str, statvfs: Callable[[str], StatVfs], clock: Callable[[], float]
    ) -> None:
        self._choice = mounts
        self._root = root
        self._statvfs = statvfs
        self._clock = clock
        self._read_at = float("-inf")
        self._known_table = ""
        self._mounts: list[tuple[str, _Attributes, tuple[_Attributes, ...]]] = []
        """Mount point, its attributes, and those of each state."""
        self._gaps: list[Gap] = []
        """What is not reported, and why."""

    def read(self) -> Iterator[Reading | Gap]:
        """Space by state, and the share of it that is used; a file system that refuses is a gap."""
        now = self._clock()
        if now - self._read_at >= MOUNTS_SECONDS:
            table = self._choice.table()
            if table != self._known_table:
                self._choose(table)
                self._known_table = table
            self._read_at = now
        for point, attributes, by_state in self._mounts[:MAX_FILESYSTEMS]:
            try:
                space = self._statvfs(self._root + point)
            except OSError as error:
                yield to_gap(f"filesystem {_readable(point)}", error)
                continue
            used, free = space.f_blocks - space.f_bfree, space.f_bavail
            size = space.f_frsize
            for blocks, state in zip((used, free, space.f_bfree - free), by_state):  # noqa: B905 - three of each
                yield measured((semconv.SYSTEM_FILESYSTEM_USAGE, blocks * size, state))
            if used + free > 0:
                yield measured((semconv.SYSTEM_FILESYSTEM_UTILIZATION, used / (used + free), attributes))
        yield from self._gaps

    def forget(self) -> None:
        """Reads the table of mounts again next time."""
        self._read_at = float("-inf")

    def _choose(self, table: str) -> None:
        chosen, excluded = self._choice.choose(table, lambda point: Path(self._root + point).is_file())
        self._mounts = [_described(mount) for mount in chosen]
        self._gaps = [
            Gap(f"filesystem {_readable(point)}", "vanished", "nothing is mounted there")
            for point in self._choice.listed or ()
            if point not in {mount.point for mount in chosen}
        ]
        if excluded:
            self._gaps.append(Gap("filesystem kinds", "excluded", f"not local: {', '.join(excluded)}"))
        if len(chosen) > MAX_FILESYSTEMS:
            left_out = len(chosen) - MAX_FILESYSTEMS
            self._gaps.append(Gap("filesystem", "capped", f"{left_out} of {len(chosen)} left out"))


def _described(mount: Mount) -> tuple[str, _Attributes, tuple[_Attributes, ...]]:
    attributes = {
        semconv.SYSTEM_DEVICE_NAME: _readable(mount.device),
        semconv.SYSTEM_FILESYSTEM_TYPE: mount.kind,
        semconv.SYSTEM_FILESYSTEM_MODE: mount.mode,
        semconv.SYSTEM_FILESYSTEM_MOUNTPOINT: _readable(mount.point),
    }
    return mount.point, attributes, tuple({**attributes, semconv.SYSTEM_FILESYSTEM_STATE: state} for state in _STATES)


def _readable(path: str) -> str:
    """The text of a path, of which a byte that is no UTF-8 becomes a question mark."""
    return os.fsencode(path).decode("utf-8", "replace").replace("\ufffd", "?")
