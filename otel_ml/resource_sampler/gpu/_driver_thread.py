"""One thread for all driver calls: a call that never returns blocks this thread and no caller."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

from otel_ml import _guard, _process

T = TypeVar("T")

EXIT_SECONDS: Final = 1.0
"""How long the interpreter's exit waits for a call in flight: tearing the library down under one is a crash."""


class Unanswered(Exception):  # noqa: N818 - an outcome, not a bug
    """The worker did not finish in time, or is still busy with an earlier request."""


class _Request:
    """One piece of work and its result."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None

    def run(self) -> None:
        self.result = _guard.call("resource_sampler.nvml", self.work)


class DriverThread:
    """Does one piece of work at a time on a daemon thread, which starts with the first one.

    Args:
        spawn: `otel_ml._process.spawn`, or a stand-in for it.
    """

    def __init__(self, spawn: Callable[..., threading.Thread | None] = _process.spawn) -> None:
        self._spawn = spawn
        self._condition = threading.Condition()
        self._current: _Request | None = None
        self._last: _Request | None = None
        self._thread: threading.Thread | None = None
        self._spent = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def ask(self, work: Callable[[], T], seconds: float) -> T | None:
        """The result of the work, None when it raised; a late result is discarded.

        Raises:
            Unanswered: It did not finish in time, or the thread is still busy: nothing is queued behind a hanging call.
        """
        request = _Request(work)
        with self._condition:
            if self._current is not None or self._last is not None:
                raise Unanswered
            self._current = request
            if not self.is_alive:
                self._thread = self._spawn("otel-ml-nvml", self._run)
                if self._thread is None:
                    self._current = None
                    raise Unanswered
                _ALIVE.add(self)
            self._condition.notify()
        if not request.done.wait(seconds):
            raise Unanswered
        result: T | None = request.result
        return result

    def take_cost(self) -> float:
        """CPU seconds of the thread's work since the last call of this."""
        spent, self._spent = self._spent, 0.0
        return spent

    def end(self, work: Callable[[], None], seconds: float) -> bool:
        """Runs the last piece of work, at once or after the call in flight; whether it ended in time.

        The thread ends afterwards, and a later `ask` starts another one.
        """
        last = _Request(work)
        with self._condition:
            if not self.is_alive:
                return True
            if self._last is None:
                self._last = last
                self._condition.notify()
            last = self._last
        return last.done.wait(seconds)

    def drain(self, seconds: float) -> bool:
        """Accepts no further work and waits for the call in flight; whether none is left."""
        return self.end(_nothing, seconds)

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._current is None and self._last is None:
                    self._condition.wait()
                request, is_last = self._current or self._last, self._current is None
            if request is None:
                continue
            before = time.thread_time()
            request.run()
            with self._condition:
                self._spent += time.thread_time() - before
                # free before it is done: the waiting thread may ask again at once
                self._current = None
                if is_last:
                    self._last = self._thread = None
                    _ALIVE.discard(self)
            request.done.set()
            if is_last:
                return


def _nothing() -> None:
    """The last work of a thread that only ends."""


_ALIVE: Final[weakref.WeakSet[DriverThread]] = weakref.WeakSet()


def _drain_all() -> None:
    for worker in list(_ALIVE):
        worker.drain(EXIT_SECONDS)


atexit.register(_drain_all)
# the parent's threads are not the child's, and their locks may never be free
_process.in_child("resource_sampler.fork", _ALIVE.clear)
