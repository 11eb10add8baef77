"""One request as a file of the spool: its name, its head, and how it is read back."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from time import time_ns
from typing import Final, NamedTuple
from zlib import crc32

from otel_ml.config import SIGNALS, Signal

_HEAD: Final = struct.Struct(">4sBIII")
"""Magic, signal, records, bytes of the request, and a checksum of all of these and the request."""
_MAGIC: Final = b"OML1"
_SUFFIX: Final = ".otlp"
_DIGITS: Final = 20
"""Of a name's first part, nanoseconds: sorted by name, requests are sorted by age."""


class Kept(NamedTuple):
    """One request that was read back."""

    signal: Signal
    records: int
    body: bytes


class Torn(NamedTuple):
    """A damaged file; ``signal`` and ``records`` are what its name says."""

    signal: Signal
    records: int


def size(request: Kept) -> int:
    """Returns the bytes of its file."""
    return _HEAD.size + len(request.body)


def write(folder: Path, request: Kept, number: int, before: str | None = None) -> Path:
    """Writes a request under another name, then renames it; an error leaves nothing behind.

    Args:
        folder: Of the process.
        request: The request.
        number: One that this process has not used.
        before: What `read_age` gave for the request that this one is a piece of: pieces take its place.

    Raises:
        OSError: The disk does not take it.
    """
    signal, count, body = request
    index = SIGNALS.index(signal)
    now = f"{time_ns():0{_DIGITS}d}"
    moment = now if before is None else f"{before}-{now}"
    path = folder / f"{moment}-{number:06d}-{signal}-{count}{_SUFFIX}"
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
    return path


def read(path: Path) -> Kept | Torn | None:
    """Reads a file; None when it cannot be opened."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    signal, count = _parse_name(path)
    if len(content) < _HEAD.size:
        return Torn(signal, count)
    magic, index, records, length, checksum = _HEAD.unpack_from(content)
    body = content[_HEAD.size :]
    whole = magic == _MAGIC and length == len(body) and checksum == _checksum(index, records, body)
    return Kept(SIGNALS[index], records, body) if whole else Torn(signal, count)


def read_age(path: Path) -> str | None:
    """Returns when the request was written, by its name."""
    digits = path.name[:_DIGITS]
    return digits if len(digits) == _DIGITS and digits.isdecimal() else None


def list_requests(folder: Path) -> list[Path]:
    """Returns the requests in a folder."""
    try:
        return [path for path in folder.iterdir() if path.suffix == _SUFFIX]
    except OSError:  # removed by the process that replayed it
        return []


def is_empty(folder: Path) -> bool:
    """Whether a folder holds no request; False where that is unknown, such as without a free descriptor."""
    try:
        return not any(path.suffix == _SUFFIX for path in folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def disk_size(path: Path) -> int:
    """Returns the bytes that a file takes."""
    try:
        return path.stat().st_size
    except OSError:  # removed by the thread or the process that replayed it
        return 0


def is_gone(path: Path) -> bool:
    """Whether a file was removed; False where that is unknown."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _parse_name(path: Path) -> tuple[Signal, int]:
    parts = path.stem.split("-")
    signal = next((signal for signal in SIGNALS if signal in parts), SIGNALS[0])
    return signal, int(parts[-1]) if parts[-1].isdecimal() else 1


def _checksum(index: int, count: int, body: bytes) -> int:
    return crc32(body, crc32(struct.pack(">BII", index, count, len(body))))
