"""Finished predictions that wait for the worker, as records in a queue and as measurements in the cells."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from otel_ml import _guard
from otel_ml._telemetry._queues import CHUNK, NO_WAKEUP
from otel_ml._telemetry.predictions._rendering import Renderer
from otel_ml._telemetry.predictions.cells import BUCKETED_AT_ONCE, CellSet
from otel_ml._telemetry.records import EVENT_COUNT, SPAN_COUNT

if TYPE_CHECKING:
    from otel_ml._telemetry._signal_output import SignalOutput
    from otel_ml._telemetry.records import EventData, FastRecordValues, Record, SpanData
    from otel_ml.config import Signal

WAITING_BYTES: Final = 64 * 1024 * 1024
"""Bytes that all records of `offer_sized` may hold together until they are rendered."""
_AFTER_SHUTDOWN: Final = (
    "otel-ml: predictions after shutdown() are dropped: call shutdown() later, or configure() again"
)
MANY: Final = 4096
"""At this length of the queue the worker takes sixteen chunks at once: a pause costs as much as ten records."""


class PredictionQueue:
    """The queue of finished predictions.

    `offer` runs on the service's threads for every prediction, so its common case is one comparison and one append:
    while the queue is shorter than ``_free``, it is open, and the worker is running and need not be woken. Closing or
    forking sets ``_free`` to 0, and the next `offer` checks everything again. The ledger counts records when the worker
    takes them, not here; `waiting` adds those still in the queue.
    """

    def __init__(self, *, limit: int, traces: SignalOutput[SpanData], logs: SignalOutput[EventData]) -> None:
        self.limit = limit
        self._quarter = max(1, limit // 4)
        self._traces = traces
        self._logs = logs
        self._queue: deque[Record | FastRecordValues] = deque()
        self._renderer = Renderer(traces, logs)
        self._lock = threading.RLock()
        self._sizes: dict[int, int] = {}
        """Bytes of each queued record of `offer_sized`, by its identity."""
        self._size = 0
        self._closed = False
        self.wakeup = NO_WAKEUP
        self._free = 0
        """Length of the queue below which `offer` only appends."""

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def closed(self) -> bool:
        return self._closed

    @closed.setter
    def closed(self, closed: bool) -> None:
        self._closed = closed
        self._free = 0

    def offer(self, record: Record | FastRecordValues) -> bool:
        """Queues a record without blocking; a full or closed queue drops and counts it."""
        queue = self._queue
        waiting = len(queue)
        if waiting < self._free:
            queue.append(record)
            return True
        if self._closed or waiting >= self.limit:
            self._drop(record)
            return False
        queue.append(record)
        if not self._free:
            self._free = self._quarter
            if self._closed:  # by another thread since the check above
                self._free = 0
            self.wakeup.start()
        if waiting + 1 >= self._quarter:
            self.wakeup.wake()
        return True

    def offer_sized(self, record: Record, size: int, wait: Callable[[int], bool] | None = None) -> bool:
        """Does the same for a record that holds about ``size`` bytes; their sum is bounded, too.

        Args:
            record: The record.
            size: Its bytes.
            wait: Waits for room for so many bytes, or returns False; a job has it. Another thread may take the room.
        """
        while not self._reserve(record, size):
            if self._closed or size > WAITING_BYTES or wait is None or not wait(size):
                self._drop(record)
                return False
        taken = self.offer(record)
        if not taken:
            self._release((record,))
        return taken

    def _reserve(self, record: Record, size: int) -> bool:
        """Counts the bytes of a record if there is room for them."""
        with self._lock:
            has_room = self._size + size <= WAITING_BYTES
            if has_room:
                self._size += size
                self._sizes[id(record)] = size
        return has_room

    def has_room(self, size: int) -> bool:
        return len(self._queue) < 3 * self._quarter and (not self._size or self._size + size <= WAITING_BYTES)

    def process(self) -> int:
        records = self._take()
        try:
            rendered = self._renderer.render(records)
            self._traces.take(rendered.spans)
            self._logs.take(rendered.events)
        finally:
            self._release(records)
        return len(records)

    def push(self) -> None:
        self._traces.push()
        self._logs.push()

    def discard(self) -> None:
        while self._queue:
            records = self._take()
            self._traces.drop("shutdown", _count_spans(records))
            self._logs.drop("shutdown", _count_events(records))
            self._release(records)

    def waiting(self, signal: Signal) -> int:
        if signal == "traces" and self._traces.counts:
            return _count_spans(self._queue.copy())
        if signal == "logs" and self._logs.counts:
            return _count_events(self._queue.copy())
        return 0

    def reset_after_fork(self) -> None:
        self._queue = deque()
        self._lock = threading.RLock()
        self._sizes = {}
        self._size = 0
        self._free = 0

    def _release(self, records: Sequence[Record | FastRecordValues]) -> None:
        """Frees the bytes that these records were counted with."""
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
            self._traces.produce(_count_spans(records))
            self._logs.produce(_count_events(records))
        return records

    def _drop(self, record: Record | FastRecordValues) -> None:
        if self._closed:
            _guard.warn_of_loss("after shutdown", _AFTER_SHUTDOWN)
        reason = "shutdown" if self._closed else "queue_full"
        self._traces.drop_unqueued(reason, _count_spans((record,)))
        self._logs.drop_unqueued(reason, _count_events((record,)))


def _count_spans(records: Iterable[Record | FastRecordValues]) -> int:
    return sum([each[SPAN_COUNT] if isinstance(each, tuple) else each.span_count for each in records])


def _count_events(records: Iterable[Record | FastRecordValues]) -> int:
    return sum([each[EVENT_COUNT] if isinstance(each, tuple) else each.event_count for each in records])


class PendingBuckets:
    """Has the worker sort the pending measurements of the cells into buckets; none of them can be lost.

    Args:
        cells: Returns the cells of every model.
    """

    wakeup = NO_WAKEUP
    closed = False

    def __init__(self, cells: Callable[[], list[CellSet]]) -> None:
        self._cells = cells

    def __len__(self) -> int:
        return max((cells.worth_bucketing() for cells in self._cells()), default=0)

    def has_room(self, size: int) -> bool:  # noqa: ARG002
        return True

    def process(self) -> int:
        for cells in self._cells():
            if cells.worth_bucketing():
                cells.bucket_pending()
        return BUCKETED_AT_ONCE

    def push(self) -> None:
        """Holds nothing back."""

    def discard(self) -> None:
        """Drops nothing: the last collection buckets what is left."""

    def waiting(self, signal: Signal) -> int:  # noqa: ARG002
        return 0

    def reset_after_fork(self) -> None:
        """Does nothing: the cells reset themselves."""
