"""The process that a sampler beside a service reads: one id until it ends, or a name that is found again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from otel_ml.resource_sampler._source import SEARCH_SECONDS
from otel_ml.resource_sampler.linux._stat import read_stat


def target_process(
    pid: int | None = None, name: str = "", *, proc: str | Path = "/proc"
) -> Callable[[], int | None] | None:
    """A function that returns the id of the process with this id or name at every call; None without either.

    Without /proc, as on macOS and Windows, psutil finds it.
    """
    if pid is None and not name:
        return None
    if not os.path.exists("/proc/self/stat"):  # noqa: PTH110
        from otel_ml.resource_sampler._psutil_readings import PortableProcess

        return PortableProcess(pid, name)
    return NamedProcess(name, proc=proc) if pid is None else OneProcess(pid, proc=proc)


class OneProcess:
    """A process by its id; a later process of the same id is another one.

    Args:
        pid: The process's id.
        proc: Root of the proc file system.
    """

    def __init__(self, pid: int, *, proc: str | Path = "/proc") -> None:
        self.wanted = f"process {pid}"
        self._folder = Path(proc) / str(pid)
        self._pid = pid
        self._start: int | None = None
        self._is_known = False
        """Whether the start is known; where it could not be read, the first one that can be read is used."""
        self()

    def __call__(self) -> int | None:
        """The id, or None once the process has ended; what cannot be read for another reason has not ended."""
        try:
            start = _start(self._folder)
        except (OSError, ValueError, IndexError):
            return self._pid if not self._is_known or self._start is not None else None
        if not self._is_known:
            self._start, self._is_known = start, True
        return self._pid if start is not None and start == self._start else None


class NamedProcess:
    """The oldest process of a name, as in /proc/<pid>/comm; looked for again when it ends.

    Args:
        name: The process's name; the kernel cuts names at 15 bytes, and so does this class.
        proc: Root of the proc file system.
        clock: Monotonic seconds.
    """

    def __init__(self, name: str, *, proc: str | Path = "/proc", clock: Callable[[], float] = time.monotonic) -> None:
        self.wanted = f"process named {name}"
        self._name = os.fsencode(name)[:15]
        self._proc = Path(proc)
        self._clock = clock
        self._found: OneProcess | None = None
        self._searched_at = float("-inf")

    def __call__(self) -> int | None:
        """The id now, None while there is no such process."""
        pid = None if self._found is None else self._found()
        if pid is None and self._clock() - self._searched_at >= SEARCH_SECONDS:
            self._searched_at = self._clock()
            oldest = min(self._candidates(), default=None)
            self._found = None if oldest is None else OneProcess(oldest[1], proc=self._proc)
            pid = None if self._found is None else self._found()
        return pid

    def _candidates(self) -> list[tuple[int, int]]:
        """Start and id of the processes of that name, except this one."""
        found = []
        try:
            entries = os.listdir(self._proc)  # noqa: PTH208 - a third of the time
        except OSError:
            return []
        for entry in entries:
            if entry.isdecimal() and int(entry) != os.getpid():
                folder = self._proc / entry
                try:
                    start = _start(folder)
                except (OSError, ValueError, IndexError):
                    continue
                if start is not None and _name(folder) == self._name:
                    found.append((start, int(entry)))
        return found


def _start(folder: Path) -> int | None:
    """Start of a process, in ticks since boot; None when there is none, or it only waits for its parent.

    Raises:
        OSError, ValueError, IndexError: It cannot be read, as where there are no descriptors left.
    """
    try:
        stat = read_stat(str(folder))
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return None
    return None if stat.is_zombie else stat.start_ticks


def _name(folder: Path) -> bytes:
    try:
        return (folder / "comm").read_bytes().rstrip(b"\n")
    except OSError:
        return b""
