"""Readings of what a container read from and wrote to block devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_ml import semconv
from otel_ml.resource_sampler._proc_files import read_bytes
from otel_ml.resource_sampler._source import Gap, Reading
from otel_ml.resource_sampler.linux._cgroup import Group
from otel_ml.resource_sampler.linux._disks import MAX_DISKS, has_hardware

_V1_FILES: Final = ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")
_DEVICES_KEPT: Final = 1024

_Attributes = Mapping[str, str | int]


class BlockIo:
    """Bytes by device and direction: v2 ``io.stat``, v1 ``blkio.throttle.io_service_bytes_recursive``.

    Reads that the page cache answers are not among them. Devices are named as in /proc/diskstats; one that is not there
    keeps its number, such as ``254:0``. A device that /sys does not know is taken as a disk. Bytes of an NVMe multipath
    disk are counted at the disk; its paths are rows without a number, ``(unknown)``.

    Args:
        proc: Root of the proc file system; that of the sys file system is beside it.
    """

    def __init__(self, proc: Path) -> None:
        self._devices = proc.parent / "sys" / "dev" / "block"
        self._diskstats = str(proc / "diskstats")
        self._known: dict[bytes, tuple[_Attributes, _Attributes] | None] = {}
        """Attributes of a device (read, write) by its number; None for one that is built from others."""

    def read(self, group: Group) -> Iterator[Reading | Gap]:
        """Reads the group's file once.

        Raises:
            OSError: There is no such file, as without the io controller.
        """
        rows = _v2(group) if group.version == 2 else _v1(group)
        disks = []
        for number, read, written in rows:
            if b":" not in number:
                continue
            attributes = self._known[number] if number in self._known else self._look(number)
            if attributes is not None:
                disks.append((attributes, (read, written)))
        for attributes, counts in disks[:MAX_DISKS]:
            for count, direction in zip(counts, attributes, strict=True):
                yield Reading(semconv.CONTAINER_DISK_IO, count, direction)
        if len(disks) > MAX_DISKS:
            yield Gap("container disk io", "capped", f"{len(disks) - MAX_DISKS} of {len(disks)} disks left out")

    def _look(self, number: bytes) -> tuple[_Attributes, _Attributes] | None:
        folder = self._devices / number.decode("ascii", "replace")
        found = None
        if has_hardware(folder) or not folder.exists():
            name = self._name(number)
            found = (
                {semconv.SYSTEM_DEVICE_NAME: name, semconv.DISK_IO_DIRECTION: "read"},
                {semconv.SYSTEM_DEVICE_NAME: name, semconv.DISK_IO_DIRECTION: "write"},
            )
        if len(self._known) >= _DEVICES_KEPT:
            self._known.clear()
        self._known[number] = found
        return found

    def _name(self, number: bytes) -> str:
        try:
            lines = read_bytes(self._diskstats).splitlines()
        except OSError:
            lines = []
        for row in map(bytes.split, lines):
            if len(row) > 2 and b":".join(row[:2]) == number:
                return row[2].decode("utf-8", "replace")
        return number.decode("utf-8", "replace")


def _v2(group: Group) -> Iterable[tuple[bytes, int, int]]:
    for line in read_bytes(f"{group.place}/io.stat").splitlines():
        columns = line.split()
        counts = dict(column.split(b"=", 1) for column in columns if b"=" in column)
        numbers = [column for column in columns if b"=" not in column]
        # a device that only the cost controller knows has no bytes
        if b"rbytes" in counts:
            # some kernels begin the line with the numbers of devices without counts; the last number is the row's own
            yield numbers[-1], int(counts[b"rbytes"]), int(counts[b"wbytes"])


def _v1(group: Group) -> Iterable[tuple[bytes, int, int]]:
    recursive, own = (group.folder / name for name in _V1_FILES)
    counts: dict[bytes, dict[bytes, int]] = {}
    for row in map(bytes.split, read_bytes(str(recursive if recursive.exists() else own)).splitlines()):
        if len(row) == 3:  # the last line is the total of all devices
            counts.setdefault(row[0], {})[row[1]] = int(row[2])
    for number, by_kind in counts.items():
        yield number, by_kind[b"Read"], by_kind[b"Write"]
