"""Backpressure: a batch job waits for room in a queue, where a service would rather lose a record than wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

STALL_TIMEOUT: Final = 30.0
"""Seconds without progress after which a job no longer waits."""
_PAUSE: Final = 0.002


class Backpressure:
    """Waits until a queue has room, as long as the queue makes progress.

    Args:
        has_room: Whether a wait may end: there is room, or there never will be. It gets the arguments of `wait`.
        progress: A number that changes whenever something leaves the queue.
        stall_timeout: Seconds without progress that end a wait. Later waits then end at once until there is progress.
    """

    def __init__(
        self, has_room: Callable[..., bool], progress: Callable[[], int], *, stall_timeout: float = STALL_TIMEOUT
    ) -> None:
        self._has_room = has_room
        self._progress = progress
        self._stall_timeout = stall_timeout
        self._stalled_at: int | None = None

    def wait(self, *size: int) -> bool:
        """Waits until the queue has room; returns False when it is stalled."""
        seen, since = self._progress(), time.monotonic()
        while not self._has_room(*size):
            now = self._progress()
            if now != seen:
                seen, since = now, time.monotonic()
            elif seen == self._stalled_at or time.monotonic() - since > self._stall_timeout:
                self._stalled_at = seen
                return False
            time.sleep(_PAUSE)
        return True
