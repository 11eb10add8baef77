"""Where the control group of a process is, under cgroup v1, v2 and the hybrid of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

UNIFIED: Final = ""
"""Key of the v2 hierarchy, which has all controllers that no v1 hierarchy took."""
UNLIMITED: Final = 1 << 62
"""cgroup v1 writes "no limit" as the largest multiple of a page."""


@dataclass(frozen=True, slots=True)
class Group:
    """The process's group in one hierarchy."""

    folder: Path
    top: Path
    """The mount point: the highest group that can be seen."""
    version: int
    place: str = field(init=False, repr=False, compare=False)
    """The folder as text, which is needed several times a tick."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", str(self.folder))

    def upwards(self) -> Iterator[Path]:
        """The group and its visible ancestors, since each of them can limit it."""
        folder = self.folder
        while folder != self.top and self.top in folder.parents:
            yield folder
            folder = folder.parent
        yield self.top

    def files_upwards(self, name: str) -> tuple[str, ...]:
        """The files of this name in the group and its visible ancestors, where there is one."""
        return tuple(str(folder / name) for folder in self.upwards() if (folder / name).exists())

    def is_whole_host(self) -> bool:
        """Whether this is the real root, whose figures are the host's and no container's.

        `release_agent` exists in the root of a v1 hierarchy only, `cgroup.type` everywhere but in the root of v2.
        """
        if self.version == 1:
            return (self.folder / "release_agent").exists()
        return not (self.folder / "cgroup.type").exists()


@dataclass(frozen=True, slots=True)
class _Mount:
    point: str
    root: str
    """Which group of the hierarchy is mounted there."""
    version: int


def find_groups(memberships: str, mounts: str, root: Path) -> dict[str, Group]:
    """A process's group for each v1 controller, and under `UNIFIED` for v2.

    Args:
        memberships: Text of /proc/<pid>/cgroup.
        mounts: Text of /proc/<pid>/mountinfo.
        root: Folder under which the mount points are looked up: ``/``, or /proc/<pid>/root for another process.
    """
    mounted = _mounts(mounts)
    groups = {}
    for line in memberships.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            mount = mounted.get(controller)
            if mount is not None and _is_mounted(path, mount.root):
                top = root / mount.point.lstrip("/")
                groups[controller] = Group(_folder(top, mount.root, path), top, mount.version)
    return groups


@lru_cache(maxsize=1)  # the table is the same nearly every time
def _mounts(text: str) -> Mapping[str, _Mount]:
    mounted: dict[str, _Mount] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        columns, kind = before.split(), after.split()
        if len(columns) < 5 or not kind:
            continue
        if kind[0] == "cgroup2":
            mounted.setdefault(UNIFIED, _Mount(columns[4], columns[3], 2))
        elif kind[0] == "cgroup":
            for controller in kind[-1].split(","):
                mounted.setdefault(controller, _Mount(columns[4], columns[3], 1))
    return mounted


def _is_mounted(path: str, mounted_root: str) -> bool:
    """Whether a group can be seen: a path upwards leads out of the namespace, to one that is not mounted here.

    Exception: the mount of another process, seen from this namespace, also begins upwards.
    """
    below = f"{path}/".removeprefix(f"{mounted_root}/")
    return ".." not in below.split("/")


def _folder(top: Path, mounted_root: str, path: str) -> Path:
    """The group's folder; the mount point itself if the path is seen from another namespace.

    In a container the path may be the host's while the mount is already rooted at the container, and a private
    namespace shows ``/``.
    """
    try:
        relative = PurePosixPath(path).relative_to(mounted_root)
    except ValueError:
        return top
    folder = top / relative
    return folder if folder.is_dir() else top
