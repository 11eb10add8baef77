"""Reads the small files of /proc, /sys and control groups, and finds numbers in them."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import Final

_FILE_BYTES: Final = 1 << 20
"""Files of /proc and of control groups are smaller than this; a larger one is cut."""
_TABLE_BYTES: Final = 1 << 24
"""The same of a table of mounts, in which a container's line has the paths of all its layers."""

_LARGEST: Final = (1 << 64) - 1
"""The largest value of a kernel counter."""

_MARKS: Final[dict[bytes, bytes]] = {}
"""Search patterns by name; bounded, since all names are written in this package."""

_CHUNK_BYTES: Final = 1 << 14
_HALF_PAGE: Final = 2048
_MAX_KEPT: Final = 128

_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_NOFOLLOW")
)
"""Another container may hold any kind of file: a pipe would block, and a link could lead out of its root."""
_FOLDER: Final = sum(getattr(os, name, 0) for name in ("O_PATH", "O_DIRECTORY", "O_CLOEXEC", "O_NOFOLLOW"))
_FOREIGN: Final = re.compile(r"(.*?/\d+/root)/(.*)", re.DOTALL)
"""A path below another process's root, and the part of it that this process controls."""

_kept: dict[str, int] | None = None
"""Descriptors of files that are read at every tick; None where files are reopened each time."""


def keep_files_open() -> None:
    """Keeps files open between two readings from now on, which saves a third of the CPU time.

    Only for a process that does nothing but sample. A service may close descriptors that it does not know; a kept
    one could then belong to another file.
    """
    global _kept
    _kept = {}


def close_kept_files(folder: str) -> None:
    """Closes the files that were kept open below a folder, such as that of a process that has ended."""
    kept = _kept or {}
    for path in [path for path in kept if path.startswith(f"{folder}/")]:
        os.close(kept.pop(path))


def read_bytes(path: str, *, until: bytes | None = None, keep: bool = True, first: int = _CHUNK_BYTES) -> bytes:
    """Content of a small file of /proc, /sys or a control group.

    Args:
        path: The file.
        until: Text after which reading may stop before the end of the file.
        keep: Whether it is read at every tick and may be kept open.
        first: Bytes to ask for at first, at least half a page; reading continues until `until` is found.

    Raises:
        OSError: It cannot be read, or is no regular file, such as a pipe, a device or a symbolic link; below another
            process's root no folder on the way may be a link either.
    """
    if _kept is None or not keep:
        descriptor = _opened(path)
        try:
            return _read(descriptor, until, first=first)
        finally:
            os.close(descriptor)
    kept = _kept.get(path)
    if kept is not None:
        try:
            return _read(kept, until, first=first)
        except OSError:  # the process or the control group behind it is gone; there may be another one
            os.close(_kept.pop(path))
    descriptor = _opened(path)
    try:
        content = _read(descriptor, until, first=first)
    except OSError:
        os.close(descriptor)
        raise
    if len(_kept) < _MAX_KEPT:
        _kept[path] = descriptor
    else:
        os.close(descriptor)
    return content


def _opened(path: str) -> int:
    foreign = _FOREIGN.fullmatch(path)
    descriptor = os.open(path, _FLAGS) if foreign is None else _walked(*foreign.groups())
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def _walked(root: str, rest: str) -> int:
    """Opens a file below a root folder by folder: a link on the way would be looked up from our own root."""
    folder = os.open(root, _FOLDER & ~os.O_NOFOLLOW)  # this link is the kernel's
    try:
        *between, name = filter(None, rest.split("/"))
        for part in between:
            if part == ".." or stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, "a link on the way")
            above, folder = folder, os.open(part, _FOLDER, dir_fd=folder)
            os.close(above)
        return os.open(name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _read(
    descriptor: int,
    until: bytes | None,
    least: int = _HALF_PAGE,
    *,
    first: int = _CHUNK_BYTES,
    most: int = _FILE_BYTES,
) -> bytes:
    # an open file object costs three times as much
    content = chunk = os.pread(descriptor, max(first, _HALF_PAGE), 0)
    # The kernel returns whole lines up to a page: with short lines, less than half a page is the end.
    while len(chunk) >= least and len(content) < most and (until is None or until not in content):
        chunk = os.pread(descriptor, _CHUNK_BYTES, len(content))
        content += chunk
    return content


def read_text(path: str) -> str:
    """Text of a file that is read rarely, such as a table of mounts, whose lines can be as long as two paths.

    Names in it can be used as paths, also if they are not UTF-8.
    """
    descriptor = _opened(path)
    try:
        return os.fsdecode(_read(descriptor, None, least=1, most=_TABLE_BYTES))
    finally:
        os.close(descriptor)


def number_after(content: bytes, name: bytes) -> int:
    """The integer after ``name`` at the beginning of a line.

    Raises:
        KeyError: There is no such line.
        ValueError, IndexError: What follows is no integer, or one that the kernel cannot have counted.
    """
    mark = _MARKS.get(name)
    if mark is None:
        mark = _MARKS[name] = b"\n%b " % name
    start = content.find(mark)
    if start >= 0:
        start += len(mark)
    elif content.startswith(mark[1:]):
        start = len(mark) - 1
    else:
        raise KeyError(name)
    end = content.find(b"\n", start)
    number = int(content[start : end if end >= 0 else None].split(None, 1)[0])
    if number > _LARGEST:
        raise ValueError("more than 64 bits")
    return number
