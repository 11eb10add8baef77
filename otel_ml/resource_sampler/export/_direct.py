"""A sampler that exports by itself, without an SDK: one thread reads, encodes and sends at every tick."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from otel_ml import _guard, _process, semconv
from otel_ml._export import retry
from otel_ml._export.answers import BROKEN_TRANSPORT, Answer
from otel_ml._export.export_log import ExportLog, origin
from otel_ml._export.ledger import Book, Ledger
from otel_ml._export.transport import HttpTransport, Transport
from otel_ml.config import SignalConfig
from otel_ml.resource_sampler._points import Point
from otel_ml.resource_sampler._sampler import ResourceSampler
from otel_ml.resource_sampler.export._encoding import Encoder
from otel_ml.resource_sampler.export._local_meter import LocalMeter

_FIRST_PAUSE: Final = 0.5
_LOOK_SECONDS: Final = 1.0
"""The end of the watched process is noticed within this time."""
_LAST_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 2.0
"""A request in flight may take this long after a stop: an orchestrator kills what has not ended in ten seconds."""
_METRICS: Final = {semconv.SIGNAL: "metrics"}
_REASONS: Final = {
    reason: {**_METRICS, semconv.DROP_REASON: reason} for reason in ("retry_exhausted", "shutdown", "too_large")
}


class DirectExport:
    """Samples and sends over OTLP/HTTP until it is stopped.

    What is not delivered before the next tick is dropped and counted: the next snapshot has newer values, and counters
    miss nothing. The ledger (`otelml.export.*`) counts points.

    Args:
        sampler: Not started: this thread takes its snapshots.
        config: Where the metrics go.
        resource: Attributes of the resource.
        every: Seconds between two requests; 0 for one at each tick.
        transport: Carries the requests; by default over HTTP.
        wall_ns: Nanoseconds since the epoch.
        clock: Monotonic seconds.
    """

    def __init__(  # noqa: PLR0913 - seams, all of them keywords
        self,
        sampler: ResourceSampler,
        *,
        config: SignalConfig,
        resource: Mapping[str, Any],
        every: float = 0.0,
        transport: Transport | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sampler = sampler
        self._config = config
        self._every = every
        self._send_at = float("-inf")
        self._transport = transport or HttpTransport("metrics", config)
        self._wall_ns = wall_ns
        self._clock = clock
        self._encoder = Encoder(resource, wall_ns())
        self._meter = LocalMeter()
        sampler.instrument(self._meter)
        self._book = Book()
        self._log = ExportLog(origin(config.address))
        self._not_before = float("-inf")

    def ledger(self) -> Ledger:
        """Returns what became of the points so far."""
        return self._book.read()

    def run(self, stop: threading.Event, ended: Callable[[], bool] = lambda: False) -> None:
        """Samples until `stop` is set or `ended` returns True, then sends once more."""
        over = threading.Event()
        _process.spawn("otel-ml-sampler-stop", self._close_late, stop, over)
        due = self._clock()
        while not stop.is_set() and not ended():
            due = max(due + self._sampler.interval, self._clock())
            _guard.call("resource_sampler.direct", self.step, due, stop)
            while not stop.is_set() and self._clock() < due and not ended():
                stop.wait(min(_LOOK_SECONDS, max(0.0, due - self._clock())))
        over.set()
        _guard.call("resource_sampler.direct", self.step, self._clock() + _LAST_SECONDS, None)
        self._sampler.close()
        self._transport.close()

    def _close_late(self, stop: threading.Event, over: threading.Event) -> None:
        """Waits for the stop, and closes a connection that delays it."""
        stop.wait()
        if not over.wait(_GRACE_SECONDS):
            self._transport.close()

    def step(self, due: float, stop: threading.Event | None) -> None:
        """Takes a snapshot and, if it is time, tries to send it until `due`; without `stop` it is the last one."""
        if stop is None:
            self._sampler.announce_end()
        points = self._sampler.tick()
        now = self._clock()
        if stop is not None and now < self._send_at:
            return
        is_late = now - self._send_at >= self._every
        self._send_at = now + self._every if is_late else self._send_at + self._every
        points = {**points, **dict(self._self_metrics())}
        body, count = self._encoder.encode(points, self._meter.histograms.values(), self._wall_ns())
        self._book.produce(count)
        self._send(body, count, due, stop)

    def _send(self, body: bytes, count: int, due: float, stop: threading.Event | None) -> None:
        attempt = 0
        while True:
            answer = self._attempt(body, max(due - self._clock(), 0.05))
            if answer.kind != "retry":
                self._enter(answer, count)
                return
            pause = max(retry.pause(attempt, first=_FIRST_PAUSE), self._not_before - self._clock())
            attempt += 1
            is_ending = stop is not None and stop.is_set()
            if is_ending or self._clock() + pause >= due:
                self._book.drop("shutdown" if is_ending or stop is None else "retry_exhausted", count)
                self._log.unreachable("metrics", answer.detail)
                return
            if stop is None:
                time.sleep(pause)
            else:
                stop.wait(pause)

    def _attempt(self, body: bytes, timeout: float) -> Answer:
        """Sends once, unless a receiver asked to wait longer; such a wait may last several ticks."""
        if self._clock() < self._not_before:
            return Answer("retry", "the receiver asked to wait")
        timeout = min(self._config.timeout, timeout)
        answer = _guard.call("sampler.post", self._transport.post, body, timeout) or BROKEN_TRANSPORT
        if answer.kind == "retry":
            self._not_before = self._clock() + (answer.retry_after or 0.0)
        return answer

    def _enter(self, answer: Answer, count: int) -> None:
        rejected = self._book.enter(answer, count)
        if answer.kind == "accepted":
            self._log.accepted("metrics", rejected, answer.detail)
        elif answer.kind == "too_large":
            self._log.too_large("metrics", answer.detail)
        else:
            self._log.refused("metrics", answer.detail)

    def _self_metrics(self) -> Iterator[tuple[str, list[Point]]]:
        """Yields what became of the points so far, and internal errors."""
        ledger = self._book.read()
        yield semconv.EXPORT_PRODUCED.name, [(ledger.produced, _METRICS)]
        yield semconv.EXPORT_DELIVERED.name, [(ledger.delivered, _METRICS)]
        yield semconv.EXPORT_REJECTED.name, [(ledger.rejected, _METRICS)]
        dropped: list[Point] = [(ledger.dropped.get(reason, 0), attributes) for reason, attributes in _REASONS.items()]
        yield semconv.EXPORT_DROPPED.name, dropped
        errors: list[Point] = [(0, {})]
        errors += [(count, {semconv.ERROR_PLACE: place}) for place, count in _guard.counts().items()]
        yield semconv.INTERNAL_ERRORS.name, errors
