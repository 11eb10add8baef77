"""Readings of whole disks from /proc/diskstats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import read_bytes
from otel_ml.resource_sampler._source import Gap, Reading, measured

MAX_DISKS: Final = 32

_SECTOR: Final = 512
"""Bytes of a sector in /proc/diskstats, whatever the disk's own sector size."""
_NAMES_KEPT: Final = 1024
KIND_SECONDS: Final = 60.0
"""How long a device is taken for what it was: one that waits for its connection or its parts becomes another."""
_COLUMNS: Final = 13
"""Columns that are read, up to the time in which the disk was busy."""

_Attributes = Mapping[str, str | int]


def is_disk(folder: Path) -> bool:
    """Whether a block device of /sys is a whole disk whose bytes no other one counts.

    Of an NVMe multipath disk each path is one: before Linux 6.16 the disk itself counts nothing. Its device is a
    subsystem, which has no controller's id.
    """
    if not has_hardware(folder):
        return False
    return not (folder / "device" / "subsysnqn").exists() or (folder / "device" / "cntlid").exists()


def has_hardware(folder: Path) -> bool:
    """Whether a block device of /sys is whole and built from no other one.

    A disk has a device behind it, a network block device has a connection (`pid`). Partitions, loops, memory, and what
    is built from disks (mappers, arrays, pools) have neither.
    """
    return not (folder / "partition").exists() and ((folder / "device").exists() or (folder / "pid").exists())


class Disks:
    """The disks of /proc/diskstats that are whole and real.

    Args:
        proc: Root of the proc file system.
        sys: Root of the sys file system.
        clock: Monotonic seconds.
    """

    def __init__(self, proc: Path, sys: Path, clock: Callable[[], float]) -> None:
        self._table = str(proc / "diskstats")
        self._sys_block = sys / "block"
        self._clock = clock
        self._looked_at = float("-inf")
        self._known: dict[bytes, tuple[_Attributes, _Attributes, _Attributes] | None] = {}
        """Attributes of a disk (device, read, write); None for a device that is no whole disk."""

    def read(self) -> Iterator[Reading | Gap]:
        """Bytes, operations and time by disk and direction, and the time in which the disk was busy."""
        disks = []
        if self._clock() - self._looked_at >= KIND_SECONDS:
            self.forget()
        for line in read_bytes(self._table).splitlines():
            name = line.split(None, 3)[2]
            attributes = self._known[name] if name in self._known else self._look(name)
            if attributes is not None:
                disks.append((line.split(None, _COLUMNS), attributes))
        if not disks:
            self._sys_block.stat()  # a machine without it has no known disks, which is a gap
        for row, (device, reads, writes) in disks[:MAX_DISKS]:
            for first, direction in ((3, reads), (7, writes)):
                yield measured((semconv.SYSTEM_DISK_IO, int(row[first + 2]) * _SECTOR, direction))
                yield measured((semconv.SYSTEM_DISK_OPERATIONS, int(row[first]), direction))
                yield measured((semconv.SYSTEM_DISK_OPERATION_TIME, int(row[first + 3]) / 1000, direction))
            yield measured((semconv.SYSTEM_DISK_IO_TIME, int(row[12]) / 1000, device))
        if len(disks) > MAX_DISKS:
            yield Gap("disk", "capped", f"{len(disks) - MAX_DISKS} of {len(disks)} disks left out")

    def forget(self) -> None:
        """Looks every device up again."""
        self._known.clear()
        self._looked_at = self._clock()

    def _look(self, raw: bytes) -> tuple[_Attributes, _Attributes, _Attributes] | None:
        name = raw.decode("utf-8", "replace")
        found = None
        # the kernel writes the slash of a name such as cciss/c0d0 as an exclamation mark in /sys
        if is_disk(self._sys_block / name.replace("/", "!")):
            device = {semconv.SYSTEM_DEVICE_NAME: name}
            found = (
                device,
                {**device, semconv.DISK_IO_DIRECTION: "read"},
                {**device, semconv.DISK_IO_DIRECTION: "write"},
            )
        if len(self._known) >= _NAMES_KEPT:
            self._known.clear()
        self._known[raw] = found
        return found
