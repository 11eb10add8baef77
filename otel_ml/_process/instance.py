"""`service.instance.id`: stable over restarts and distinct between workers, from the lowest free slot of file locks."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from otel_ml import _guard
from otel_ml._process import locks
from otel_ml._values import line

_NAMESPACE: Final = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The namespace that the OpenTelemetry conventions give for deriving `service.instance.id`."""
_SLOTS: Final = 1024
_OF_ONE_SLOT: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM})
"""Errors of a planted link or of another user's file: the next slot may be usable."""
_POD_NAME: Final = "HOSTNAME"
"""Kubernetes sets it to the pod's name, Docker to the container's id."""


class Instance:
    """This process's instance of a service. Holds its slot until the process ends.

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
        self._held: locks.FileLock | None = None
        self.slot: int | None = None
        self.id = self._take()

    def reset_after_fork(self) -> str:
        """In a forked child: takes another slot than the parent's and returns its id."""
        self._checking = threading.Lock()
        self.release()
        self.id = self._take()
        return self.id

    def release(self) -> None:
        """Frees the slot, as the end of the process does."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def keep(self) -> None:
        """Protects the slot's file from cleaners of temporary files; to be called from time to time.

        If the file was removed anyway, it is created and locked again. A process that took the slot meanwhile has
        the same id; one log line reports it, since a resource cannot change while it is in use.
        """
        if self._clock() - self._checked_at < locks.CHECK_SECONDS or not self._checking.acquire(blocking=False):
            return
        try:
            self._checked_at = self._clock()
            if self._held is not None:
                _guard.call("instance.slot", self._check, self._held)
        finally:
            self._checking.release()

    def _check(self, held: locks.FileLock) -> None:
        if held.refresh():
            return
        held.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = self._lock(held.path)
        if taken is None:
            _guard.warn_once(
                "instance.slot",
                f"otel-ml: {held.path} was removed and another process has taken the slot: two instances have the "
                "same id until either is restarted. Set OTEL_ML_INSTANCE_DIR to a folder that is not cleaned",
            )
            return
        held.release()
        self._held = taken

    def _take(self) -> str:
        if self._configured is not None:
            return self._configured
        slot = _guard.call("instance.slot", self._lock_slot)
        self.slot = slot
        if slot is None:
            return str(uuid.uuid4())
        host = line(os.environ.get(_POD_NAME) or socket.gethostname()) or ""  # the name may not be UTF-8
        return str(uuid.uuid5(_NAMESPACE, f"{self._service}/{host}/{slot}"))

    def _lock_slot(self) -> int | None:
        if not locks.are_available():
            return None
        try:
            folder = locks.private_folder(self._folder)
            name = uuid.uuid5(_NAMESPACE, self._service).hex
            for slot in range(_SLOTS):
                held = self._lock(folder / f"{name}.{slot}")
                if held is not None:
                    self._held, self._checked_at = held, self._clock()
                    return slot
        except OSError as error:
            why = error.strerror or type(error).__name__
            _guard.warn_once(
                "instance.folder",
                f"otel-ml: {error.filename or self._folder} cannot hold the slots of instances ({why}): the instance "
                "id is random. Set OTEL_ML_INSTANCE_DIR to a folder that this user can write to",
            )
        return None

    @staticmethod
    def _lock(path: Path) -> locks.FileLock | None:
        """Locks the file of one slot; None where another process or user has it.

        Raises:
            OSError: The folder cannot be used for this or any other slot.
        """
        try:
            return locks.lock(path)
        except OSError as error:
            if error.errno in _OF_ONE_SLOT and os.access(path.parent, os.W_OK | os.X_OK):
                return None
            raise
