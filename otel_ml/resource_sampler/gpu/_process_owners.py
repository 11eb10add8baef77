"""Whose processes are on a GPU: compares the driver's process ids, perhaps of another namespace, with /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

MAX_PID: Final = 1 << 22
"""Linux's own limit; a larger id is garbage from a driver whose structure is another one."""

_MAX_DESCRIPTORS: Final = 8192
_MAX_ANCESTORS: Final = 64
_MAX_REMEMBERED: Final = 1024
_CUDA_DEVICE: Final = "/dev/nvidia-uvm"
"""Opened by CUDA and not by NVML, which opens the other /dev/nvidia* in the sampler's own process."""
_CONTAINER: Final = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")


class Owners:
    """Finds the target process and its descendants among the driver's process ids.

    Args:
        pid: The target process, in this namespace, or a function that returns it; None while there is none.
        proc: /proc of this namespace.
        host_proc: /proc of the host, where it is mounted into this container.
    """

    def __init__(
        self, pid: int | Callable[[], int | None], proc: Path = Path("/proc"), host_proc: Path | None = None
    ) -> None:
        self._target = pid
        self._proc = proc
        self._host = host_proc
        self._descriptor: dict[int, str] = {}
        """Where a process was last seen to hold the device."""

    @property
    def _pid(self) -> int:
        """The target process now; 0, which is no process, while there is none."""
        return (self._target() or 0) if callable(self._target) else self._target

    def has_device(self) -> bool:
        """Whether the target process uses CUDA."""
        return self._holds_device(self._pid)

    def ours(self, pids: Iterable[int]) -> tuple[set[int], str]:
        """Which of the driver's ids are the target process or its descendants, and by which method that is known.

        Only where that is certain: an id of our namespace must hold the device, since a host's id may be the number of
        some other process here; an id of the host must lead to our namespace.
        """
        target = self._pid
        if not target:
            return set(), "none"
        here = {pid for pid in pids if self._descends(self._proc, pid, target) and self._holds_device(pid)}
        if here or self._host is None:
            return here, "pid"
        return {pid for pid in pids if self._is_ours_on_host(self._host, pid, target)}, "host_pid"

    def containers(self, pids: Iterable[int]) -> dict[int, str]:
        """The container of each id, for a sampler in the host's namespace; processes in none are left out."""
        found = {}
        for pid in pids:
            if self._holds_device(pid) and (container := self._container(pid)) is not None:
                found[pid] = container
        return found

    def _descends(self, proc: Path, pid: int, ancestor: int) -> bool:
        for _ in range(_MAX_ANCESTORS):
            if pid == ancestor:
                return True
            parent = _parent(proc, pid)
            if parent is None or parent < 1:  # the first process of a container is 1
                return False
            pid = parent
        return False

    def _is_ours_on_host(self, host: Path, pid: int, target: int) -> bool:
        """Whether a host's id, or an ancestor of it, is the target process under its inner number in our namespace."""
        try:
            namespace = (self._proc / str(target) / "ns" / "pid").readlink()
        except OSError:
            return False
        current: int | None = pid
        for _ in range(_MAX_ANCESTORS):
            if current is None or current <= 1:
                return False
            if _inner(host, current) == target:
                try:
                    return (host / str(current) / "ns" / "pid").readlink() == namespace
                except OSError:
                    return False
            current = _parent(host, current)
        return False

    def _holds_device(self, pid: int) -> bool:
        folder = self._proc / str(pid) / "fd"
        last = self._descriptor.get(pid)
        if last is not None and _target(folder / last) == _CUDA_DEVICE:
            return True
        self._descriptor.pop(pid, None)
        for name in _names(folder):
            if _target(folder / name) == _CUDA_DEVICE:
                if len(self._descriptor) >= _MAX_REMEMBERED:
                    self._descriptor.clear()
                self._descriptor[pid] = name
                return True
        return False

    def _container(self, pid: int) -> str | None:
        try:
            text = (self._proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        ids = _CONTAINER.findall(text)
        return ids[-1] if ids else None


def is_plausible(pid: int) -> bool:
    """Whether a number of the driver can be a process id."""
    return 0 < pid <= MAX_PID


def _parent(proc: Path, pid: int) -> int | None:
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _inner(host: Path, pid: int) -> int | None:
    """A process's id in its innermost namespace."""
    try:
        for line in (host / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except (OSError, ValueError):
        return None
    return None


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= _MAX_DESCRIPTORS:
                    return
                yield entry.name
    except OSError:
        return


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
