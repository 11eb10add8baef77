"""Threads of ours stand back: the service must not queue for the interpreter behind them.

A thread that gives the interpreter up for an instant gets it back before any that waits for it; only one that sleeps
lets others in. So longer work is done in steps with pauses between them, and by one thread of ours at a time.
"""

from __future__ import annotations

import threading
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

from otel_ml import _process

if TYPE_CHECKING:
    from types import TracebackType

PAUSE: Final = 0.0005
"""Seconds."""
_STRETCH: Final = 0.00025
"""Seconds that a thread of ours works before `stand_back` makes it pause."""
_PATIENCE: Final = 0.05
"""Seconds that a thread waits for its turn; then it works all the same, since a turn is no more than a courtesy."""

_turn = threading.Lock()
_mine = threading.local()


class Turn:
    """A block in which no other thread of ours does such work."""

    def __enter__(self) -> None:
        self._lock = _turn
        self._is_held = self._lock.acquire(timeout=_PATIENCE)

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_held:
            self._lock.release()


def stand_back() -> None:
    """Pauses if this thread has worked for a while since its last pause; between the steps of longer work."""
    now = perf_counter()
    if now - getattr(_mine, "since", 0.0) > _STRETCH:
        sleep(PAUSE)
        _mine.since = perf_counter()


def _reset() -> None:
    global _turn
    _turn = threading.Lock()


_process.in_child("yielding.fork", _reset)
