"""A bounded queue, and one thread that writes its items in batches and in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from otel_ml import _guard, _process
from otel_ml.ground_truth._account import CLOSED, INVALID, QUEUE_FULL

BATCH: Final = 500
"""Predictions in one transaction."""
_LINGER: Final = 0.02
"""Seconds between the first prediction of a batch and its write, so that a batch can gather."""
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts when the store is unreachable."""


class BatchWriter:
    """Takes items without blocking and hands them to `write` in batches; a `write` that returns False is repeated.

    Args:
        write: Writes a batch; False means that it has to be repeated.
        size: Items that may wait.
        refuse: Takes what is not written, with the reason; it must not raise.
        idle: Is called when nothing was offered for a while.
        idle_interval: Seconds of this while.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Any]], bool],
        *,
        size: int,
        refuse: Callable[[str, Sequence[Any]], object] = lambda *_: None,
        idle: Callable[[], None] = lambda: None,
        idle_interval: float = 60.0,
    ) -> None:
        self._write = write
        self._size = size
        self._refuse = refuse
        self._idle = idle
        self._idle_interval = idle_interval
        self._progress = threading.Condition()
        self._wake = threading.Event()
        self._no_delay = threading.Event()
        self._reset()

    @property
    def queued(self) -> int:
        """Items that are not written yet."""
        return len(self._queue) + self._in_hand

    def offer(self, item: object) -> bool:
        """Queues an item; returns False when the queue is full or the writer closed. Never blocks."""
        if self._closed or len(self._queue) >= self._size:
            self._refuse(CLOSED if self._closed else QUEUE_FULL, [item])
            return False
        self._queue.append(item)
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()
        return True

    def flush(self, timeout: float) -> bool:
        """Waits until all that was offered so far is written or dropped; False when that takes longer."""
        with self._progress:
            target = self._done + self._in_hand + len(self._queue)
            if self._done >= target:
                return True
            self._no_delay.set()
            return self._progress.wait_for(lambda: self._done >= target, timeout)

    def close(self, timeout: float) -> bool:
        """Writes what is queued, within the time, and ends the thread; safe to call twice. False after a drop."""
        deadline = time.monotonic() + timeout
        complete = self.flush(timeout)
        with self._progress:
            self._closed = True
        self._wake.set()
        self._no_delay.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(deadline - time.monotonic(), 0.1))
        left = list(self._queue)
        self._queue.clear()
        if left:
            self._refuse(CLOSED, left)
        return complete and not left

    def reset_after_fork(self) -> None:
        """In a forked child: the parent writes what was queued, the child starts empty."""
        self._reset()

    def _reset(self) -> None:
        self._queue: deque[object] = deque()
        self._in_hand = 0
        self._done = 0
        self._closed = False
        self._progress = threading.Condition()
        self._wake = threading.Event()
        self._no_delay = threading.Event()
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        with self._progress:
            if self._thread is None:
                self._thread = _process.spawn("otel-ml-ground-truth", self._run)

    def _run(self) -> None:
        while True:
            if not self._wake.wait(self._idle_interval):
                _guard.call("ground_truth.idle", self._idle)
                continue
            self._wake.clear()
            if not self._closed:
                self._no_delay.wait(_LINGER)
                self._no_delay.clear()
            while self._queue:
                self._write_batch()
                if self._closed and self._in_hand:
                    return
            if self._closed:
                return

    def _write_batch(self) -> None:
        """Writes one batch; repeats it until the store takes it or the writer is closed."""
        with self._progress:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._in_hand = len(batch)
        pause = 0.05
        while (is_written := _guard.call("ground_truth.write", self._write, batch)) is False:
            if self._closed:
                self._refuse(CLOSED, batch)
                return
            self._no_delay.wait(pause)
            self._no_delay.clear()
            pause = min(pause * 2, _LONGEST_PAUSE)
        if not is_written:
            self._refuse(INVALID, batch)
        with self._progress:
            self._in_hand = 0
            self._done += len(batch)
            self._progress.notify_all()
