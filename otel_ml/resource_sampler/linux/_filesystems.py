"""Readings of file systems: their space by state."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import read_text
from otel_ml.resource_sampler._source import Gap, Reading, measured, to_gap

MAX_FILESYSTEMS: Final = 16
MOUNTS_SECONDS: Final = 10.0
"""How long the table of mounts is taken as unchanged."""

_IMAGES: Final = frozenset({"squashfs", "iso9660", "erofs", "cramfs"})
"""Read-only images, always full."""
_STATES: Final = ("used", "free", "reserved")
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")

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
    """The root and the file systems on local block devices, or those that were listed.

    Never a network file system unless it is listed: one whose server is gone would hold the sampler's thread forever.

    Args:
        proc: Root of the proc file system.
        mounts: Mount points to report instead of those chosen.
        statvfs: `os.statvfs`, or a stand-in for it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        proc: Path,
        mounts: Sequence[str] | None,
        statvfs: Callable[[str], StatVfs],
        clock: Callable[[], float],
    ) -> None:
        self._table = str(proc / "self" / "mounts")
        self._listed = mounts
        self._statvfs = statvfs
        self._clock = clock
        self._read_at = float("-inf")
        self._known_table = ""
        self._mounts: list[tuple[str, _Attributes, tuple[_Attributes, ...]]] = []
        """Mount point, its attributes, and those of each state."""

    def read(self) -> Iterator[Reading | Gap]:
        """Space by state, and the share of it that is used; a file system that refuses is a gap."""
        now = self._clock()
        if now - self._read_at >= MOUNTS_SECONDS:
            table = read_text(self._table)
            if table != self._known_table:
                self._mounts = [_described(*mount) for mount in _worthwhile(table, self._listed)]
                self._known_table = table
            self._read_at = now
        for point, attributes, by_state in self._mounts[:MAX_FILESYSTEMS]:
            try:
                space = self._statvfs(point)
            except OSError as error:
                yield to_gap(f"filesystem {point}", error)
                continue
            used, free = space.f_blocks - space.f_bfree, space.f_bavail
            size = space.f_frsize
            for blocks, state in zip((used, free, space.f_bfree - free), by_state):  # noqa: B905 - three of each
                yield measured((semconv.SYSTEM_FILESYSTEM_USAGE, blocks * size, state))
            if used + free > 0:
                yield measured((semconv.SYSTEM_FILESYSTEM_UTILIZATION, used / (used + free), attributes))
        if len(self._mounts) > MAX_FILESYSTEMS:
            left_out = len(self._mounts) - MAX_FILESYSTEMS
            yield Gap("filesystem", "capped", f"{left_out} of {len(self._mounts)} left out")

    def forget(self) -> None:
        """Reads the table of mounts again next time."""
        self._read_at = float("-inf")


def _described(device: str, point: str, kind: str, mode: str) -> tuple[str, _Attributes, tuple[_Attributes, ...]]:
    attributes = {
        semconv.SYSTEM_DEVICE_NAME: device,
        semconv.SYSTEM_FILESYSTEM_TYPE: kind,
        semconv.SYSTEM_FILESYSTEM_MODE: mode,
        semconv.SYSTEM_FILESYSTEM_MOUNTPOINT: point,
    }
    return point, attributes, tuple({**attributes, semconv.SYSTEM_FILESYSTEM_STATE: state} for state in _STATES)


def _worthwhile(table: str, listed: Sequence[str] | None) -> list[tuple[str, str, str, str]]:
    """Device, mount point, type and mode of the mounts to report."""
    chosen: dict[str, tuple[str, str, str, str]] = {}
    for line in table.splitlines():
        device, point, kind, options = (_unescape(part) for part in line.split()[:4])
        mode = "ro" if "ro" in options.split(",") else "rw"
        if listed is not None:
            if point in listed:
                chosen[point] = (device, point, kind, mode)
        elif point == "/" or _is_local_disk(device, point, kind):
            # one device, one row: the mount nearest to the root, not each bind mount of it
            before = chosen.get(device)
            if before is None or len(point) < len(before[1]):
                chosen[device] = (device, point, kind, mode)
    return sorted(chosen.values(), key=lambda mount: mount[1])


def _is_local_disk(device: str, point: str, kind: str) -> bool:
    # /etc/hosts and its like are single files that a container engine mounts from the host's disk
    return device.startswith("/dev/") and kind not in _IMAGES and not point.startswith(("/etc/", "/dev/"))


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
