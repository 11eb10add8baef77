"""`service.instance.id`: stable over restarts, distinct between workers, by the lowest free slot under a file lock."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import uuid
from pathlib import Path
from typing import Final

from otel_ml import _guard
from otel_ml._values import text

_NAMESPACE: Final = uuid.UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320")
"""The namespace that the OpenTelemetry conventions give for deriving `service.instance.id`."""
_SLOTS: Final = 1024
_POD_NAME: Final = "HOSTNAME"
"""Kubernetes sets it to the pod's name, Docker to the container's id."""


class Instance:
    """This process's instance of a service. Holds its slot until the process ends; the system frees the lock.

    Args:
        service: Name of the service, with its namespace.
        configured: A configured id, which wins.
        folder: Where the slots are locked; None for one below the folder for temporary files.
    """

    def __init__(self, service: str, *, configured: str | None = None, folder: str | None = None) -> None:
        self._service = service
        self._configured = configured
        self._folder = folder
        self._held: int | None = None
        self.slot: int | None = None
        self.id = self._take()

    def renew(self) -> str:
        """In a forked child: another slot than the parent's, and its id."""
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
        try:
            import fcntl
        except ImportError:  # Windows
            return None
        folder = _private_folder(self._folder)
        if folder is None:
            return None
        name = uuid.uuid5(_NAMESPACE, self._service).hex
        for slot in range(_SLOTS):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
            try:
                descriptor = os.open(folder / f"{name}.{slot}", flags, 0o600)
            except OSError:  # a planted link, or another user's file
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # taken
                os.close(descriptor)
                continue
            self._held = descriptor
            return slot
        return None


def _private_folder(configured: str | None) -> Path | None:
    """The folder of the locks; None when somebody else could write there."""
    folder = Path(configured) if configured else Path(tempfile.gettempdir()) / f"otel-ml-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=configured is not None, exist_ok=True)
    state = folder.lstat()
    if configured is not None:
        return folder
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        _guard.warn_once(
            "instance.folder",
            f"otel-ml: {folder} is not a private folder of this user; the instance id is random. "
            "Set OTEL_ML_INSTANCE_DIR",
        )
        return None
    return folder
