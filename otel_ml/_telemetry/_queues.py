"""What waits for the worker: finished predictions and the records of the stock SDK, each in a bounded queue."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Final, Generic, TypeVar

from otel_ml import _guard
from otel_ml._telemetry.delivery._sender import Sender
from otel_ml._telemetry.delivery.ledger import Book
from otel_ml._telemetry.otlp import _encoding
from otel_ml._telemetry.otlp._framing import Encoded, frame, join
from otel_ml._telemetry.predictions._rendering import Renderer
from otel_ml._telemetry.predictions.cells import SETTLED_AT_ONCE, CellSet
from otel_ml._telemetry.records import EVENT_COUNT, SPAN_COUNT, EventData, FastRecordValues, Record, SpanData
from otel_ml.config import Signal

T = TypeVar("T")

WAITING_BYTES: Final = 64 * 1024 * 1024
"""What all heavy records may hold together until they have been rendered."""
CHUNK: Final = 16
"""Records encoded in one go: more would hold the GIL long enough to be felt in the service's p99."""
MANY: Final = 4096
"""Where so many wait, sixteen chunks are taken in one go: each pause between them costs as much as ten records."""


class Wakeup:
    """How a queue calls its worker; until the worker has hung one up it does nothing."""

    def __init__(self, start: Callable[[], None], wake: Callable[[], None]) -> None:
        self.start = start
        self.wake = wake


_SILENT: Final = Wakeup(lambda: None, lambda: None)


class Predictions:
    """The intake of finished predictions."""

    def __init__(self, *, limit: int, traces: Outlet[SpanData], logs: Outlet[EventData]) -> None:
        self.limit = limit
        self._quarter = max(1, limit // 4)
        self._traces = traces
        self._logs = logs
        self._queue: deque[Record | FastRecordValues] = deque()
        self._renderer = Renderer(traces, logs)
        self._lock = threading.RLock()
        self._sizes: dict[int, int] = {}
        """What waits and is heavy, by its identity."""
        self._size = 0
        self._closed = False
        self.wakeup = _SILENT
        self._easy = 0
        """Records below which one more needs no thought: the worker has been started, and need not be woken."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def closed(self) -> bool:
        return self._closed

    @closed.setter
    def closed(self, closed: bool) -> None:
        self._closed = closed
        self._easy = 0

    def offer(self, record: Record | FastRecordValues) -> bool:
        """Queues a record without blocking; a full or closed queue drops and counts it."""
        queue = self._queue
        waiting = len(queue)
        if waiting < self._easy:
            queue.append(record)
            return True
        if self._closed or waiting >= self.limit:
            self._lose(record, "shutdown" if self._closed else "queue_full")
            return False
        queue.append(record)
        if not self._easy:
            self._easy = self._quarter
            if self._closed:  # meanwhile
                self._easy = 0
            self.wakeup.start()
        if waiting + 1 >= self._quarter:
            self.wakeup.wake()
        return True

    def offer_sized(self, record: Record, size: int) -> bool:
        """Does the same for a record that holds about ``size`` bytes; their sum is bounded, too."""
        with self._lock:
            has_room = self._size + size <= WAITING_BYTES
            if has_room:
                self._size += size
                self._sizes[id(record)] = size
        if not has_room:
            self._lose(record, "shutdown" if self.closed else "queue_full")
            return False
        taken = self.offer(record)
        if not taken:
            self._relieve((record,))
        return taken

    def process(self) -> int:
        records = self._take()
        try:
            rendered = self._renderer.render(records)
            self._traces.take(rendered.spans)
            self._logs.take(rendered.events)
        finally:
            self._relieve(records)
        return len(records)

    def push(self) -> None:
        self._traces.push()
        self._logs.push()

    def discard(self) -> None:
        while self._queue:
            records = self._take()
            self._traces.drop("shutdown", _spans_of(records))
            self._logs.drop("shutdown", _events_of(records))
            self._relieve(records)

    def waiting(self, signal: Signal) -> int:
        if signal == "traces" and self._traces.counts:
            return _spans_of(self._queue.copy())
        if signal == "logs" and self._logs.counts:
            return _events_of(self._queue.copy())
        return 0

    def reset_after_fork(self) -> None:
        self._queue = deque()
        self._lock = threading.RLock()
        self._sizes = {}
        self._size = 0
        self._easy = 0

    def _relieve(self, records: Sequence[Record | FastRecordValues]) -> None:
        """Gives back the room that these records took."""
        if self._sizes:
            with self._lock:
                freed = sum([self._sizes.pop(id(record), 0) for record in records])
                self._size -= freed

    def _take(self) -> list[Record | FastRecordValues]:
        queue = self._queue
        with self._lock:
            waiting = len(queue)
            size = CHUNK if waiting < MANY else 16 * CHUNK
            records = [queue.popleft() for _ in range(min(size, waiting))]
            self._traces.produce(_spans_of(records))
            self._logs.produce(_events_of(records))
        return records

    def _lose(self, record: Record | FastRecordValues, reason: str) -> None:
        spans, events = _spans_of((record,)), _events_of((record,))
        self._traces.lose(reason, spans)
        self._logs.lose(reason, events)


def _spans_of(records: Iterable[Record | FastRecordValues]) -> int:
    return sum([each[SPAN_COUNT] if isinstance(each, tuple) else each.span_count for each in records])


def _events_of(records: Iterable[Record | FastRecordValues]) -> int:
    return sum([each[EVENT_COUNT] if isinstance(each, tuple) else each.event_count for each in records])


class Noted:
    """Everyday predictions that are noted in the cells and wait to be sorted into buckets; none of them can be lost."""

    wakeup = _SILENT
    closed = False

    def __init__(self, cells: Callable[[], list[CellSet]]) -> None:
        self._cells = cells

    def __len__(self) -> int:
        return max((len(cells.elapsed_ns) for cells in self._cells()), default=0)

    def process(self) -> int:
        for cells in self._cells():
            if cells.elapsed_ns:
                cells.settle()
        return SETTLED_AT_ONCE

    def push(self) -> None:
        """Nothing is held back."""

    def discard(self) -> None:
        """Nothing is given up: the last collection finds what is left."""

    def waiting(self, signal: Signal) -> int:  # noqa: ARG002
        return 0

    def reset_after_fork(self) -> None:
        """The store of the cells does it."""


class Outlet(Generic[T]):
    """Where rendered data of one signal goes: a sender with its book, something else, or nowhere.

    Args:
        encode: Gives the bytes of one datum.
        scope: The scope under which the records stand.
        sender: None when nothing is sent by this engine.
        divert: Takes the data in place of the sender (an exporter that we cannot serve with bytes).
    """

    def __init__(
        self,
        where: str,
        encode: Callable[[T], bytes],
        scope: bytes,
        sender: Sender | None,
        divert: Callable[[T], None] | None = None,
    ) -> None:
        self._where = where
        self._encode = encode
        self._scope = scope
        self._sender = sender
        self._divert = divert
        self._book = sender.delivery.book if sender is not None and divert is None else Book()
        self.counts = sender is not None and divert is None
        self.takes_bytes = divert is None

    def produce(self, count: int) -> None:
        if count:
            self._book.produce(count)

    def drop(self, reason: str, count: int) -> None:
        if count:
            self._book.drop(reason, count)

    def lose(self, reason: str, count: int) -> None:
        if count:
            self._book.lose(reason, count)

    def adjust(self, expected: int, actual: int) -> None:
        """Makes the book agree with what rendering gave: missing data are invalid, additional ones are produced."""
        if actual > expected:
            self.produce(actual - expected)
        elif actual < expected:
            self.drop("invalid", expected - actual)

    def take(self, data: Sequence[bytes | T]) -> None:
        """Encodes what is not encoded and framed yet and hands all of it on in its order."""
        runs: Iterable[tuple[type, Iterable[Any]]] = groupby(data, type)
        for kind, run in runs:
            if self._divert is not None:
                for datum in run:
                    _guard.call(self._where, self._divert, datum)
            elif self._sender is not None and kind is bytes:
                self._sender.put(join(self._scope, list(run)))
            elif self._sender is not None:
                records, invalid = _encoding.each(self._encode_all, list(run), self._where)
                self.drop("invalid", invalid)
                self._sender.put(records)

    def push(self) -> None:
        if self._sender is not None:
            self._sender.push()

    def _encode_all(self, data: Sequence[T]) -> list[Encoded]:
        return [frame(self._scope, self._encode(datum)) for datum in data]


class Stock(Generic[T]):
    """The intake of records that the stock SDK made: bounded, encoded by the stock encoder."""

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
        self.wakeup = _SILENT
        self._started = False

    def __len__(self) -> int:
        return len(self._queue)

    def offer(self, record: T) -> None:
        """Queues a record without blocking; a full or closed queue drops and counts it."""
        queue = self._queue
        if self.closed or len(queue) >= self.limit:
            self._book.lose("shutdown" if self.closed else "queue_full", 1)
            return
        queue.append(record)
        if not self._started:
            self._started = True
            self.wakeup.start()
        if len(queue) >= self._quarter:
            self.wakeup.wake()

    def process(self) -> int:
        records = self._take()
        found, invalid = _encoding.each(self._encode, records, f"worker.encode.{self._signal}")
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
