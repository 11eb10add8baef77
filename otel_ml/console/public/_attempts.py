"""How often an address may try to log in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT: Final = 10
"""Wrong tokens of one address."""
SECONDS: Final = 60
"""After this time they are forgotten."""
_ADDRESSES: Final = 10_000


class Attempts:
    """Counts wrong tokens by address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, tuple[float, int]] = {}

    def is_allowed(self, address: str) -> bool:
        """Whether an address may try again."""
        began, count = self._failed.get(address, (0.0, 0))
        return count < LIMIT or self._clock() - began > SECONDS

    def fail(self, address: str) -> None:
        """Counts a wrong token."""
        began, count = self._failed.pop(address, (self._clock(), 0))
        if self._clock() - began > SECONDS:
            began, count = self._clock(), 0
        self._failed[address] = (began, count + 1)
        if len(self._failed) > _ADDRESSES:
            del self._failed[next(iter(self._failed))]
