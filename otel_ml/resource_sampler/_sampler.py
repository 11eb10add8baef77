"""The sampler's thread: one snapshot a tick, which the instruments' callbacks only read."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from opentelemetry.metrics import Meter, NoOpMeter, Observation

from otel_ml import _guard, _process, semconv
from otel_ml.config import ConfigError
from otel_ml.resource_sampler import _health
from otel_ml.resource_sampler._instrument_registry import InstrumentRegistry, get_registry
from otel_ml.resource_sampler._interval import Interval
from otel_ml.resource_sampler._points import Point, Points
from otel_ml.resource_sampler._selection import Mode, select_sources
from otel_ml.resource_sampler._source import Gap, Report, Snapshot, Source, SourceSnapshot

MIN_INTERVAL: Final = 0.05
MAX_INTERVAL: Final = 86400.0
STALE_TICKS: Final = 3
"""Intervals after which a snapshot is too old to be reported."""
_STALE_SECONDS: Final = 5.0
"""The shortest such age, so that a busy machine with a short interval still has points."""
_LOG: Final = logging.getLogger("otel_ml")


@dataclass(frozen=True, slots=True)
class _LastTick:
    """The points of the last tick, and when they were read."""

    by_metric: Mapping[str, Sequence[Point]]
    at: float


class ResourceSampler:
    """Samples CPU, memory, disk, network, container and NVIDIA GPU figures on a thread of its own.

    Emits the observable instruments of its sources (`system.*`, `process.*`, `cpython.gc.*`, `container.*`, `hw.*`, and
    `otelml.*` where there is no convention) and `otelml.sampler.*` about itself. A reading that fails has no point in
    that tick and is counted in `otelml.sampler.collector.errors`; a snapshot that is too old has no points at all.

    One sampler a meter is active: starting a second one while the first runs logs one line and does nothing else.
    After a fork the child's thread starts with its first collection. With OTEL_ML_SAMPLER=off none starts.

    Args:
        interval: Seconds between two snapshots.
        mode: Which sources, when `sources` is not given: ``process`` (this process, and for one of a prefork server's
            workers its container and the GPUs it sees), ``sidecar`` (a service's process, its container, the pod's
            network, the GPUs), ``node`` (everything; one per machine).
        pid: The process that the mode's sources read, or a function that returns it; by default this one.
        sources: The sources to read, in place of those of the mode.
        meter: Where the instruments are created; by default the global provider's meter of otel-ml.
        utilization: Whether the mode's sources add the shares of CPU time, which a rate over the CPU times shows too.
        budget: Share of one core above which the interval is stretched; OTEL_ML_SAMPLER_BUDGET, else 0.01.
        clock: Monotonic seconds.
        cpu_clock: CPU seconds of the calling thread.

    Raises:
        ConfigError: The interval is not a number from 0.05 to 86400, the mode is unknown, there is no such process, or
            the budget is not above 0.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, each with a default
        self,
        interval: float = 10.0,
        *,
        mode: Mode = "process",
        pid: int | Callable[[], int | None] | None = None,
        sources: Sequence[Source] | None = None,
        meter: Meter | None = None,
        utilization: bool = False,
        budget: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        if not (math.isfinite(interval) and MIN_INTERVAL <= interval <= MAX_INTERVAL):
            raise ConfigError(
                f"interval={interval!r} must be a number of seconds from {MIN_INTERVAL} to {MAX_INTERVAL:g}"
            )
        self._interval = Interval(float(interval), budget)
        self._sources = tuple(select_sources(mode, pid=pid, utilization=utilization) if sources is None else sources)
        self._meter = meter
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._registry: InstrumentRegistry | None = None
        self._health = _health.Health()
        self._series = Points()
        self._own_series = Points()
        """Those about the sampler itself."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_tick: _LastTick | None = None
        self._reading_since: tuple[str, float] | None = None
        """The source that is being read, and since when."""
        self._hanging: str | None = None
        """The source that was logged as hanging."""
        self._wanted = False
        """Whether it was started and not stopped, also if a fork left the thread in the parent."""
        self._is_ending = False
        _process.in_child("resource_sampler.fork", self._reset_after_fork)

    @property
    def interval(self) -> float:
        """Current seconds between two snapshots; longer than requested while the budget stretches it."""
        return self._interval.seconds

    @property
    def is_running(self) -> bool:
        """Whether the thread of this process is alive."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Starts the thread, which takes the first snapshot at once; does nothing when it runs already."""
        _guard.call("resource_sampler.start", self._start)

    def stop(self, timeout: float = 5.0) -> None:
        """Stops the thread and withdraws its points; safe to call twice and before start.

        A driver call that hangs can hold the thread beyond the timeout; it ends with the process.
        """
        with self._lock:
            self._wanted = False
            self._stop.set()
            self._last_tick = None
            thread = self._thread
        if self._registry is not None:
            self._registry.release(self)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def announce_end(self) -> None:
        """Reports an interval of 0 until the next start: a sampler that was stopped differs from a lost one."""
        self._is_ending = True

    def __enter__(self) -> ResourceSampler:  # noqa: PYI034 - Self is newer than Python 3.10
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def sample(self) -> Snapshot:
        """Takes one snapshot on the calling thread and returns it; needs no start and exports nothing."""
        with self._reading:
            started = self._clock()
            snapshots = tuple(self._read(source) for source in self._sources)
            return Snapshot(snapshots, self._clock() - started)

    def tick(self) -> Mapping[str, Sequence[Point]]:
        """Takes one snapshot on the calling thread; returns its points by metric, including those about the sampler."""
        before, started = self._cpu_clock(), self._clock()
        snapshot = self.sample()
        readings = [reading for part in snapshot.sources for reading in part.readings]
        points, unsound = self._series.convert(readings)
        before -= sum(part.elsewhere for part in snapshot.sources)
        self._health.record(snapshot, unsound, self._cpu_clock() - before, left_out=self._series.left_out)
        if self._clock() - started > self._interval.seconds:
            self._health.overrun()
        interval = 0.0 if self._is_ending else self._interval.seconds
        own, _ = self._own_series.convert(list(self._health.readings(interval)))
        self._interval.add_cost(self._cpu_clock() - before)
        points.update(own)
        return points

    def observations(self, metric: str) -> Sequence[Observation]:
        """Points of the last snapshot for one metric; none when it is too old or the thread is not alive.

        In a forked child it starts the child's thread, whose points are there at the next collection.
        """
        if self._is_ending and metric == semconv.SAMPLER_INTERVAL.name:  # the last snapshot is older than the end
            return [Observation(0.0, {})]
        last = self._last_tick
        if not self.is_running:
            _guard.call("resource_sampler.restart", self._restart)
            return ()
        limit = max(STALE_TICKS * self._interval.seconds, _STALE_SECONDS)
        if last is None or self._clock() - last.at > limit:
            self._report_hanging(limit)
            return ()
        return [Observation(value, attributes) for value, attributes in last.by_metric.get(metric, ())]

    def _report_hanging(self, limit: float) -> None:
        reading = self._reading_since
        if reading is not None and self._hanging is None and self._clock() - reading[1] > limit:
            self._hanging = reading[0]
            _guard.warn(f"otel-ml: reading the {reading[0]} hangs: all readings are absent until it returns")

    def instrument(self, meter: Meter) -> None:
        """Creates the histograms of the sampler and of its sources."""
        self._health.create(meter)
        for source in self._sources:
            instrument = getattr(source, "instrument", None)
            if instrument is not None:
                instrument(meter)

    def close(self) -> None:
        """Closes the handles of the sources; for callers of `tick` and `sample`."""
        with self._reading:
            for source in self._sources:
                _guard.call("resource_sampler.close", source.close)

    def _start(self) -> None:
        registry, meter, provider = get_registry(self._meter)
        if is_off() or isinstance(meter, NoOpMeter):
            _LOG.info("otel-ml: metrics or the resource sampler are switched off: the sampler does not start")
            return
        if not registry.claim(self):
            _guard.warn_once(
                "resource_sampler.second",
                "otel-ml: a resource sampler already runs on this meter; the second one stays off",
            )
            return
        self._registry = registry
        # not under the lock: creating instruments waits for a collection, whose callbacks may need the lock
        registry.create(meter, provider, self._observed())
        self.instrument(meter)
        with self._lock:
            self._wanted, self._is_ending = True, False
            self._spawn()

    def _observed(self) -> Iterator[semconv.Metric]:
        for source in self._sources:
            yield from source.metrics
        yield from _health.METRICS

    def _spawn(self) -> None:
        if self.is_running:
            return
        self._stop = threading.Event()
        self._thread = _process.spawn("otel-ml-resource-sampler", self._run, self._stop)

    def _restart(self) -> None:
        # a callback must not wait: the holder of the lock is starting or stopping the sampler
        if self._wanted and self._lock.acquire(blocking=False):
            try:
                if self._wanted:
                    self._spawn()
            finally:
                self._lock.release()

    def _run(self, stop: threading.Event) -> None:
        due = self._clock()
        while not stop.is_set():
            _guard.call("resource_sampler.tick", self._tick_once, stop)
            due += self._interval.seconds
            due = max(due, self._clock())
            stop.wait(max(0.0, due - self._clock()))
        self.close()

    def _tick_once(self, stop: threading.Event) -> None:
        points = self.tick()
        if not stop.is_set():
            self._last_tick = _LastTick(points, self._clock())
        if self._hanging is not None:
            _LOG.info("otel-ml: reading the %s has returned: readings are there again", self._hanging)
            self._hanging = None

    def _read(self, source: Source) -> SourceSnapshot:
        started = self._clock()
        self._reading_since = (source.name, started)
        report = _guard.call("resource_sampler.source", source.read)
        self._reading_since = None
        if report is None:
            report = Report((), (Gap(source.name, "failed"),))
        return SourceSnapshot(source.name, report.readings, report.gaps, self._clock() - started, report.elsewhere)

    def _reset_after_fork(self) -> None:
        """In a forked child: replaces thread, locks, points and counters of the parent; the sampler stays started."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._thread = None
        self._last_tick = self._reading_since = self._hanging = None
        self._series.clear()
        self._own_series.clear()
        self._health.reset_after_fork()
        for source in self._sources:
            reset = getattr(source, "reset_after_fork", None)
            if reset is not None:
                _guard.call("resource_sampler.fork", reset)
        if self._registry is not None:
            self._registry.reset_after_fork()


def is_off() -> bool:
    """Whether the environment switches the sampler or all telemetry off."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return disabled or os.environ.get(semconv.ENV_SAMPLER, "").strip().lower() in {"off", "false", "0"}
