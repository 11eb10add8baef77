"""The sender of one signal: a bounded queue of encoded batches and the thread that delivers them.

A batch stays in the queue until it has a final answer. While the receiver does not answer or asks for a retry, the
thread pauses between two attempts. Records are lost only if the queue is full, the oldest first, or at a shutdown.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, NamedTuple

from otel_ml import _guard, _process
from otel_ml._export import retry
from otel_ml._telemetry.delivery._delivery import REQUEST_BYTES, Delivery
from otel_ml._telemetry.otlp import _framing
from otel_ml._telemetry.otlp._framing import Encoded

BATCH_RECORDS: Final = 2048
_LAST_WAIT: Final = 0.5
"""Seconds for a sender whose connection was cut at the end of a shutdown to write its book."""


class Bounds(NamedTuple):
    """What may wait in the queue of one sender."""

    records: int
    volume: int
    """Bytes of encoded records."""


class _Batch(NamedTuple):
    """Records in the queue."""

    number: int
    """In the order of queueing, from 1."""
    records: list[Encoded]
    weight: int
    """What the ledger counts for them."""
    volume: int
    queued_at: float


class Sender:
    """Queues and delivers what the worker has encoded; its thread is started on first use, also after a fork."""

    def __init__(self, delivery: Delivery, bounds: Bounds) -> None:
        self.delivery = delivery
        self._bounds = bounds
        self._open: list[Encoded] = []
        self._open_bytes = 0
        self._open_count = 0
        self._batches: deque[_Batch] = deque()
        self._sending: _Batch | None = None
        self._queued_records = 0
        self._queued_bytes = 0
        self._number = 0
        self._attempts = 0
        self._last_failed = 0
        """The number of the last attempt that failed."""
        self._failures = 0
        """Failed attempts since the last one that was answered."""
        self._retry_at = 0.0
        self._asked_until = 0.0
        """The monotonic time before which the receiver asked for no further request."""
        self._is_urgent = False
        """Whether a flush ends the pause between two attempts."""
        self._stopping = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, records: Sequence[Encoded]) -> None:
        """Adds records that are in the book already to the open batch. Called by one thread only."""
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
        """Queues the open batch; a full queue drops its oldest records. Called by one thread only."""
        batch, volume, count = self._open, self._open_bytes, self._open_count
        if not batch:
            return
        self._open, self._open_bytes, self._open_count = [], 0, 0
        with self._changed:
            is_refused = self._stopping
            oldest = [] if is_refused else self._make_room(count, volume)
            if not is_refused:
                self._number += 1
                self._batches.append(_Batch(self._number, batch, count, volume, monotonic()))
                self._queued_records += count
                self._queued_bytes += volume
                self._start()
                self._changed.notify_all()
        if is_refused:
            self.delivery.give_up(batch, "shutdown")
        if oldest:
            self.delivery.give_up(oldest, "queue_full")

    @property
    def has_room(self) -> bool:
        """Whether it can take what the worker holds without losing the oldest records."""
        half = self._queued_records <= self._bounds.records // 2 and self._queued_bytes <= self._bounds.volume // 2
        return half or self.delivery.replay is not None

    def begin_flush(self) -> Callable[[float], bool]:
        """Ends the pause between two attempts, unless the receiver asked for it.

        Returns:
            A function that takes a monotonic deadline. It waits until all that is queued when it is called has a final
            answer, or until an attempt after `begin_flush` has failed. It returns True in the first case.
        """
        with self._changed:
            begun = self._attempts
            self._is_urgent = bool(self._batches or self._sending)
            self._changed.notify_all()

        def wait(deadline: float) -> bool:
            with self._changed:
                last = self._number
                self._changed.wait_for(
                    lambda: self._is_done(last) or self._has_failed(begun), max(0.0, deadline - monotonic())
                )
                return self._is_done(last)

        return wait

    def oldest_age(self) -> float:
        """Returns the seconds that the oldest record in the queue has waited; 0 if there is none."""
        with self._changed:
            oldest = self._oldest()
            return 0.0 if oldest is None else monotonic() - oldest.queued_at

    def announce_stop(self) -> None:
        """Takes no more batches; the thread makes one attempt for each batch in the queue and ends."""
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
            self.delivery.give_up(batch.records, "shutdown")

    def reset_after_fork(self) -> None:
        """Forgets the queue: its records are the parent's."""
        self.delivery.reset_after_fork()
        self.__init__(self.delivery, self._bounds)  # type: ignore[misc]

    def _start(self) -> None:
        if self._thread is None:  # without a thread `stop` sends on its caller's
            self._thread = _process.spawn(f"otel-ml-{self.delivery.signal}", self._run)

    def _oldest(self) -> _Batch | None:
        return self._sending or (self._batches[0] if self._batches else None)

    def _is_done(self, last: int) -> bool:
        """Whether the batches up to this number have a final answer."""
        oldest = self._oldest()
        return oldest is None or oldest.number > last

    def _has_failed(self, begun: int) -> bool:
        """Whether an attempt after the one with this number has failed, or none will be made."""
        is_waiting = self._sending is None and monotonic() < self._asked_until
        return self._thread is None or self._last_failed > begun or is_waiting

    def _make_room(self, count: int, volume: int) -> list[Encoded]:
        """Takes as many of the oldest records out of the queue as a new batch needs; returns them."""
        taken: list[Encoded] = []
        while self._batches and not self._has_room(count, volume):
            oldest = self._batches.popleft()
            place = 0
            while place < len(oldest.records) and not self._has_room(count, volume):
                _, frames, records = oldest.records[place]
                self._queued_records -= records
                self._queued_bytes -= len(frames)
                place += 1
            taken += oldest.records[:place]
            self._put_first(oldest, oldest.records[place:])
        return taken

    def _has_room(self, count: int, volume: int) -> bool:
        return (
            self._queued_records + count <= self._bounds.records and self._queued_bytes + volume <= self._bounds.volume
        )

    def _put_first(self, batch: _Batch, left: list[Encoded]) -> None:
        """Puts what is left of a batch at the head of the queue, where it stood."""
        if left:
            count, volume = _framing.count(left), _framing.size(left)
            self._batches.appendleft(batch._replace(records=left, weight=count, volume=volume))

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            left = _guard.call("sender.deliver", self.delivery.deliver, batch.records) or []
            if self._enter(batch, left):
                self.delivery.give_up(left, "shutdown")

    def _next(self) -> _Batch | None:
        """Takes the oldest batch when its time has come; None at the end."""
        with self._changed:
            while not self._is_due():
                if self._stopping and not self._batches:
                    return None
                self._changed.wait(self._retry_at - monotonic() if self._batches else None)
            self._is_urgent = False
            self._attempts += 1
            self._sending = self._batches.popleft()
            return self._sending

    def _is_due(self) -> bool:
        if not self._batches:
            return False
        now = monotonic()
        return self._stopping or now >= self._retry_at or (self._is_urgent and now >= self._asked_until)

    def _enter(self, batch: _Batch, left: list[Encoded]) -> bool:
        """Enters the end of an attempt; returns whether what is left has to be given up."""
        with self._changed:
            self._sending = None
            self._queued_records -= batch.weight
            self._queued_bytes -= batch.volume
            is_given_up = bool(left) and self._stopping
            if left:
                asked = self.delivery.retry_after
                now = monotonic()
                self._retry_at = now + retry.pause(self._failures, asked)
                self._asked_until = 0.0 if asked is None else now + asked
                self._failures += 1
                self._last_failed = self._attempts
            else:
                self._failures, self._retry_at = 0, 0.0
            if left and not is_given_up:
                self._queued_records += _framing.count(left)
                self._queued_bytes += _framing.size(left)
                self._put_first(batch, left)
            self._changed.notify_all()
            return is_given_up
