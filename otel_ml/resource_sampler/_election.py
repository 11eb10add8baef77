"""Which of several processes reads what they share: one is elected by a file lock, which ends with its process."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from opentelemetry.metrics import Meter

from otel_ml import _guard, semconv
from otel_ml.resource_sampler._source import Gap, Report, Source

_PREFIX: Final = "devices."
_SUFFIX: Final = ".lock"
CHECK_SECONDS: Final = 60.0
"""How often the leader looks whether its file is still there, and makes it look used; without a lock, asks for one."""
_LOOKED_THROUGH: Final = 256
"""Locks of other groups that are looked at, to remove those that were left behind."""
_LOG: Final = logging.getLogger("otel_ml")
_HELD: Final[dict[str, int]] = {}
"""Locks of this process and the process that took them: closing any descriptor of such a file would lose its lock."""


class Leadership:
    """A lock that at most one process of a group holds, as the workers of one prefork server are.

    It is a POSIX record lock: a forked child does not inherit it, and the system frees it when its process ends,
    however it ends; the next process that asks has it. Without a private folder for the lock every process leads.
    A cleaner of temporary files may take the file away: the lead is asked for anew then.

    Args:
        folder: Where the lock lies; by default OTEL_ML_INSTANCE_DIR, or a private one below that for temporary files.
        group: What the processes have in common; by default their process group, PID namespace and command line.
        write: `os.pwrite`, or what writes like it.
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
        self._write = write or os.pwrite
        self._clock = clock
        self._checked_at = 0.0
        self._pid = 0
        self._descriptor: int | None = None
        self._held = Path()
        self._is_possible = True

    def is_held(self) -> bool:
        """Whether this process leads; asks for the lock when it does not."""
        if self._pid != os.getpid():
            self._pid, self._descriptor = os.getpid(), None
        if self._descriptor is not None and self._clock() - self._checked_at >= CHECK_SECONDS:
            self._check(self._descriptor)
        is_asked_lately = not self._is_possible and self._clock() - self._checked_at < CHECK_SECONDS
        if self._descriptor is not None or is_asked_lately:
            return True
        taken = _guard.call("resource_sampler.election", self._ask)
        self._is_possible, self._checked_at = taken is not None, self._clock()
        return taken is not False

    def holder(self) -> int | None:
        """The process that leads, as far as is known."""
        try:
            path = self._path()
            if _HELD.get(str(path)) == os.getpid():  # closing the file would give the lock back
                return os.getpid()
            return int(path.read_text() or 0) or None
        except (OSError, ValueError):
            return None

    def release(self) -> None:
        """Gives the lock back."""
        if self._descriptor is not None and self._pid == os.getpid():
            _HELD.pop(str(self._held), None)
            _give_up(self._descriptor, self._held)
        self._descriptor = None

    def leave_parent(self) -> None:
        """In a forked child, at once: the descriptor is a copy, and the lock is still the parent's."""
        if self._descriptor is not None and self._pid != os.getpid():
            os.close(self._descriptor)
            self._descriptor = None

    def _check(self, descriptor: int) -> None:
        self._checked_at = self._clock()
        if _is_file_of(descriptor, self._held):
            os.utime(descriptor)  # what was not used for ten days is cleaned away
            return
        # whoever asked since then has another file, and leads as well
        _HELD.pop(str(self._held), None)
        os.close(descriptor)
        self._descriptor = None

    def _path(self) -> Path:
        folder = _private_folder() if self._folder is None else self._folder
        return folder / f"{_PREFIX}{self._group or _own_group()}{_SUFFIX}"

    def _ask(self) -> bool | None:
        """Whether the lock was had; None where there can be none, which one line says."""
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
        descriptor = None if _HELD.get(str(path)) == os.getpid() else _locked(path)
        if descriptor is None:
            return False
        try:
            os.truncate(descriptor, 0)
            self._write(descriptor, str(os.getpid()).encode(), 0)
        except OSError:  # a full disk
            _give_up(descriptor, path)
            raise
        self._held, self._checked_at = path, self._clock()
        _HELD[str(path)] = os.getpid()
        self._descriptor = descriptor
        _guard.call("resource_sampler.election", _remove_left_behind, path)
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
        """Closes the source and gives the lock back."""
        self.source.close()
        self._leadership.release()

    def instrument(self, meter: Meter) -> None:
        """Creates the source's own instruments, if it has any."""
        instrument = getattr(self.source, "instrument", None)
        if instrument is not None:
            instrument(meter)

    def leave_parent(self) -> None:
        """In a forked child: the election is open again."""
        self._is_reading = False
        self._leadership.leave_parent()


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


def _locked(path: Path) -> int | None:
    """A descriptor of the file with the lock on it; None when another process has it.

    A file that was removed between opening and locking is no longer the lock that others see, so it is opened again.
    """
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file_of(descriptor, path):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in {errno.EACCES, errno.EAGAIN}:
                return None
            raise
        os.close(descriptor)


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _give_up(descriptor: int, path: Path) -> None:
    """Removes the file while its lock is still ours, and frees the lock also where it cannot be removed."""
    try:
        if _is_file_of(descriptor, path):
            path.unlink(missing_ok=True)
    except OSError:
        pass  # the next leader of any group tries again
    finally:
        os.close(descriptor)


def _remove_left_behind(own: Path) -> None:
    """Removes locks of groups that ended without giving them back."""
    import fcntl

    for number, path in enumerate(own.parent.glob(f"{_PREFIX}*{_SUFFIX}")):
        if number >= _LOOKED_THROUGH:
            return
        if path == own or _HELD.get(str(path)) == os.getpid():
            continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except OSError:
            pass  # held by a group that lives
        finally:
            os.close(descriptor)


def _private_folder() -> Path:
    """The folder of the locks.

    Raises:
        PermissionError: Somebody else could write there.
    """
    configured = os.environ.get(semconv.ENV_INSTANCE_DIR, "").strip()
    folder = Path(configured) if configured else Path(tempfile.gettempdir()) / f"otel-ml-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=bool(configured), exist_ok=True)
    state = folder.lstat()
    if not configured and (not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022):
        raise PermissionError(errno.EACCES, "not a private folder of this user", str(folder))
    return folder
