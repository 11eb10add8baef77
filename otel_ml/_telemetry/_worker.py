"""The worker thread: renders, encodes and bins the queued records in small chunks with pauses in between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic, sleep

from otel_ml import _guard, _process
from otel_ml._telemetry._queues import Wakeup, WorkQueue
from otel_ml._telemetry._suppress import suppress_here
from otel_ml._telemetry._yielding import PAUSE, WorkSlot


class Worker:
    """The thread that empties the queues; it starts on first use, also after a fork."""

    def __init__(
        self, queues: Sequence[WorkQueue], *, delay: float, housekeeping: Callable[[], object] = lambda: None
    ) -> None:
        self.queues = queues
        self._housekeeping = housekeeping
        self._delay = delay
        self._reset()
        for queue in queues:
            queue.wakeup = Wakeup(self._start, self.wake)

    def wake(self) -> None:
        """Starts a round now, and the thread if there is none."""
        self._start()
        if not self._awake.is_set():
            self._awake.set()

    def drain(self, deadline: float) -> bool:
        """Waits until all records queued before the call are encoded; returns False when the deadline passes first."""
        with self._rounds:
            wanted = self._finished + (2 if self._running else 1)
        if self._thread is None and not any(len(queue) for queue in self.queues):
            return True
        self.wake()
        if self._thread is None:
            return False
        with self._rounds:
            return self._rounds.wait_for(lambda: self._finished >= wanted, max(0.0, deadline - monotonic()))

    def stop(self, deadline: float) -> None:
        """Encodes what is queued until the deadline, drops and counts the rest, and ends the thread."""
        for queue in self.queues:
            queue.closed = True
        self._stopping = True
        thread = self._thread
        if thread is not None:
            self._awake.set()
            thread.join(max(0.0, deadline - monotonic()))
        else:
            self._round()
        self._abandoned = True
        for queue in self.queues:
            queue.discard()

    def reset_after_fork(self) -> None:
        for queue in self.queues:
            queue.reset_after_fork()
        self._reset()

    def _reset(self) -> None:
        self.taken = 0
        """Records taken out of the queues so far."""
        self._awake = threading.Event()
        self._rounds = threading.Condition()
        self._starting = threading.RLock()
        self._finished = 0
        self._running = False
        self._stopping = False
        self._abandoned = False
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        if self._thread is not None or self._stopping:
            return
        with self._starting:
            if self._thread is None:  # without a thread, `stop` works on its caller's
                self._thread = _process.spawn("otel-ml-worker", self._run)

    def _run(self) -> None:
        suppress_here()
        while not self._stopping:
            self._awake.wait(self._delay)
            self._awake.clear()
            self._round()
        self._round()

    def _round(self) -> None:
        with self._rounds:
            self._running = True
        for queue in self.queues:
            waiting = len(queue)
            while waiting > 0 and not self._abandoned:
                with WorkSlot():
                    taken = _guard.call("worker.process", queue.process) or 1
                waiting -= taken
                self.taken += taken
                if not self._stopping:
                    sleep(PAUSE)
            _guard.call("worker.push", queue.push)
        _guard.call("worker.housekeeping", self._housekeeping)
        with self._rounds:
            self._running = False
            self._finished += 1
            self._rounds.notify_all()
