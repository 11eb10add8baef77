"""Delivers encoded records of one signal to the first hop: splitting, retries within a hard deadline, the book.

The retry rule itself is in `otel_ml._export.retry`, the log lines are in `otel_ml._export.export_log`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import monotonic
from typing import Final

from otel_ml import _guard
from otel_ml._export import retry
from otel_ml._export.answers import BROKEN_TRANSPORT, Answer
from otel_ml._export.export_log import ExportLog
from otel_ml._export.ledger import Book
from otel_ml._export.transport import Transport
from otel_ml._telemetry._suppress import suppressed
from otel_ml._telemetry._yielding import WorkSlot, yield_to_service
from otel_ml._telemetry.delivery._replay import Replay
from otel_ml._telemetry.otlp import _framing
from otel_ml._telemetry.otlp._framing import Encoded
from otel_ml.config import Signal

REQUEST_BYTES: Final = 4 * 1024 * 1024
"""Records that take more are sent in several requests."""


class Delivery:
    """Sends records of one signal and enters the results in its book."""

    def __init__(self, signal: Signal, transport: Transport, book: Book, *, timeout: float, log: ExportLog) -> None:
        self.signal: Signal = signal
        self.book = book
        self.resource = b""
        """What `otel_ml._telemetry.otlp._framing.resource_fields` gave; replaced after a fork."""
        self.replay: Replay | None = None
        """Keeps what could not be sent, where there is a spool."""
        self._transport = transport
        self._timeout = timeout
        self._log = log
        self._stop = threading.Event()
        self._give_up_at = float("inf")

    def deliver(self, records: Sequence[Encoded], timeout: float | None = None) -> bool:
        """Sends records within the deadline, retries included; True when all were accepted. Blocks the caller."""
        deadline = monotonic() + (self._timeout if timeout is None else timeout)
        with suppressed():
            results = [self._guarded_send(chunk, deadline) for chunk in _split_by_size(records)]
        return all(results)

    def stop(self, give_up_at: float) -> None:
        """Ends retries, and everything at this monotonic time."""
        self._give_up_at = give_up_at
        self._stop.set()

    def close(self) -> None:
        self._transport.close()

    def reset_after_fork(self) -> None:
        """Gives up the parent's connection and locks."""
        self._stop = threading.Event()
        self._give_up_at = float("inf")
        self._transport.abandon()

    def give_up(self, records: Sequence[Encoded], reason: str) -> None:
        """Spools records where there is a spool and it has room; otherwise they are dropped and counted."""
        count = _framing.count(records)
        if self.replay is not None:
            body = _framing.encode_request(self.resource, records)
            if self.replay.keep(self.signal, count, body):
                return
        self.book.drop(reason, count)

    def _guarded_send(self, records: Sequence[Encoded], deadline: float) -> bool:
        """`_send` for one of several chunks: an error in it costs none of the others."""
        done = _guard.call("sender.deliver", self._send, records, deadline)
        if done is None:
            self.book.drop("invalid", _framing.count(records))
        return bool(done)

    def _send(self, records: Sequence[Encoded], deadline: float) -> bool:
        body = self._encode(records)
        attempt = 0
        while True:
            remaining = min(deadline, self._give_up_at) - monotonic()
            if remaining <= 0:
                break
            answer = _guard.call("sender.post", self._transport.post, body, remaining) or BROKEN_TRANSPORT
            if answer.kind == "too_large":
                return self._send_halves(records, deadline, answer)
            if answer.kind != "retry":
                return self._enter(answer, _framing.count(records))
            self._log.unreachable(self.signal, answer.detail)
            pause = retry.pause(attempt, answer.retry_after)
            attempt += 1
            if self.replay is not None or pause >= deadline - monotonic() or self._stop.wait(pause):
                break
        self.give_up(records, "shutdown" if self._stop.is_set() else "retry_exhausted")
        return False

    def _encode(self, records: Sequence[Encoded]) -> bytes:
        with WorkSlot():
            chunks = _framing.request_chunks(self.resource, records)
            yield_to_service()
            body = b"".join(chunks)
            yield_to_service()
        return body

    def _enter(self, answer: Answer, count: int) -> bool:
        """Enters a final answer; True if all was accepted."""
        rejected = self.book.enter(answer, count)
        if answer.kind == "too_large":
            self._log.too_large(self.signal, answer.detail)
        elif answer.kind == "rejected":
            self._log.refused(self.signal, answer.detail)
        else:
            self._log.accepted(self.signal, rejected, answer.detail)
            if self.replay is not None:
                self.replay.wake()
        return rejected == 0

    def _send_halves(self, records: Sequence[Encoded], deadline: float, answer: Answer) -> bool:
        if len(records) == 1:
            records = _framing.split(records[0])
        if len(records) == 1:
            return self._enter(answer, _framing.count(records))
        half = len(records) // 2
        first = self._guarded_send(records[:half], deadline)
        return self._guarded_send(records[half:], deadline) and first


def _split_by_size(records: Sequence[Encoded]) -> list[Sequence[Encoded]]:
    """Splits records into chunks that fit into one request; a single record may exceed it."""
    chunks: list[Sequence[Encoded]] = []
    start = volume = 0
    for index, (_, frames, _) in enumerate(records):
        if index > start and volume + len(frames) > REQUEST_BYTES:
            chunks.append(records[start:index])
            start, volume = index, 0
        volume += len(frames)
    chunks.append(records[start:])
    return chunks
