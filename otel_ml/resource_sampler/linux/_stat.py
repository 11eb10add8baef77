"""The columns of /proc/<pid>/stat."""

from __future__ import annotations

from operator import itemgetter
from typing import Final, NamedTuple

from otel_ml.resource_sampler._proc_files import read_bytes

_COLUMNS: Final = 24 - 3 + 1
_chosen: Final = itemgetter(*(column - 3 for column in (4, 10, 12, 14, 15, 16, 17, 20, 22, 23, 24)))
"""The columns in the order of `Stat`; the third one is the first after the name."""


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
    """Since boot; distinguishes two processes of the same id."""
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
    columns = content[content.rindex(b")") + 2 :].split(None, _COLUMNS)
    state = columns[0]
    return Stat(state == b"Z" or state == b"X", *map(int, _chosen(columns)))  # noqa: PLR1714 - no set is made
