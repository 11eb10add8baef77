"""The columns of /proc/<pid>/stat."""

from __future__ import annotations

from typing import NamedTuple

from otel_ml.resource_sampler._source import read_bytes


class Stat(NamedTuple):
    """The columns that are used; times in clock ticks. Source: proc(5)."""

    is_zombie: bool
    """Ended, and not yet waited for."""
    parent: int
    minor_faults: int
    major_faults: int
    user_ticks: int
    system_ticks: int
    waited_user_ticks: int
    """Of descendants that ended and were waited for."""
    waited_system_ticks: int
    threads: int
    start_ticks: int
    """Since boot; tells apart two processes of the same id."""
    virtual_bytes: int
    resident_pages: int


def read_stat(folder: str, *, keep: bool = False) -> Stat:
    """The figures of the process with this folder.

    Args:
        folder: The process's folder in /proc.
        keep: Whether it is read at every tick.

    Raises:
        OSError: There is no such process, or it may not be read.
        ValueError, IndexError: The line is malformed.
    """
    content = read_bytes(f"{folder}/stat", keep=keep)
    # the name in column 2 may hold spaces and brackets
    columns = content[content.rindex(b")") + 2 :].split()
    return Stat(
        is_zombie=columns[0] in {b"Z", b"X"},
        parent=int(columns[4 - 3]),
        minor_faults=int(columns[10 - 3]),
        major_faults=int(columns[12 - 3]),
        user_ticks=int(columns[14 - 3]),
        system_ticks=int(columns[15 - 3]),
        waited_user_ticks=int(columns[16 - 3]),
        waited_system_ticks=int(columns[17 - 3]),
        threads=int(columns[20 - 3]),
        start_ticks=int(columns[22 - 3]),
        virtual_bytes=int(columns[23 - 3]),
        resident_pages=int(columns[24 - 3]),
    )
