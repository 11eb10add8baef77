"""Delivers encoded records of one signal to the first hop: makes one attempt, splits requests and keeps the book.

The sender decides when to try again. The retry rule is in `otel_ml._export.retry`, the log lines are in
`otel_ml._export.export_log`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final, Literal

from otel_ml import _guard
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
SEARCH_REQUESTS: Final = 64
"""Requests that a delivery may spend on finding the records that the receiver refuses among those of one request."""
_REFUSALS_OF_ALL: Final = 15
"""Refusals without an acceptance, four levels of halves, after which the receiver is taken to refuse everything."""

_NEVER: Final = float("inf")


class Delivery:
    """Sends records of one signal and enters in its book what became of them.

    Args:
        signal: The signal.
        transport: Carries the requests.
        book: The account of the signal.
        timeout: Seconds for one request.
        log: Logs what becomes of exports to this receiver.
    """

    def __init__(self, signal: Signal, transport: Transport, book: Book, *, timeout: float, log: ExportLog) -> None:
        self.signal: Signal = signal
        self.book = book
        self.resource = b""
        """What `otel_ml._telemetry.otlp._framing.resource_fields` gave; replaced after a fork."""
        self.replay: Replay | None = None
        """Keeps what could not be sent, where there is a spool."""
        self.retry_after: float | None = None
        """Seconds that the receiver asked to wait when it last said "later"."""
        self._transport = transport
        self._timeout = timeout
        self._log = log
        self._give_up_at = _NEVER
        self._refuses_all = False
        """Whether the receiver refused a request and all its parts; then it is not asked about parts again."""

    def deliver(self, records: Sequence[Encoded]) -> list[Encoded]:
        """Makes one attempt and returns the records without a final answer, which are to be sent later.

        Blocks the caller for the timeout of each request at most.
        """
        self.retry_after = None
        chunks = _split_by_size(records)
        with suppressed():
            for index, chunk in enumerate(chunks):
                left = self._deliver_chunk(chunk)
                if left:
                    return self._spool(_joined([left, *chunks[index + 1 :]]))
        return []

    @property
    def is_stopping(self) -> bool:
        """Whether there is a time for the last attempt."""
        return self._give_up_at < _NEVER

    def stop(self, give_up_at: float) -> None:
        """Ends every request at this monotonic time, and begins none after it."""
        self._give_up_at = give_up_at

    def close(self) -> None:
        self._transport.close()

    def reset_after_fork(self) -> None:
        """Gives up the parent's connection and locks."""
        self._give_up_at = _NEVER
        self._transport.abandon()

    def give_up(self, records: Sequence[Encoded], reason: str) -> None:
        """Spools records where there is a spool and it has room; otherwise they are dropped and counted."""
        left = self._spool(list(records))
        if left:
            self.book.drop(reason, _framing.count(left))

    def _spool(self, records: list[Encoded]) -> list[Encoded]:
        """Returns the records that no spool has taken."""
        if self.replay is not None:
            body = _framing.encode_request(self.resource, records)
            if self.replay.keep(self.signal, _framing.count(records), body):
                return []
        return records

    def _deliver_chunk(self, records: Sequence[Encoded]) -> list[Encoded]:
        """Sends the records of one request, in parts if the receiver refuses the whole; returns those left."""
        search = _Search(refuses_all=self._refuses_all)
        parts = deque([records])
        while parts:
            part = parts.popleft()
            outcome = _guard.call("sender.deliver", self._attempt, part, search)
            if outcome is None:  # an error in one part costs none of the others
                self.book.drop("invalid", _framing.count(part))
            elif outcome == "later":
                return _joined([part, *parts])
            elif outcome == "split":
                parts += _halves(part)
        self._refuses_all = search.refuses_all
        return []

    def _attempt(self, records: Sequence[Encoded], search: _Search) -> Literal["done", "later", "split"]:
        if search.refuses_all and search.refusals:
            return self._enter(search.last_refusal, _framing.count(records))
        body = self._encode(records)
        remaining = min(self._timeout, self._give_up_at - monotonic())
        if remaining <= 0:
            return "later"
        answer = _guard.call("sender.post", self._transport.post, body, remaining) or BROKEN_TRANSPORT
        if answer.kind == "retry":
            self._log.unreachable(self.signal, answer.detail)
            self.retry_after = answer.retry_after
            return "later"
        if (answer.kind == "too_large" or search.should_split(answer)) and _is_divisible(records):
            return "split"
        return self._enter(answer, _framing.count(records))

    def _encode(self, records: Sequence[Encoded]) -> bytes:
        with WorkSlot():
            chunks = _framing.request_chunks(self.resource, records)
            yield_to_service()
            return _framing.join_in_steps(chunks)

    def _enter(self, answer: Answer, count: int) -> Literal["done"]:
        """Enters a final answer."""
        rejected = self.book.enter(answer, count)
        if answer.kind == "too_large":
            self._log.too_large(self.signal, answer.detail)
        elif answer.kind == "rejected":
            self._log.refused(self.signal, answer.detail)
        else:
            self._log.accepted(self.signal, rejected, answer.detail)
            if self.replay is not None:
                self.replay.wake()
        return "done"


class _Search:
    """Looks for the records that a receiver refuses among those of one request, by halves.

    Args:
        refuses_all: Whether the receiver is known to refuse everything.
    """

    def __init__(self, *, refuses_all: bool) -> None:
        self.refuses_all = refuses_all
        self.refusals = 0
        self.last_refusal = BROKEN_TRANSPORT
        self._has_accepted = False
        self._requests = 0

    def should_split(self, answer: Answer) -> bool:
        """Takes the final answer to one part; returns whether its halves are to be sent."""
        self._requests += 1
        if answer.kind == "accepted":
            self._has_accepted, self.refuses_all = True, False
        if self.refuses_all or not answer.is_about_records:
            return False
        self.refusals += 1
        self.last_refusal = answer
        self.refuses_all = self.refusals >= _REFUSALS_OF_ALL and not self._has_accepted
        return not self.refuses_all and self._requests < SEARCH_REQUESTS


def _is_divisible(records: Sequence[Encoded]) -> bool:
    return len(records) > 1 or len(_framing.split(records[0])) > 1


def _halves(records: Sequence[Encoded]) -> list[Sequence[Encoded]]:
    if len(records) == 1:
        records = _framing.split(records[0])
    half = len(records) // 2
    return [records[:half], records[half:]]


def _joined(parts: Sequence[Sequence[Encoded]]) -> list[Encoded]:
    return [record for part in parts for record in part]


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
