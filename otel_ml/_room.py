"""How a job waits for room in a queue, where a service would rather lose a record than wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 30.0
"""Seconds without progress after which a job no longer waits."""
_PAUSE: Final = 0.002


class Room:
    """Waits for room as long as there is progress.

    Args:
        exists: Whether there is room, or never will be; called with the arguments of `wait`.
        progress: A number that changes whenever something leaves the queue.
        patience: Seconds without progress that end a wait. Further waits end at once until there is progress.
    """

    def __init__(self, exists: Callable[..., bool], progress: Callable[[], int], *, patience: float = PATIENCE) -> None:
        self._exists = exists
        self._progress = progress
        self._patience = patience
        self._stalled_at: int | None = None

    def wait(self, *what: int) -> None:
        """Returns when there is room, or when waiting has become pointless."""
        seen, since = self._progress(), time.monotonic()
        while not self._exists(*what):
            now = self._progress()
            if now != seen:
                seen, since = now, time.monotonic()
            elif seen == self._stalled_at or time.monotonic() - since > self._patience:
                self._stalled_at = seen
                return
            time.sleep(_PAUSE)
