"""`service.instance.id`: stable over restarts, distinct between workers, by the lowest free slot under a file lock."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from otel_ml import _guard
from otel_ml._values import text

_NAMESPACE: Final = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The namespace that the OpenTelemetry conventions give for deriving `service.instance.id`."""
_SLOTS: Final = 1024
CHECK_SECONDS: Final = 60.0
"""How often it is looked whether the slot's file is still there, and the file is made to look used."""
_OF_THE_FOLDER: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.ENOSPC, errno.EDQUOT})
"""What is no matter of one slot: no other one can be had either."""
_POD_NAME: Final = "HOSTNAME"
"""Kubernetes sets it to the pod's name, Docker to the container's id."""


class Instance:
    """This process's instance of a service. Holds its slot until the process ends; the system frees the lock.

    Args:
        service: Name of the service, with its namespace.
        configured: A configured id, which wins.
        folder: Where the slots are locked; None for one below the folder for temporary files.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        service: str,
        *,
        configured: str | None = None,
        folder: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._configured = configured
        self._folder = folder
        self._clock = clock
        self._checked_at = clock()
        self._checking = threading.Lock()
        self._held: int | None = None
        self._path = Path()
        self.slot: int | None = None
        self.id = self._take()

    def renew(self) -> str:
        """In a forked child: another slot than the parent's, and its id."""
        self._checking = threading.Lock()
        if self._held is not None:
            os.close(self._held)  # the parent's own descriptor keeps its lock
            self._held = None
        self.id = self._take()
        return self.id

    def release(self) -> None:
        """Frees the slot; for tests, as the end of the process does it too."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def keep(self) -> None:
        """For whoever comes by now and then: keeps a cleaner of temporary files from the slot's file.

        Where one took it all the same, the file is made and locked again while nobody else has the slot. A process
        that took it meanwhile has the same id; one line says so, since a resource cannot change while it is in use.
        """
        if self._clock() - self._checked_at < CHECK_SECONDS or not self._checking.acquire(blocking=False):
            return
        try:
            self._checked_at = self._clock()
            if self._held is not None:
                _guard.call("instance.slot", self._check, self._held)
        finally:
            self._checking.release()

    def _check(self, held: int) -> None:
        if _is_file_of(held, self._path):
            os.utime(held)  # what was not used for ten days is cleaned away
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = _locked(self._path)
        if taken is None:
            _guard.warn_once(
                "instance.slot",
                f"otel-ml: {self._path} was removed and another process has the slot by now: two instances have the "
                "id of one until either is restarted. Set OTEL_ML_INSTANCE_DIR to a folder that is not cleaned",
            )
            return
        os.close(held)
        self._held = taken

    def _take(self) -> str:
        if self._configured is not None:
            return self._configured
        slot = _guard.call("instance.slot", self._lock_slot)
        self.slot = slot
        if slot is None:
            return str(uuid.uuid4())
        host = text(os.environ.get(_POD_NAME) or socket.gethostname()) or ""  # the name may be no UTF-8
        return str(uuid.uuid5(_NAMESPACE, f"{self._service}/{host}/{slot}"))

    def _lock_slot(self) -> int | None:
        if sys.platform == "win32":  # has no such locks
            return None
        try:
            folder = _private_folder(self._folder)
            name = uuid.uuid5(_NAMESPACE, self._service).hex
            for slot in range(_SLOTS):
                path = folder / f"{name}.{slot}"
                descriptor = _locked(path)
                if descriptor is not None:
                    self._held, self._path, self._checked_at = descriptor, path, self._clock()
                    return slot
        except OSError as error:
            why = error.strerror or type(error).__name__
            _guard.warn_once(
                "instance.folder",
                f"otel-ml: {error.filename or self._folder} cannot hold the slots of instances ({why}): the instance "
                "id is random. Set OTEL_ML_INSTANCE_DIR to a folder that this user can write to",
            )
        return None


def _locked(path: Path) -> int | None:
    """A descriptor of the file with the lock on it; None when another process has it, or it is not ours to open.

    A file that was removed between opening and locking is no longer the lock that others see, so it is opened again.

    Raises:
        OSError: The folder cannot be used for this or any other slot.
    """
    import fcntl

    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno in _OF_THE_FOLDER or not os.access(path.parent, os.W_OK | os.X_OK):
                raise
            return None  # a planted link, or another user's file
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
    except (FileNotFoundError, NotADirectoryError):
        return False


def _private_folder(configured: str | None) -> Path:
    """The folder of the locks.

    Raises:
        OSError: It cannot be made, or somebody else could write there.
    """
    folder = Path(configured) if configured else Path(tempfile.gettempdir()) / f"otel-ml-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=configured is not None, exist_ok=True)
    state = folder.lstat()
    is_private = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022
    if configured is None and not is_private:
        raise PermissionError(errno.EACCES, "not a private folder of this user", str(folder))
    return folder
