"""The sender of one signal: a bounded queue of encoded batches and the thread that delivers them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final

from otel_ml import _guard, _process
from otel_ml._telemetry.delivery._delivery import REQUEST_BYTES, Delivery
from otel_ml._telemetry.otlp import _framing
from otel_ml._telemetry.otlp._framing import Encoded

BATCH_RECORDS: Final = 2048
QUEUE_BYTES: Final = 64 * 1024 * 1024
_LAST_WAIT: Final = 0.5
"""Seconds for a sender whose connection was cut at the end of a shutdown to write its book."""


class Sender:
    """Queues and delivers what the worker has encoded; its thread is started on first use, also after a fork."""

    def __init__(self, delivery: Delivery, *, limit: int) -> None:
        self.delivery = delivery
        self._limit = limit
        self._open: list[Encoded] = []
        self._open_bytes = 0
        self._open_count = 0
        self._batches: deque[list[Encoded]] = deque()
        self._queued_records = 0
        self._queued_bytes = 0
        self._busy = False
        self._stopping = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, records: Sequence[Encoded]) -> None:
        """Adds records that are in the book already to the open batch. Called by the worker only."""
        volume, count = _framing.size(records), _framing.count(records)
        if self._open_bytes + volume < REQUEST_BYTES and self._open_count + count < BATCH_RECORDS:
            self._open += records
            self._open_bytes += volume
            self._open_count += count
            return
        for encoded in records:
            _, frames, count = encoded
            if len(frames) > REQUEST_BYTES:
                self.delivery.book.drop("too_large", count)
                continue
            if self._open_count + count > BATCH_RECORDS:
                self.push()
            self._open.append(encoded)
            self._open_bytes += len(frames)
            self._open_count += count
            if self._open_count >= BATCH_RECORDS or self._open_bytes >= REQUEST_BYTES:
                self.push()

    def push(self) -> None:
        """Queues the open batch; a full queue drops it. Called by the worker only."""
        batch, volume, count = self._open, self._open_bytes, self._open_count
        if not batch:
            return
        self._open, self._open_bytes, self._open_count = [], 0, 0
        with self._changed:
            full = self._queued_records + count > self._limit or self._queued_bytes + volume > QUEUE_BYTES
            refused = "shutdown" if self._stopping else "queue_full" if full and self._batches else ""
            if not refused:
                self._batches.append(batch)
                self._queued_records += count
                self._queued_bytes += volume
                self._start()
                self._changed.notify_all()
        if refused:
            self.delivery.give_up(batch, refused)

    def wait_idle(self, deadline: float) -> bool:
        """Waits until everything queued has a final answer; False when the monotonic deadline passes first."""
        with self._changed:
            remaining = max(0.0, deadline - monotonic())
            return self._changed.wait_for(lambda: not self._batches and not self._busy, remaining)

    def announce_stop(self) -> None:
        """Takes no more batches; the thread ends when the queue is empty."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def stop(self, deadline: float) -> None:
        """Delivers what is queued until the deadline; what is left is dropped and counted."""
        self.announce_stop()
        self.delivery.stop(deadline)
        if self._thread is None:
            self._run()
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, deadline - monotonic()))
        self.delivery.close()
        if thread is not None:
            thread.join(_LAST_WAIT)
        with self._changed:
            left = list(self._batches)
            self._batches.clear()
        for batch in left:
            self.delivery.give_up(batch, "shutdown")

    def reset_after_fork(self) -> None:
        """Forgets the queue: its records are the parent's."""
        self.delivery.reset_after_fork()
        self.__init__(self.delivery, limit=self._limit)  # type: ignore[misc]

    def _start(self) -> None:
        if self._thread is None:  # without a thread `stop` sends on its caller's
            self._thread = _process.spawn(f"otel-ml-{self.delivery.signal}", self._run)

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            _guard.call("sender.deliver", self.delivery.deliver, batch)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> list[Encoded] | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._batches) or self._stopping)
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._queued_records -= _framing.count(batch)
            self._queued_bytes -= _framing.size(batch)
            self._busy = True
            return batch
