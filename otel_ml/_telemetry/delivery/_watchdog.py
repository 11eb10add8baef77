"""One thread for the whole process that ends gRPC calls which run beyond their deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from otel_ml import _process


class Watchdog:
    """Calls a function when a block takes longer than it may; started on first use."""

    def __init__(self) -> None:
        self._reset()
        _process.in_child("watchdog.fork", self._reset)

    @contextmanager
    def watching(self, deadline: float, cut: Callable[[], None]) -> Iterator[None]:
        """Calls ``cut`` from another thread if the block is still running then; never after it has ended.

        Args:
            deadline: A moment of `time.monotonic`.
            cut: Must be quick and must not raise.
        """
        key = object()
        changed, watched = self._changed, self._watched
        with changed:
            watched[key] = (deadline, cut)
            self._start()
            changed.notify()
        try:
            yield
        finally:
            with changed:
                watched.pop(key, None)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._watched: dict[object, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        if self._thread is None:  # without a thread gRPC's own timeouts still hold
            self._thread = _process.spawn("otel-ml-watchdog", self._run)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for key, (deadline, cut) in list(self._watched.items()):
                    if deadline <= now:
                        del self._watched[key]
                        cut()
                nearest = min((deadline for deadline, _ in self._watched.values()), default=None)
                self._changed.wait(None if nearest is None else max(0.0, nearest - now))


WATCHDOG = Watchdog()
"""The watchdog of this process."""
