"""Which file systems are worth reporting, by the kernel's own tables of mounts and kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from otel_ml.resource_sampler._proc_files import read_text

_LOCAL: Final = frozenset({"zfs", "ubifs", "jffs2"})
"""Local kinds that the kernel lists as without a block device, since they manage their devices themselves."""
_IMAGES: Final = frozenset({"squashfs", "iso9660", "erofs", "cramfs"})
"""Read-only images, always full."""
_ANONYMOUS: Final = "0:"
"""Prefix of a device number that does not name a block device."""
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the table of mounts."""

    device: str
    point: str
    kind: str
    mode: str


class Mounts:
    """The file systems to report.

    Args:
        process: Folder in /proc of a process in the wanted mount namespace.
        kinds: /proc/filesystems.
        listed: Mount points to report instead of those chosen.
    """

    def __init__(self, process: Path, kinds: Path, listed: Sequence[str] | None) -> None:
        self._process = process
        self._kinds = kinds
        self.listed = listed

    def table(self) -> str:
        """The table of mounts as it is now."""
        return read_text(str(self._process / "mounts"))

    def choose(self, table: str, is_file: Callable[[str], bool]) -> tuple[list[Mount], list[str]]:
        """The mounts to report, those nearest to the root first, and the kinds that were left out on purpose."""
        every = [mount for mount in map(_mount, table.splitlines()) if mount is not None]
        # of mounts at one point only the last one can be seen
        mounts = list({mount.point: mount for mount in every}.values())
        if self.listed is not None:
            return sorted((mount for mount in mounts if mount.point in self.listed), key=_depth), []
        memory, numbers = self._without_block_device(), self._numbers()
        local = [mount for mount in mounts if mount.point == "/" or _is_local(mount, memory)]
        writable = {mount.device for mount in every if mount.mode == "rw" and _is_local(mount, memory)}
        chosen: dict[str, Mount] = {}
        # one device, one row: the mount nearest to the root, not each bind mount or subvolume of it
        for mount in sorted(local, key=_depth):
            if is_file(mount.point):  # a container engine mounts /etc/hosts and similar files from the host's disk
                continue
            number = numbers.get(mount.point, _ANONYMOUS)
            device = mount.device if number.startswith(_ANONYMOUS) else number
            nearest = chosen.setdefault(device, mount)
            # a folder of it that is mounted read-only, or the whole over itself, does not keep it from filling up
            if mount.device in writable:
                chosen[device] = nearest._replace(mode="rw")
        return list(chosen.values()), sorted({mount.kind for mount in mounts if mount not in local})

    def _without_block_device(self) -> frozenset[str]:
        """Kinds that need no block device: of memory, of the kernel, of the network."""
        try:
            rows = [line.split() for line in read_text(str(self._kinds)).splitlines()]
        except OSError:
            return frozenset()
        return frozenset(row[1] for row in rows if len(row) == 2 and row[0] == "nodev")

    def _numbers(self) -> dict[str, str]:
        """Device number of each mount point."""
        try:
            rows = [line.split() for line in read_text(str(self._process / "mountinfo")).splitlines()]
        except OSError:
            return {}
        return {_unescape(row[4]): row[2] for row in rows if len(row) > 4}


def _is_local(mount: Mount, without_block_device: Iterable[str]) -> bool:
    kind = mount.kind.partition(".")[0]
    if kind in _LOCAL:
        return True
    # without the table of kinds, the device decides: a network share is not in /dev, and FUSE has its own device
    is_block = kind not in without_block_device and mount.device.startswith("/" if without_block_device else "/dev/")
    return is_block and kind not in _IMAGES and mount.device != "/dev/fuse"


def _mount(line: str) -> Mount | None:
    columns = [_unescape(part) for part in line.split()[:4]]
    if len(columns) < 4:
        return None
    device, point, kind, options = columns
    return Mount(device, point, kind, "ro" if "ro" in options.split(",") else "rw")


def _depth(mount: Mount) -> tuple[int, str]:
    return mount.point.rstrip("/").count("/"), mount.point


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
