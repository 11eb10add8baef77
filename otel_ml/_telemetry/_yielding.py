"""Our threads yield so that the service never waits for the GIL.

A thread that releases the GIL for an instant gets it back before any thread that waits for it; only a thread that
sleeps lets others in. So our threads do longer work in steps with pauses between them, one thread at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final, TypeVar

from otel_ml import _process

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")

PAUSE: Final = 0.0005
"""Seconds."""
STEP: Final = 16
"""Data points between two looks at the clock: a known one costs a microsecond, a new one ten."""
_STRETCH: Final = 0.00025
"""Seconds that one of our threads works before `yield_to_service` makes it pause."""
_LONGEST_WAIT: Final = 0.05
"""Seconds that a thread waits for the slot; then it works without it, since the slot protects no data."""

_slot = threading.Lock()
_local = threading.local()


class WorkSlot:
    """A block in which no other of our threads does longer work."""

    def __enter__(self) -> None:
        self._lock = _slot
        self._is_held = self._lock.acquire(timeout=_LONGEST_WAIT)

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_held:
            self._lock.release()


def yield_to_service() -> None:
    """Pauses if this thread has worked for a while since its last pause; called between the steps of longer work."""
    now = perf_counter()
    if now - getattr(_local, "since", 0.0) > _STRETCH:
        sleep(PAUSE)
        _local.since = perf_counter()


def in_steps(items: Sequence[T], size: int = STEP) -> Iterator[Sequence[T]]:
    """Yields the items in slices, and yields to the service after each of them."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
        yield_to_service()


def _reset() -> None:
    global _slot
    _slot = threading.Lock()


_process.in_child("yielding.fork", _reset)
