"""File locks that end with their process, and the private folder that holds them."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

CHECK_SECONDS: Final = 60.0
"""How often the holder of a long-lived lock should call `FileLock.refresh`."""
_HELD_ELSEWHERE: Final = frozenset({errno.EACCES, errno.EAGAIN})


def are_available() -> bool:
    """Whether the system has file locks and file owners; Windows has neither."""
    return find_spec("fcntl") is not None and hasattr(os, "getuid")


class FileLock:
    """A file that this process has locked; made by `lock`. The system frees it when the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def is_in_place(self) -> bool:
        """Whether the file is still the one at its path, which other processes try to lock."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), self.path.lstat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def refresh(self) -> bool:
        """Updates the file's time, so that cleaners of temporary files leave it; False when it was removed.

        Once the file was removed, the next process locks a new one: the holder must lock again as well.
        """
        if not self.is_in_place():
            return False
        os.utime(self.descriptor)
        return True

    def release(self) -> None:
        """Frees the lock and leaves the file; in a forked child this leaves the parent's lock alone."""
        os.close(self.descriptor)

    def remove(self) -> None:
        """Removes the file while it is locked, then frees the lock, also where the file cannot be removed."""
        try:
            if self.is_in_place():
                self.path.unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            os.close(self.descriptor)


def lock(path: Path, *, create: bool = True, wait: bool = False, per_process: bool = False) -> FileLock | None:
    """Locks a file; None when another process holds it. Links are not followed.

    Args:
        path: The file.
        create: Whether to create a missing file, readable by its owner only.
        wait: Whether to wait until the lock is free.
        per_process: A POSIX record lock: a forked child does not inherit it, and the process loses it as soon as it
            closes any descriptor of the file. Otherwise the lock belongs to the descriptor, which a child shares.

    Raises:
        OSError: The file cannot be opened or locked.
        ImportError: The system has no such locks.
    """
    import fcntl

    function = fcntl.lockf if per_process else fcntl.flock
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    while True:  # a file that was removed before it was locked is not the one that others see
        held = FileLock(path, os.open(path, flags, 0o600))
        try:
            function(held.descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if held.is_in_place():
                return held
        except OSError as error:
            held.release()
            if error.errno in _HELD_ELSEWHERE:
                return None
            raise
        held.release()


def private_folder(configured: str | None) -> Path:
    """Creates and returns the folder for lock files.

    Args:
        configured: A folder that the user chose, whose permissions are up to the user. Otherwise a folder below that
            for temporary files, where any user could have planted a link or a folder of that name.

    Raises:
        OSError: The folder cannot be created, or another user could write to it.
    """
    folder = Path(configured) if configured else Path(tempfile.gettempdir()) / f"otel-ml-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=bool(configured), exist_ok=True)
    state = folder.lstat()
    is_private = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o022
    if not configured and not is_private:
        raise PermissionError(errno.EACCES, "not a private folder of this user", str(folder))
    return folder
