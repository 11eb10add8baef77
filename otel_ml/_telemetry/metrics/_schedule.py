"""When the reader collects: once per interval, and earlier for a while where predictions begin or pause."""

from __future__ import annotations

from typing import Final

FIRST_GAP: Final = 1.0
"""Seconds from a collection to an early one while predictions go on; doubled each time, up to the interval."""
REST: Final = 0.5
"""Seconds without a prediction after which a collection is due, since the process may end now."""
EARLY: Final = 8
"""Early collections that may follow each other; after that there is one more for each interval."""


class Schedule:
    """Decides when a collection is due.

    A process that is killed loses what was counted since the last export. So counts are exported early when predictions
    begin and when they rest. A busy process exports once per interval, and no process more than twice in the long run.

    Args:
        interval: Seconds between two collections.
        now: The monotonic time.
    """

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._collected_at = now
        self._gap = FIRST_GAP
        self._early = EARLY
        self._count = self._collected = 0
        """Predictions now, and at the last collection."""
        self._changed_at = now

    def is_due(self, now: float, count: int) -> bool:
        """Returns whether to collect now.

        Args:
            now: The monotonic time.
            count: The predictions so far.
        """
        if count != self._count:
            self._count, self._changed_at = count, now
        if now - self._collected_at >= self._interval:
            self._early = min(self._early + 1, EARLY)
            return True
        if count == self._collected or not self._early:
            return False
        if now - self._changed_at < REST and now - self._collected_at < self._gap:
            return False
        self._early -= 1
        return True

    def collected(self, now: float, count: int) -> None:
        """Starts a new interval."""
        self._gap = FIRST_GAP if count == self._collected else min(2 * self._gap, self._interval)
        self._collected_at, self._count, self._collected = now, count, count
