"""A bounded queue of predictions, and one thread that writes them in batches and in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from otel_ml import _guard, _process
from otel_ml._logged_prediction import LoggedRows
from otel_ml._process.backpressure import STALL_TIMEOUT, Backpressure
from otel_ml.ground_truth._account import CLOSED, INVALID, QUEUE_FULL

BATCH: Final = 5000
"""Predictions in one transaction, at most."""
_LINGER: Final = 0.02
"""Seconds between the first prediction of a batch and its write, so that a batch can gather."""
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts when the store is unreachable."""


class BatchWriter:
    """Takes rows and hands them to `write` in batches, in order; what `write` returns is written later.

    Args:
        write: Writes a batch; returns what could not be written for now.
        size: Rows that may wait. Rows that are offered together are taken together while there is any room.
        refuse: Takes what is not written, with the reason; it must not raise.
        upkeep: Is called between two batches, every so often, and again soon if it returns that there is more to do.
        upkeep_interval: Seconds between two calls.
        stall_timeout: Seconds without progress after which `offer` no longer waits for room.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, each with a default
        self,
        write: Callable[[Sequence[LoggedRows]], Sequence[LoggedRows]],
        *,
        size: int,
        refuse: Callable[[str, Sequence[LoggedRows]], object] = lambda *_: None,
        upkeep: Callable[[], bool] = lambda: False,
        upkeep_interval: float = 60.0,
        stall_timeout: float = STALL_TIMEOUT,
    ) -> None:
        self._write = write
        self._size = size
        self._refuse = refuse
        self._upkeep = upkeep
        self._upkeep_interval = upkeep_interval
        self._reset()
        self._backpressure = Backpressure(self._has_room, self._count_done, stall_timeout=stall_timeout)

    @property
    def queued(self) -> int:
        """Rows that are not written yet."""
        return self._waiting + self._in_hand

    def offer(self, rows: LoggedRows, *, wait: bool = False) -> bool:
        """Queues rows; returns False when the queue is full or the writer closed.

        Args:
            rows: The rows.
            wait: Whether a caller who can wait does so, as long as other rows are being written.
        """
        reason = self._queue_up(rows)
        while reason == QUEUE_FULL and wait and self._backpressure.wait():  # another thread may take the room first
            reason = self._queue_up(rows)
        if reason is not None:
            self._refuse(reason, [rows])
            return False
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()
        return True

    def _queue_up(self, rows: LoggedRows) -> str | None:
        """Puts rows into the queue, or says why it does not take them."""
        with self._progress:
            if self._closed or not self._has_room():
                return CLOSED if self._closed else QUEUE_FULL
            self._queue.append(rows)
            self._waiting += len(rows)
        return None

    def flush(self, timeout: float) -> bool:
        """Waits until all that was offered so far is written or dropped; False when that takes longer."""
        with self._progress:
            target = self._done + self.queued
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
        with self._progress:
            left = list(self._queue)
            self._queue.clear()
            self._waiting = 0
        if left:
            self._refuse(CLOSED, left)
        return complete and not left

    def reset_after_fork(self) -> None:
        """In a forked child: the parent writes what was queued, the child starts empty."""
        self._reset()

    def _reset(self) -> None:
        self._queue: deque[LoggedRows] = deque()
        self._waiting = 0
        """Rows in the queue."""
        self._in_hand = 0
        self._done: int = 0
        self._upkeep_at = 0.0
        self._closed = False
        self._progress: threading.Condition = threading.Condition()
        self._wake: threading.Event = threading.Event()
        self._no_delay: threading.Event = threading.Event()
        self._thread: threading.Thread | None = None

    def _count_done(self) -> int:
        return self._done

    def _has_room(self) -> bool:
        return self._closed or self._waiting < self._size

    def _start(self) -> None:
        with self._progress:
            if self._thread is None:
                self._thread = _process.spawn("otel-ml-ground-truth", self._run)

    def _run(self) -> None:
        self._upkeep_at = time.monotonic() + self._upkeep_interval
        while True:
            is_awake = self._wake.wait(max(0.0, self._upkeep_at - time.monotonic()))
            self._keep_up()
            if not is_awake:
                continue
            self._wake.clear()
            if not self._closed:
                self._no_delay.wait(_LINGER)
                self._no_delay.clear()
            while self._queue:
                self._write_batch()
                if self._closed and self._in_hand:
                    return
                self._keep_up()
            if self._closed:
                return

    def _keep_up(self) -> None:
        """Does some of the upkeep if it is due, also while there is always something to write."""
        if not self._closed and time.monotonic() >= self._upkeep_at:
            has_more = _guard.call("ground_truth.upkeep", self._upkeep)
            self._upkeep_at = time.monotonic() + (0.0 if has_more else self._upkeep_interval)

    def _take(self) -> list[LoggedRows]:
        """Takes rows for one transaction out of the queue."""
        batch: list[LoggedRows] = []
        with self._progress:
            while self._queue and self._in_hand < BATCH:
                rows, room = self._queue.popleft(), BATCH - self._in_hand
                if len(rows) > room:
                    self._queue.appendleft(rows.part(room))
                    rows = rows.part(0, room)
                batch.append(rows)
                self._in_hand += len(rows)
                self._waiting -= len(rows)
        return batch

    def _write_batch(self) -> None:
        """Writes one batch; repeats it until the store takes it or the writer is closed."""
        left: Sequence[LoggedRows] = self._take()
        taken, pause = self._in_hand, 0.05
        while left:
            later = _guard.call("ground_truth.write", self._write, left)
            if later is None:
                self._refuse(INVALID, left)
                break
            left = later
            if left and self._closed:
                self._refuse(CLOSED, left)
                return
            if left:
                self._no_delay.wait(pause)
                self._no_delay.clear()
                pause = min(pause * 2, _LONGEST_PAUSE)
        with self._progress:
            self._in_hand = 0
            self._done += taken
            self._progress.notify_all()
