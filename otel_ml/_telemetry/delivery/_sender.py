"""Senders: one a signal, a bounded queue of encoded batches, retries within a hard deadline, every end accounted."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final

from otel_ml import _guard, _process
from otel_ml._telemetry._suppress import suppressed
from otel_ml._telemetry._yielding import Turn, stand_back
from otel_ml._telemetry.delivery._export_health import Health
from otel_ml._telemetry.delivery._http import Answer, Transport
from otel_ml._telemetry.delivery._replay import Replay
from otel_ml._telemetry.delivery.ledger import Book
from otel_ml._telemetry.otlp import _framing
from otel_ml._telemetry.otlp._framing import Encoded
from otel_ml.config import Signal

BATCH_RECORDS: Final = 2048
REQUEST_BYTES: Final = 4 * 1024 * 1024
"""A batch whose records take more is split before it is sent."""
QUEUE_BYTES: Final = 64 * 1024 * 1024
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_FLOOR: Final = 0.1
"""Part of our own pause that is kept when the receiver asks for a shorter one, so that a zero is no tight loop."""
_LAST_WAIT: Final = 0.5
"""Seconds for a sender whose connection was cut at the end of a shutdown to write its book."""


_BROKEN: Final = Answer("retry", "an error of the transport")


class Delivery:
    """Brings batches of one signal to the first hop and writes in its book what became of them."""

    def __init__(
        self,
        signal: Signal,
        transport: Transport,
        book: Book,
        *,
        timeout: float,
        health: Health,
    ) -> None:
        self.signal: Signal = signal
        self.book = book
        self.resource = b""
        """What `otel_ml._telemetry.otlp._framing.resource_fields` gave; exchanged after a fork."""
        self.replay: Replay | None = None
        """Keeps what could not be sent, where there is a spool."""
        self._transport = transport
        self._timeout = timeout
        self._health = health
        self._random = random.Random()
        self._stop = threading.Event()
        self._give_up_at = float("inf")

    def deliver(self, records: Sequence[Encoded], timeout: float | None = None) -> bool:
        """Sends records within the deadline, retries included; True when all were accepted. Blocks the caller."""
        deadline = monotonic() + (self._timeout if timeout is None else timeout)
        with suppressed():
            results = [self._attempt(part, deadline) for part in _fitting(records)]
        return all(results)

    def stop(self, give_up_at: float) -> None:
        """From now on nothing is retried, and nothing goes on beyond this monotonic time."""
        self._give_up_at = give_up_at
        self._stop.set()

    def close(self) -> None:
        self._transport.close()

    def reset_after_fork(self) -> None:
        """The parent's connection and its locks are not ours."""
        self._stop = threading.Event()
        self._give_up_at = float("inf")
        self._random.seed()
        self._transport.abandon()

    def give_up(self, records: Sequence[Encoded], reason: str) -> None:
        """Spools records where there is a spool and it has room; otherwise they are dropped and counted."""
        count = _framing.count(records)
        if self.replay is None or not self.replay.keep(self.signal, count, _framing.request(self.resource, records)):
            self.book.drop(reason, count)

    def _attempt(self, records: Sequence[Encoded], deadline: float) -> bool:
        """`_deliver` for one of several parts: what goes wrong in it costs none of the others."""
        done = _guard.call("sender.deliver", self._deliver, records, deadline)
        if done is None:
            self.book.drop("invalid", _framing.count(records))
        return bool(done)

    def _deliver(self, records: Sequence[Encoded], deadline: float) -> bool:
        with Turn():
            parts = _framing.request_chunks(self.resource, records)
            stand_back()
            body = b"".join(parts)
            stand_back()
        attempt = 0
        while True:
            remaining = min(deadline, self._give_up_at) - monotonic()
            if remaining <= 0:
                return self._given_up(records)
            answer = _guard.call("sender.post", self._transport.post, body, remaining) or _BROKEN
            if answer.kind == "too_large":
                return self._split(records, deadline, answer.detail)
            if answer.kind != "retry":
                return self._decided(answer, _framing.count(records))
            if answer.resend and attempt == 0:
                attempt = 1
                continue
            self._health.unreachable(self.signal, answer.detail)
            pause = self._pause(attempt, answer.retry_after)
            attempt += 1
            if self.replay is not None or pause >= deadline - monotonic() or self._stop.wait(pause):
                return self._given_up(records)

    def _decided(self, answer: Answer, count: int) -> bool:
        """An answer that is final: what was accepted, in part or not at all."""
        if answer.kind == "rejected":
            self.book.settle(rejected=count)
            self._health.refused(self.signal, answer.detail)
            return False
        rejected = min(max(answer.rejected, 0), count)
        self.book.settle(delivered=count - rejected, rejected=rejected)
        self._health.accepted(self.signal, rejected, answer.detail)
        if self.replay is not None:
            self.replay.wake()
        return rejected == 0

    def _given_up(self, records: Sequence[Encoded]) -> bool:
        self.give_up(records, "shutdown" if self._stop.is_set() else "retry_exhausted")
        return False

    def _split(self, records: Sequence[Encoded], deadline: float, detail: str) -> bool:
        if len(records) == 1:
            records = _framing.split(records[0])
        if len(records) == 1:
            self.book.drop("too_large", _framing.count(records))
            self._health.too_large(self.signal, detail)
            return False
        half = len(records) // 2
        first = self._attempt(records[:half], deadline)
        return self._attempt(records[half:], deadline) and first

    def _pause(self, attempt: int, asked: float | None) -> float:
        pause: float = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * self._random.uniform(0.8, 1.2)
        return pause if asked is None else max(asked, pause * _FLOOR)


class Sender:
    """The thread that delivers what the worker has encoded; started on first use, also after a fork."""

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
        """Takes encoded records that are in the book already; a full queue drops them. Called by the worker only."""
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
        """Closes the open batch and queues it. Called by the worker only."""
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
        """Waits until everything that was queued is decided; False when the monotonic deadline passes first."""
        with self._changed:
            remaining = max(0.0, deadline - monotonic())
            return self._changed.wait_for(lambda: not self._batches and not self._busy, remaining)

    def announce_stop(self) -> None:
        """No more batches are taken; the thread ends when the queue is empty."""
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
        """Empties the queue: its records are the parent's."""
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


def _fitting(records: Sequence[Encoded]) -> list[Sequence[Encoded]]:
    """Cuts records into runs whose bytes fit into one request; a single record may exceed it."""
    runs: list[Sequence[Encoded]] = []
    start = volume = 0
    for index, (_, frames, _) in enumerate(records):
        if index > start and volume + len(frames) > REQUEST_BYTES:
            runs.append(records[start:index])
            start, volume = index, 0
        volume += len(frames)
    runs.append(records[start:])
    return runs
