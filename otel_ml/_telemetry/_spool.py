"""The spool: requests that the first hop did not take, kept on disk within a limit and replayed once."""

from __future__ import annotations

import os
import shutil
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import Final, NamedTuple
from zlib import crc32

from otel_ml import _guard, semconv
from otel_ml.config import SIGNALS, ConfigError, Signal

_HEAD: Final = struct.Struct(">4sBIII")
"""Magic, signal, records, bytes of the request, and a checksum of all of these and the request."""
_MAGIC: Final = b"OML1"
_SUFFIX: Final = ".otlp"
_LOCK: Final = "lock"
_AGE: Final = 60_000_000_000


class Kept(NamedTuple):
    """One request that was read back."""

    signal: Signal
    records: int
    body: bytes


class Torn(NamedTuple):
    """A file that does not hold what was written; ``signal`` and ``records`` are what its name says."""

    signal: Signal
    records: int


class Spool:
    """A folder for each process below the spool's, locked while its process lives; orphans are adopted.

    A request is one file: written under another name, then renamed, so that a crash leaves it whole or not at all.
    Files are not forced to the disk: they survive the process, not a power failure, after which the checksum tells.

    Args:
        folder: The spool's folder; made if it is missing, readable by its owner only.
        limit: Bytes that all files below it may take together. A request that does not fit is refused.

    Raises:
        ConfigError: The folder cannot be made or used.
    """

    def __init__(self, folder: str, *, limit: int) -> None:
        self._root = Path(folder)
        self._limit = limit
        self._number = 0
        self._mine: Path | None = None
        self._held: int | None = None
        self._adopted: dict[Path, int] = {}
        self._lock = threading.Lock()
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except (OSError, ImportError) as error:
            raise ConfigError(
                f"spool_dir ({semconv.ENV_SPOOL_DIR}) {folder!r} cannot be used ({error}): choose a folder to write to"
            ) from None

    def keep(self, signal: Signal, count: int, body: bytes) -> bool:
        """Writes one request; False when it does not fit, or the disk does not take it."""
        try:
            with self._lock:
                return self._write(signal, count, body)
        except OSError as error:
            _guard.warn_of_loss(
                f"spool {error.errno}",
                f"otel-ml: the spool in {self._root} cannot be written ({error.strerror}); losses are counted",
            )
            return False

    def waiting(self) -> list[Path]:
        """Files that this process may replay, oldest first: its own, and those of processes that have ended."""
        with self._lock:
            self._adopt()
            folders = [folder for folder in (self._mine, *self._adopted) if folder is not None]
            files = [path for folder in folders for path in _files(folder)]
        return sorted(files, key=lambda path: path.name)

    def is_foreign(self, path: Path) -> bool:
        """Whether another process wrote this file."""
        return path.parent in self._adopted

    @staticmethod
    def read(path: Path) -> Kept | Torn | None:
        """What a file holds; None when it cannot be opened."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        signal, count = _named(path)
        if len(content) < _HEAD.size:
            return Torn(signal, count)
        magic, index, records, size, checksum = _HEAD.unpack_from(content)
        body = content[_HEAD.size :]
        whole = magic == _MAGIC and size == len(body) and checksum == _checksum(index, records, body)
        return Kept(SIGNALS[index], records, body) if whole else Torn(signal, count)

    def forget(self, path: Path) -> None:
        """Removes a file whose request is decided."""
        with suppress(OSError):
            path.unlink()

    def close(self) -> None:
        """Gives the folders up; an empty one is removed, the others are adopted by the next process."""
        with self._lock:
            for folder, descriptor in [*self._adopted.items(), (self._mine, self._held)]:
                if folder is not None and descriptor is not None:
                    if not _files(folder):
                        shutil.rmtree(folder, ignore_errors=True)
                    os.close(descriptor)
            self._adopted = {}
            self._mine = self._held = None

    def reset_after_fork(self) -> None:
        """The parent's folders stay the parent's; the child opens its own when it has something to keep."""
        self._lock = threading.Lock()
        for descriptor in (self._held, *self._adopted.values()):
            if descriptor is not None:
                os.close(descriptor)
        self._adopted = {}
        self._mine = self._held = None

    def _open(self) -> None:
        import fcntl

        folder = self._root / uuid.UUID(bytes=os.urandom(16)).hex
        folder.mkdir(mode=0o700)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # at most another process looks at it just now and lets go
        self._mine, self._held = folder, descriptor

    def _write(self, signal: Signal, count: int, body: bytes) -> bool:
        if self._mine is None:
            self._open()
        if self._used() + _HEAD.size + len(body) > self._limit:
            _guard.warn_of_loss(
                f"spool full {self._root}",
                f"otel-ml: the spool in {self._root} is full ({semconv.ENV_SPOOL_SIZE}={self._limit}); "
                "losses are counted",
            )
            return False
        index = SIGNALS.index(signal)
        self._number += 1
        folder = self._mine or self._root
        path = folder / f"{time_ns():020d}-{self._number:06d}-{signal}-{count}{_SUFFIX}"
        draft = path.with_suffix(".part")
        head = _HEAD.pack(_MAGIC, index, count, len(body), _checksum(index, count, body))
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(head)
                file.write(body)
            draft.rename(path)
        except OSError:
            with suppress(OSError):
                draft.unlink()
            raise
        return True

    def _used(self) -> int:
        return sum(path.stat().st_size for folder in self._folders() for path in _files(folder))

    def _folders(self) -> Iterator[Path]:
        return (path for path in self._root.iterdir() if path.is_dir())

    def _adopt(self) -> None:
        """Takes over the folders of processes that have ended."""
        import fcntl

        for folder in [folder for folder in self._adopted if not _files(folder)]:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(self._adopted.pop(folder))
        for folder in list(self._folders()):
            if folder == self._mine or folder in self._adopted:
                continue
            try:
                descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            except OSError:  # just being made, or just being removed
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # its process lives
                os.close(descriptor)
                continue
            if _files(folder):
                self._adopted[folder] = descriptor
                continue
            if _is_old(folder):
                shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix == _SUFFIX]
    except OSError:  # removed by the process that replayed it
        return []


def _is_old(folder: Path) -> bool:
    """An empty folder may be one that its process is about to lock; after this long it is a dead one's."""
    try:
        return time_ns() - folder.stat().st_mtime_ns > _AGE
    except OSError:
        return False


def _named(path: Path) -> tuple[Signal, int]:
    parts = path.stem.split("-")
    signal = next((signal for signal in SIGNALS if signal in parts), SIGNALS[0])
    return signal, int(parts[-1]) if parts[-1].isdecimal() else 1


def _checksum(index: int, count: int, body: bytes) -> int:
    return crc32(body, crc32(struct.pack(">BII", index, count, len(body))))
