"""Elects the process that reads shared devices and the container, by a file lock that ends with its process."""

from __future__ import annotations

import logging
import os
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from opentelemetry.metrics import Meter

from otel_ml import _guard, semconv
from otel_ml._process import locks
from otel_ml.resource_sampler._source import Gap, Report, Source

_PREFIX: Final = "devices."
_SUFFIX: Final = ".lock"
_MOST_LOCKS: Final = 256
"""Locks of other groups that are inspected, to remove those of groups that have ended."""
_LOG: Final = logging.getLogger("otel_ml")
_HELD: Final[dict[str, int]] = {}
"""Locks of this process and the process that took them: closing any descriptor of such a file would free its lock."""


def _write_nothing(_descriptor: int, _content: bytes, _offset: int) -> int:
    """Stands in on systems without `os.pwrite`, where nobody locks a file either."""
    return 0


class Leadership:
    """A lock that at most one process of a group holds, as the workers of one prefork server are.

    It is a POSIX record lock: a forked child does not inherit it, and the system frees it when its process ends,
    however it ends; the next process that asks has it. Without a private folder for the lock every process leads.
    If a cleaner of temporary files removes the file, the leader asks for the lock again.

    Args:
        folder: Folder of the lock; by default OTEL_ML_INSTANCE_DIR, or a private one below that for temporary files.
        group: What the processes have in common; by default their process group, PID namespace and command line.
        write: `os.pwrite`, or a stand-in for it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        folder: Path | None = None,
        group: str | None = None,
        *,
        write: Callable[[int, bytes, int], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._group = group
        portable: Callable[[int, bytes, int], int] = getattr(os, "pwrite", _write_nothing)
        self._write = write or portable
        self._clock = clock
        self._checked_at = 0.0
        self._pid = 0
        self._held: locks.FileLock | None = None
        self._is_possible = True

    def is_held(self) -> bool:
        """Whether this process leads; asks for the lock when it does not."""
        if self._pid != os.getpid():
            self._pid, self._held = os.getpid(), None
        is_check_due = self._clock() - self._checked_at >= locks.CHECK_SECONDS
        if self._held is not None and is_check_due:
            self._check(self._held)
        if self._held is not None or not (self._is_possible or is_check_due) or not locks.are_available():
            return True
        taken = _guard.call("resource_sampler.election", self._ask)
        self._is_possible, self._checked_at = taken is not None, self._clock()
        return taken is not False

    def holder(self) -> int | None:
        """The process that leads, as far as is known."""
        try:
            path = self._path()
            if _HELD.get(str(path)) == os.getpid():  # closing the file would free the lock
                return os.getpid()
            return int(path.read_text() or 0) or None
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Frees the lock and removes its file."""
        if self._held is not None and self._pid == os.getpid():
            _HELD.pop(str(self._held.path), None)
            self._held.remove()
        self._held = None

    def reset_after_fork(self) -> None:
        """In a forked child, at once: the descriptor is a copy, and the lock is still the parent's."""
        if self._held is not None and self._pid != os.getpid():
            self._held.release()
            self._held = None

    def _check(self, held: locks.FileLock) -> None:
        self._checked_at = self._clock()
        if not held.refresh():  # a process that has asked since then has another file, and leads as well
            _HELD.pop(str(held.path), None)
            held.release()
            self._held = None

    def _path(self) -> Path:
        folder = self._folder or locks.private_folder(os.environ.get(semconv.ENV_INSTANCE_DIR, "").strip())
        return folder / f"{_PREFIX}{self._group or _own_group()}{_SUFFIX}"

    def _ask(self) -> bool | None:
        """Whether this process got the lock; None, and one log line, if no lock is possible."""
        path: Path | None = None
        try:
            path = self._path()
            return self._take(path)
        except OSError as error:
            _guard.warn_once(
                "resource_sampler.election",
                f"otel-ml: no lock at {error.filename or path} ({error.strerror or type(error).__name__}): "
                "every process of this group reads the devices and the container",
            )
            return None

    def _take(self, path: Path) -> bool:
        held = None if _HELD.get(str(path)) == os.getpid() else locks.lock(path, per_process=True)
        if held is None:
            return False
        try:
            os.truncate(held.descriptor, 0)
            self._write(held.descriptor, str(os.getpid()).encode(), 0)
        except OSError:  # a full disk
            held.remove()
            raise
        self._held, self._checked_at = held, self._clock()
        _HELD[str(path)] = os.getpid()
        _guard.call("resource_sampler.election", _remove_abandoned, path)
        _LOG.info("otel-ml: process %d reads the devices and the container for its group", os.getpid())
        return True


class Elected:
    """A source that only the leading process reads; to the others it is a gap.

    Args:
        source: The source.
        leadership: The lock; several sources may share one.
    """

    def __init__(self, source: Source, leadership: Leadership) -> None:
        self.source = source
        self.name = source.name
        self.metrics = source.metrics
        self._leadership = leadership
        self._is_reading = False

    def read(self) -> Report:
        """Reads the source, or names the process that does."""
        if self._leadership.is_held():
            self._is_reading = True
            return self.source.read()
        if self._is_reading:
            self._is_reading = False
            self.source.close()
        holder = self._leadership.holder()
        return Report((), (Gap(self.name, "elsewhere", f"process {holder or '?'} of this group reads it"),))

    def close(self) -> None:
        """Closes the source and frees the lock."""
        self.source.close()
        self._leadership.release()

    def instrument(self, meter: Meter) -> None:
        """Creates the source's own instruments, if it has any."""
        instrument = getattr(self.source, "instrument", None)
        if instrument is not None:
            instrument(meter)

    def reset_after_fork(self) -> None:
        """In a forked child: the election is open again."""
        self._is_reading = False
        self._leadership.reset_after_fork()


def _own_group() -> str:
    """The workers of one server share its process group and command line, two services of one script the first only.

    The number of a process group means something in one PID namespace only.
    """
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        namespace = 0
    command = zlib.crc32("\0".join(sys.argv).encode("utf-8", "surrogateescape"))
    return f"{namespace}.{os.getpgrp()}.{command:08x}"


def _remove_abandoned(own: Path) -> None:
    """Removes locks of groups that ended without releasing them."""
    for number, path in enumerate(own.parent.glob(f"{_PREFIX}*{_SUFFIX}")):
        if number >= _MOST_LOCKS:
            return
        if path == own or _HELD.get(str(path)) == os.getpid():
            continue
        try:
            abandoned = locks.lock(path, create=False, per_process=True)
        except OSError:
            continue
        if abandoned is not None:
            abandoned.remove()
