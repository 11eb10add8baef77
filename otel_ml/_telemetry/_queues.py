"""The bounded queues between the service's threads and the worker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from otel_ml._telemetry.otlp import _encoding

if TYPE_CHECKING:
    from otel_ml._telemetry.delivery._sender import Sender
    from otel_ml._telemetry.otlp._framing import Encoded
    from otel_ml.config import Signal

T = TypeVar("T")

CHUNK: Final = 16
"""Records that the worker takes at once: more would hold the GIL long enough to show in the service's p99."""


class Wakeup:
    """How a queue starts and wakes its worker."""

    def __init__(self, start: Callable[[], None], wake: Callable[[], None]) -> None:
        self.start = start
        self.wake = wake


NO_WAKEUP: Final = Wakeup(lambda: None, lambda: None)
"""For a queue that has no worker yet."""


class WorkQueue(Protocol):
    """A bounded queue that the worker empties."""

    wakeup: Wakeup
    closed: bool

    def __len__(self) -> int:
        """Records in the queue."""

    def has_room(self, size: int) -> bool:
        """Whether it takes a record of about ``size`` bytes, and some from other threads meanwhile."""

    def process(self) -> int:
        """Takes one chunk, encodes it and hands it to a sender; returns the number of records taken."""

    def push(self) -> None:
        """Hands on what is held back: this round brings no further records."""

    def discard(self) -> None:
        """Drops the records in the queue and counts them as lost at shutdown."""

    def waiting(self, signal: Signal) -> int:
        """Records of a signal that are in the queue and not in its book yet."""

    def reset_after_fork(self) -> None:
        """Empties the queue: its records belong to the parent."""


class RecordQueue(Generic[T]):
    """The queue of one kind of record, such as SDK spans.

    Args:
        signal: Whose ledger counts the records.
        encode: Encodes a chunk; it raises if one record of it cannot be encoded.
        sender: Takes the encoded records.
        limit: Records beyond this number are dropped and counted.
    """

    def __init__(
        self, signal: Signal, encode: Callable[[Sequence[T]], list[Encoded]], sender: Sender, *, limit: int
    ) -> None:
        self.limit = limit
        self._signal = signal
        self._encode = encode
        self._sender = sender
        self._book = sender.delivery.book
        self._quarter = max(1, limit // 4)
        self._queue: deque[T] = deque()
        self._lock = threading.Lock()
        self.closed = False
        self.wakeup = NO_WAKEUP
        self._started = False

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, record: T) -> None:
        """Queues a record without blocking; a full or closed queue drops and counts it."""
        queue = self._queue
        if self.closed or len(queue) >= self.limit:
            self._book.drop_unqueued("shutdown" if self.closed else "queue_full", 1)
            return
        queue.append(record)
        if not self._started:
            self._started = True
            self.wakeup.start()
        if len(queue) >= self._quarter:
            self.wakeup.wake()

    def has_room(self, size: int) -> bool:  # noqa: ARG002
        return len(self._queue) < 3 * self._quarter

    def process(self) -> int:
        records = self._take()
        found, invalid = _encoding.encode_each(self._encode, records, f"worker.encode.{self._signal}")
        if invalid:
            self._book.drop("invalid", invalid)
        self._sender.put(found)
        return len(records)

    def push(self) -> None:
        self._sender.push()

    def discard(self) -> None:
        while self._queue:
            self._book.drop("shutdown", len(self._take()))

    def waiting(self, signal: Signal) -> int:
        return len(self._queue) if signal == self._signal else 0

    def reset_after_fork(self) -> None:
        self._queue = deque()
        self._lock = threading.Lock()
        self._started = False

    def _take(self) -> list[T]:
        with self._lock:
            records = [self._queue.popleft() for _ in range(min(CHUNK, len(self._queue)))]
            self._book.produce(len(records))
        return records
