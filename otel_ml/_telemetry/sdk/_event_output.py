"""The logger provider of own mode: the SDK's, and a door for many events at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource

from otel_ml import _guard, semconv
from otel_ml._event_rows import EventRow, emit_one
from otel_ml._telemetry.records import EventData
from otel_ml._telemetry.sdk._guarded_plugins import LogProcessors

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

_TOGETHER: Final = 256
"""Events of one record of the worker."""


class EventBatch:
    """Encoded events, as one record of the worker."""

    span_count = 0

    def __init__(self, frames: list[bytes]) -> None:
        self.event_count = len(frames)
        self._frames = frames

    def render(self) -> tuple[list[Any], list[bytes | EventData]]:
        """Returns no spans, and the events."""
        return [], [*self._frames]

    def observe(self) -> None:
        """Does nothing."""


class EventOutput:
    """Takes events to the worker, already encoded.

    Args:
        encode: Encodes events, observed at a time in nanoseconds, as framed `LogRecord` messages.
        offer: Hands a record of so many bytes to the worker; waits for room if asked to.
        wait_for_room: Waits until so many bytes find room in every queue.
        log_queue: Log records that the queue for those of the SDK holds. It has room for a quarter when it has any.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[EventRow], int], list[bytes]],
        offer: Callable[..., object],
        wait_for_room: Callable[[int], None],
        log_queue: int,
    ) -> None:
        self._encode = encode
        self._offer = offer
        self._wait_for_room = wait_for_room
        self._singly_together = max(1, log_queue // 4)

    def emit(self, rows: Sequence[EventRow], *, wait: bool) -> None:
        """Encodes the events and hands them to the worker."""
        now_ns = time.time_ns()
        for start in range(0, len(rows), _TOGETHER):
            frames = self._encode(rows[start : start + _TOGETHER], now_ns)
            size = sum(map(len, frames))
            if wait:
                self._wait_for_room(size)
            self._offer(EventBatch(frames), size, wait=wait)

    def emit_singly(self, rows: Sequence[EventRow], logger: Logger, *, wait: bool) -> None:
        """Emits the events one by one, so that every processor of the logger sees them."""
        for place, row in enumerate(rows):
            if wait and not place % self._singly_together:
                self._wait_for_room(0)
            _guard.call_two("sdk.event", emit_one, logger, row)


class EventLoggerProvider(LoggerProvider):
    """The SDK's provider without an exit function: the engine ends it."""

    output: EventOutput
    sends = False
    """Whether the engine sends log records; if not, only processors that are not ours take them."""

    def __init__(self, resource: Resource, processors: LogProcessors) -> None:
        super().__init__(resource=resource, shutdown_on_exit=False, multi_log_record_processor=processors)
        self._processors = processors

    @_guard.guarded("sdk.events")
    def emit_events(self, rows: Sequence[EventRow], *, wait: bool) -> None:
        """Emits many events; a processor that is not ours gets each of them from the SDK."""
        if self._processors.has_foreign:
            self.output.emit_singly(rows, self.get_logger(semconv.SCOPE), wait=wait)
        elif self.sends:
            self.output.emit(rows, wait=wait)
