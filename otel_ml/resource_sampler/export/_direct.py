"""A sampler that exports by itself, without an SDK: one thread reads, encodes and sends at every tick."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from otel_ml import _guard, _process, semconv
from otel_ml.config import ConfigError, SignalConfig
from otel_ml.resource_sampler._points import Point
from otel_ml.resource_sampler._sampler import ResourceSampler
from otel_ml.resource_sampler.export._encoding import Encoder, rejected_points
from otel_ml.resource_sampler.export._http import Answer, Poster
from otel_ml.resource_sampler.export._local_meter import LocalMeter

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""The statuses that the OTLP specification allows to retry."""
_FIRST_PAUSE: Final = 0.5
_LOOK_SECONDS: Final = 1.0
"""How long it takes at most until the end of the watched process is seen."""
_LAST_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 2.0
"""How long a request in flight may take once it shall stop: an orchestrator kills what is not gone in ten seconds."""
_METRICS: Final = {semconv.SIGNAL: "metrics"}
_REASONS: Final = {
    reason: {**_METRICS, semconv.DROP_REASON: reason} for reason in ("retry_exhausted", "shutdown", "too_large")
}
_LOG: Final = logging.getLogger("otel_ml")


class Sender(Protocol):
    """What carries a request; tests put one in memory here."""

    def post(self, body: bytes, timeout: float) -> Answer:
        """Sends one request.

        Raises:
            OSError: There was no answer.
        """
        ...

    def cut(self) -> None:
        """Ends the request in flight, from another thread."""
        ...

    def close(self) -> None:
        """Closes the connection."""
        ...


class DirectExport:
    """Samples and sends over OTLP/HTTP until it is told to stop.

    What is not delivered before the next tick is dropped and counted: the next snapshot has newer values, and counters
    lose nothing. The account (`otelml.export.*`) counts points.

    Args:
        sampler: Not started: this thread takes its snapshots.
        config: Where the metrics go.
        resource: Attributes of the resource.
        every: Seconds between two requests; 0 for one at each tick.
        sender: What carries the requests; by default a connection of its own.
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
        sender: Sender | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sampler = sampler
        self._config = config
        self._every = every
        self._send_at = float("-inf")
        self._sender = sender or poster_of(config)
        self._wall_ns = wall_ns
        self._clock = clock
        self._encoder = Encoder(resource, wall_ns())
        self._meter = LocalMeter()
        sampler.instrument(self._meter)
        self.produced = self.delivered = self.rejected = 0
        self.dropped = dict.fromkeys(_REASONS, 0)
        self._is_failing = False
        self._not_before = float("-inf")

    def run(self, stop: threading.Event, ended: Callable[[], bool] = lambda: False) -> None:
        """Samples until `stop` is set or `ended` says so, then sends once more."""
        over = threading.Event()
        _process.spawn("otel-ml-sampler-stop", self._cut, stop, over)
        due = self._clock()
        while not stop.is_set() and not ended():
            due = max(due + self._sampler.interval, self._clock())
            _guard.call("resource_sampler.direct", self.step, due, stop)
            while not stop.is_set() and self._clock() < due and not ended():
                stop.wait(min(_LOOK_SECONDS, max(0.0, due - self._clock())))
        over.set()
        _guard.call("resource_sampler.direct", self.step, self._clock() + _LAST_SECONDS, None)
        self._sampler.close()
        self._sender.close()

    def _cut(self, stop: threading.Event, over: threading.Event) -> None:
        """Waits for the stop, and ends a request that holds it up."""
        stop.wait()
        if not over.wait(_GRACE_SECONDS):
            self._sender.cut()

    def step(self, due: float, stop: threading.Event | None) -> None:
        """One snapshot, sent until `due` if it is time to; without `stop` it is the last one, which is sent at once."""
        points = self._sampler.tick()
        now = self._clock()
        if stop is not None and now < self._send_at:
            return
        is_late = now - self._send_at >= self._every
        self._send_at = now + self._every if is_late else self._send_at + self._every
        points = {**points, **dict(self._account())}
        body, count = self._encoder.request(points, self._meter.histograms.values(), self._wall_ns())
        self.produced += count
        if self._config.compression == "gzip":
            import gzip

            body = gzip.compress(body, 1)
        self._send(body, count, due, stop)

    def _send(self, body: bytes, count: int, due: float, stop: threading.Event | None) -> None:
        pause = _FIRST_PAUSE
        while True:
            why = self._attempt(body, count, min(self._config.timeout, max(due - self._clock(), 0.05)))
            if why is None:
                return
            pause = max(pause, self._not_before - self._clock())
            is_ending = stop is not None and stop.is_set()
            if is_ending or self._clock() + pause >= due:
                self.dropped["shutdown" if is_ending or stop is None else "retry_exhausted"] += count
                self._fail(why)
                return
            if stop is None:
                time.sleep(pause)
            else:
                stop.wait(pause)
            pause *= 2

    def _attempt(self, body: bytes, count: int, timeout: float) -> str | None:
        """Sends once; the reason why it is worth another attempt, None when the receiver has decided."""
        if self._clock() < self._not_before:
            return "the receiver asked to wait"
        try:
            answer = self._sender.post(body, timeout)
        except OSError as error:
            return error.strerror or str(error) or type(error).__name__
        if answer.status in _RETRYABLE:
            self._not_before = self._clock() + (answer.retry_after or 0.0)
            return f"status {answer.status}"
        if not 200 <= answer.status < 300:
            self.rejected += count
            self._fail(f"status {answer.status}")
            return None
        refused = min(count, rejected_points(answer.body))
        self.rejected += refused
        self.delivered += count - refused
        if self._is_failing:
            self._is_failing = False
            _LOG.warning("otel-ml: metrics reach %s again", self._config.endpoint)
        return None

    def _fail(self, why: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            _LOG.warning(
                "otel-ml: cannot export metrics to %s: %s; sampling goes on, losses are counted. Start a receiver "
                "there (`otel-ml console`, or a Collector) or set OTEL_EXPORTER_OTLP_ENDPOINT",
                self._config.endpoint,
                why,
            )

    def _account(self) -> Iterator[tuple[str, list[Point]]]:
        """What became of the points up to now."""
        yield semconv.EXPORT_PRODUCED.name, [(self.produced, _METRICS)]
        yield semconv.EXPORT_DELIVERED.name, [(self.delivered, _METRICS)]
        yield semconv.EXPORT_REJECTED.name, [(self.rejected, _METRICS)]
        yield semconv.EXPORT_DROPPED.name, [(count, _REASONS[reason]) for reason, count in self.dropped.items()]
        errors: list[Point] = [(0, {})]
        errors += [(count, {semconv.ERROR_PLACE: place}) for place, count in _guard.counts().items()]
        yield semconv.INTERNAL_ERRORS.name, errors


def poster_of(config: SignalConfig) -> Poster:
    """A connection with the headers and certificates of these settings.

    Raises:
        ConfigError: A certificate file cannot be used.
    """
    headers = {"Content-Type": "application/x-protobuf", "User-Agent": "otel-ml", **config.headers}
    if config.compression == "gzip":
        headers["Content-Encoding"] = "gzip"
    tls = None
    if config.endpoint.startswith("https:"):
        import ssl

        try:
            tls = ssl.create_default_context(cafile=config.certificate)
            if config.client_certificate is not None:
                tls.load_cert_chain(config.client_certificate, config.client_key)
        except OSError as error:
            raise ConfigError(f"the certificates for {config.endpoint} cannot be used: {error}") from None
    return Poster(config.endpoint, headers, tls)
