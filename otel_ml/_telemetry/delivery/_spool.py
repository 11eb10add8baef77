"""The spool: requests that the first hop did not take, kept on disk up to a limit."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from time import time_ns
from typing import Final, NamedTuple

from otel_ml import _guard, semconv
from otel_ml._process import locks
from otel_ml._telemetry.delivery import _spool_file
from otel_ml._telemetry.delivery._spool_file import Kept, Torn
from otel_ml.config import ConfigError, Signal

_LOCK: Final = "lock"
_AGE: Final = 60_000_000_000


class Entry(NamedTuple):
    """What the ledger counts as in flight for one file."""

    signal: Signal
    records: int


class Spool:
    """Each process has a folder in the spool and locks it while it lives; folders of dead processes are adopted.

    A request is one file: written under another name, then renamed, so that a crash leaves it whole or not at all.
    Files are not forced to the disk: they survive the process, not a power failure, after which the checksum shows
    damage. What the ledger counts for each file is held here, so that both change under one lock.

    Args:
        folder: The spool's folder; created if it is missing, readable by its owner only.
        limit: Bytes of all files in it. A request that does not fit is refused.

    Raises:
        ConfigError: The folder cannot be made or used.
    """

    def __init__(self, folder: str, *, limit: int) -> None:
        self._root = Path(folder)
        self._limit = limit
        self._number = 0
        self._mine: Path | None = None
        self._held: locks.FileLock | None = None
        self._adopted: dict[Path, locks.FileLock] = {}
        self._entries: dict[Path, Entry] = {}
        self._undeletable: set[Path] = set()
        self._lock = threading.Lock()
        if not locks.are_available():
            raise ConfigError(
                f"spool_dir ({semconv.ENV_SPOOL_DIR}) needs file locks, which this system does not have: leave it out"
            )
        try:
            self._open()
        except OSError as error:
            raise ConfigError(
                f"spool_dir ({semconv.ENV_SPOOL_DIR}) {folder!r} cannot be used ({error}): choose a folder to write to"
            ) from None

    def keep(self, signal: Signal, count: int, body: bytes) -> bool:
        """Writes one request; False when it does not fit or cannot be written."""
        try:
            with self._lock:
                try:
                    return self._write(Kept(signal, count, body))
                except FileNotFoundError:  # /tmp was cleaned
                    self._leave_folder()
                    return self._write(Kept(signal, count, body))
        except OSError as error:
            self._warn(error)
            return False

    def replace(self, path: Path, pieces: Sequence[Kept]) -> list[Path]:
        """Replaces a request by its pieces and returns their files; none, and no change, where that fails.

        The pieces are written before the request is removed: if the process is killed in between, some records are
        sent twice. The limit may be exceeded meanwhile.
        """
        with self._lock:
            held = path.parent == self._mine or path.parent in self._adopted
            if not held or path not in self._entries:
                return []
            age = _spool_file.read_age(path)
            files: list[Path] = []
            try:
                files.extend(self._put(path.parent, piece, age) for piece in pieces)
            except OSError as error:
                for file in files:
                    self._remove(file)
                self._warn(error)
                return []
            self._remove(path)
        return files

    def enter(self, path: Path, content: Kept | Torn) -> int:
        """Adds a file that this process did not write; returns how many records are new to the ledger.

        A damaged file in our own folder counts none: our own files are known, and no other process writes there.
        """
        with self._lock:
            if path in self._entries:
                return 0
            is_unknown = isinstance(content, Torn) and path.parent == self._mine
            entry = Entry(content.signal, 0 if is_unknown else content.records)
            self._entries[path] = entry
            return entry.records

    def take_removed(self) -> list[Entry]:
        """Returns, once, what the ledger has for files that another program removed."""
        with self._lock:
            return [self._entries.pop(path) for path in list(self._entries) if _spool_file.is_gone(path)]

    def list_requests(self) -> list[Path]:
        """Returns the files to replay, oldest first: our own, and those of processes that have ended."""
        with self._lock:
            self._adopt()
            folders = [folder for folder in (self._mine, *self._adopted) if folder is not None]
            files = [
                path
                for folder in folders
                for path in _spool_file.list_requests(folder)
                if path not in self._undeletable
            ]
        return sorted(files, key=lambda path: path.name)

    def remove(self, path: Path) -> Entry | None:
        """Removes a file whose request has a final answer; returns, once, what the ledger has for it."""
        with self._lock:
            return self._remove(path)

    def close(self) -> None:
        """Releases the folders; empty ones are removed, the next process adopts the others."""
        with self._lock:
            for folder, held in [*self._adopted.items(), (self._mine, self._held)]:
                if folder is not None and held is not None:
                    if _spool_file.is_empty(folder):
                        shutil.rmtree(folder, ignore_errors=True)
                    held.release()
            self._adopted = {}
            self._mine = self._held = None

    def reset_after_fork(self) -> None:
        """Leaves the parent's folders to the parent; the child opens its own when it has something to keep."""
        self._lock = threading.Lock()
        for held in (self._held, *self._adopted.values()):
            if held is not None:
                held.release()
        self._adopted = {}
        self._entries = {}
        self._undeletable = set()
        self._mine = self._held = None

    def _open(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._root / uuid.UUID(bytes=os.urandom(16)).hex
        folder.mkdir(mode=0o700)
        # waits: at most another process is inspecting it and will release it
        self._mine, self._held = folder, locks.lock(folder / _LOCK, wait=True)

    def _leave_folder(self) -> None:
        """Makes the next request open another folder; files left in this one stay ours."""
        if self._mine is not None and self._held is not None:
            self._adopted[self._mine] = self._held
        self._mine = self._held = None

    def _write(self, request: Kept) -> bool:
        if self._mine is None:
            self._open()
        if self._used() + _spool_file.size(request) > self._limit:
            _guard.warn_of_loss(
                f"spool full {self._root}",
                f"otel-ml: the spool in {self._root} is full ({semconv.ENV_SPOOL_SIZE}={self._limit}); "
                "losses are counted",
            )
            return False
        self._put(self._mine or self._root, request)
        return True

    def _put(self, folder: Path, request: Kept, age: str | None = None) -> Path:
        """Writes a file and enters it; a piece keeps the age of its request."""
        self._number += 1
        path = _spool_file.write(folder, request, self._number, age)
        self._entries[path] = Entry(request.signal, request.records)
        return path

    def _remove(self, path: Path) -> Entry | None:
        try:
            path.unlink()
        except FileNotFoundError:
            pass
        except OSError:  # it stays, and must not be sent again
            self._undeletable.add(path)
        return self._entries.pop(path, None)

    def _warn(self, error: OSError) -> None:
        _guard.warn_of_loss(
            f"spool {error.errno}",
            f"otel-ml: the spool in {self._root} cannot be written ({error.strerror}); losses are counted",
        )

    def _used(self) -> int:
        return sum(
            _spool_file.disk_size(path) for folder in self._folders() for path in _spool_file.list_requests(folder)
        )

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self._root.iterdir() if path.is_dir()]
        except FileNotFoundError:
            return []

    def _adopt(self) -> None:
        """Takes over the folders of processes that have ended."""
        for folder in [folder for folder in self._adopted if _spool_file.is_empty(folder)]:
            shutil.rmtree(folder, ignore_errors=True)
            self._adopted.pop(folder).release()
        for folder in self._folders():
            if folder == self._mine or folder in self._adopted:
                continue
            try:
                held = locks.lock(folder / _LOCK, create=False)
            except OSError:  # just being created or removed, or not a lock of ours
                continue
            if held is None:  # its process lives
                continue
            if not _spool_file.is_empty(folder):
                self._adopted[folder] = held
                continue
            if _is_old(folder):
                shutil.rmtree(folder, ignore_errors=True)
            held.release()


def _is_old(folder: Path) -> bool:
    """Whether an empty folder is too old to be one that its process is just about to lock."""
    try:
        return time_ns() - folder.stat().st_mtime_ns > _AGE
    except OSError:
        return False
