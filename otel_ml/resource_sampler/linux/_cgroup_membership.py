"""Which control groups a process is in now; looked up rarely, since a lookup costs more than a reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from otel_ml.resource_sampler._proc_files import close_kept_files, read_text
from otel_ml.resource_sampler.linux._cgroup import UNIFIED, Group, find_groups

LOCATED_SECONDS: Final = 10.0
"""How long the group's place, and which of its ancestors can limit it, are taken as known."""
LOOKED_SECONDS: Final = 60.0
"""How long at most while memberships, mounts and groups stay the same."""

Owner = tuple[str, int]
"""A group's folder and inode."""


class Membership:
    """The control groups of one process.

    Args:
        pid: The process, or a function that returns it (None for no process); by default this process.
        proc: Root of the proc file system.
        root: Folder under which the mount points of control groups are looked up; for another process its own root.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        pid: int | Callable[[], int | None] | None,
        *,
        proc: Path,
        root: str | Path | None,
        clock: Callable[[], float],
    ) -> None:
        self._find_process: Callable[[], int | str | None] = (
            pid if callable(pid) else lambda: "self" if pid is None else pid
        )
        self._proc = proc
        self._root = Path("/") if root is None and pid is None else None if root is None else Path(root)
        self._clock = clock
        self._pid: int | str | None = None
        """Whose group is known."""
        self._seen: tuple[int | str, str, str] | None = None
        """The process, its memberships and mounts when its groups were looked up."""
        self._located_at = self._looked_at = float("-inf")
        self._is_located = False
        """Whether the groups were looked up in this reading."""
        self._groups: dict[str, Group] = {}
        self._owned: dict[str, Group | None] = {}
        """The group that accounts for a controller, None where there is none."""
        self._limits: dict[str, tuple[str, ...]] = {}
        """Files with limits, those of all ancestors, by controller."""
        self._inodes: dict[str, int] = {}

    def start_reading(self) -> None:
        """Starts a reading, which looks the groups up again if they are due."""
        self._is_located = False

    def forget(self) -> None:
        """Forgets where the groups are."""
        self._pid, self._seen, self._located_at = None, None, float("-inf")

    def is_process_there(self) -> bool:
        """Whether the process exists."""
        pid = self._find_process()
        if pid == "self":  # the one that reads
            return True
        return pid is not None and os.path.exists(f"{self._proc}/{pid}")  # noqa: PTH110 - a tenth of the time

    def get(self, controller: str) -> Group:
        """The group that accounts for a controller.

        Raises:
            FileNotFoundError: There is none, or it is the whole host.
        """
        group = self.find(controller)
        if group is None:
            raise no_group(controller)
        return group

    def find(self, controller: str) -> Group | None:
        """The group that accounts for a controller; None if there is none, or it is the whole host."""
        if not self._is_located:
            self._locate()
            self._is_located = True
        if controller not in self._owned:
            found = self._groups.get(controller) or self._groups.get(UNIFIED)
            self._owned[controller] = None if found is None or found.is_whole_host() else found
        return self._owned[controller]

    def owner(self, controller: str) -> Owner:
        """The group and its inode: a restarted container has a group of the same name that starts at 0."""
        place = self.get(controller).place
        if place not in self._inodes:
            self._inodes[place] = os.stat(place).st_ino  # noqa: PTH116
        return place, self._inodes[place]

    def limit_files(self, group: Group, controller: str, name: str) -> tuple[str, ...]:
        """The files of this name in the group and its ancestors."""
        if controller not in self._limits:
            self._limits[controller] = group.files_upwards(name)
        return self._limits[controller]

    def _locate(self) -> None:
        pid = self._find_process()
        if pid is None:
            raise ProcessLookupError(3, "no such process")
        now = self._clock()
        if pid == self._pid and now - self._located_at < LOCATED_SECONDS:
            return
        folder = self._proc / str(pid)
        seen = (pid, read_text(f"{folder}/cgroup"), read_text(f"{folder}/mountinfo"))
        if seen == self._seen and now - self._looked_at < LOOKED_SECONDS and self._are_all_there():
            self._limits, self._located_at = {}, now
            return
        self._pid, self._seen, left = None, None, {group.folder for group in self._groups.values()}
        self._groups = find_groups(seen[1], seen[2], self._root or folder / "root")
        left -= {group.folder for group in self._groups.values()}
        if left:
            above = {Path(file).parent for files in self._limits.values() for file in files}
            for group_folder in left | above:
                close_kept_files(str(group_folder))
        self._owned, self._limits, self._inodes = {}, {}, {}
        self._pid, self._seen, self._located_at, self._looked_at = pid, seen, now, now

    def _are_all_there(self) -> bool:
        """Whether every known group still exists and none was replaced by another one of the same name."""
        try:
            return all(os.stat(place).st_ino == inode for place, inode in self._inodes.items())  # noqa: PTH116
        except OSError:
            return False


def no_group(controller: str) -> FileNotFoundError:
    """The error of a controller that has no group of its own."""
    return FileNotFoundError(2, f"no {controller or 'unified'} control group of its own")
