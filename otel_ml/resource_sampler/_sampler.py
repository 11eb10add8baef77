"""The sampler's thread: one snapshot a tick, which the instruments' callbacks only read."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, NoOpMeter, Observation

from otel_ml import _guard, semconv
from otel_ml.resource_sampler._container import ContainerSource
from otel_ml.resource_sampler._gpu import GpuSource
from otel_ml.resource_sampler._host import HostSource
from otel_ml.resource_sampler._points import MonotonicCounters, points_of
from otel_ml.resource_sampler._process import ProcessSource, available_cpus
from otel_ml.resource_sampler._source import EXPECTED, Gap, Reading, Report, Source

Mode = Literal["process", "sidecar", "node"]

MIN_INTERVAL: Final = 0.05
STALE_TICKS: Final = 3
"""A snapshot older than this many intervals is not reported."""
_STALE_SECONDS: Final = 5.0
"""... but never before so many seconds, so that a busy machine at a short interval does not lose points."""
_LOG: Final = logging.getLogger("otel_ml")


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """What one source gave in one tick, and how long that took in seconds."""

    source: str
    readings: tuple[Reading, ...]
    gaps: tuple[Gap, ...]
    duration: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What all sources gave in one tick."""

    sources: tuple[SourceSnapshot, ...]
    duration: float


@dataclass(frozen=True, slots=True)
class _Points:
    """The points of the last tick, with what is needed to tell that they are too old."""

    by_metric: Mapping[str, list[Observation]]
    taken_at: float


class _Board:
    """Which sampler the observable instruments of one meter read.

    An SDK keeps only the first callback of an instrument that is created twice, so the callbacks belong to the meter
    and look here.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sampler: ResourceSampler | None = None
        self.provider: object = None
        self.created: set[str] = set()

    def claim(self, sampler: ResourceSampler) -> bool:
        with self.lock:
            if self.sampler not in {None, sampler}:
                return False
            self.sampler = sampler
            return True

    def release(self, sampler: ResourceSampler) -> None:
        with self.lock:
            if self.sampler is sampler:
                self.sampler = None

    def create(self, meter: Meter, provider: object, wanted: Iterable[semconv.Metric]) -> None:
        """Creates the observable instruments that the meter does not have yet."""
        if self.provider is not provider:
            self.provider, self.created = provider, set()
        kinds = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        for metric in wanted:
            if metric.name not in self.created:
                self.created.add(metric.name)
                kinds[metric.instrument](
                    metric.name,
                    callbacks=[self._callback(metric.name)],
                    unit=metric.unit,
                    description=metric.description,
                )

    def _callback(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            sampler = self.sampler
            return () if sampler is None else sampler.observations(name)

        return observe


_DEFAULT_BOARD: Final = _Board()
_BOARDS: weakref.WeakKeyDictionary[Meter, _Board] = weakref.WeakKeyDictionary()
_RUNNING: weakref.WeakSet[ResourceSampler] = weakref.WeakSet()


class ResourceSampler:
    """Samples CPU, memory, disk, network, container and NVIDIA GPU figures on a thread of its own.

    Emits the observable instruments of its sources (`system.*`, `process.*`, `cpython.gc.*`, `container.*`, `hw.*`, and
    `otelml.*` where there is no convention) and `otelml.sampler.*` about itself. A reading that fails has no point in
    that tick and is counted in `otelml.sampler.collector.errors`; a snapshot that is too old has no points at all.

    One sampler a meter is active: starting a second one while the first runs says so once in the log and does nothing.
    After a fork the child's thread starts with its first collection.

    Args:
        interval: Seconds between two snapshots.
        mode: Which sources, when `sources` is not given: ``process`` (this process, its container, the GPUs it sees),
            ``sidecar`` (the same and the pod's network), ``node`` (everything; one a machine).
        sources: The sources to read, in place of those of the mode.
        meter: Where the instruments are created; by default the global provider's meter of otel-ml.
        utilization: Whether the mode's sources add the shares of CPU time, which can also be had by a rate.
        clock: Monotonic seconds.

    Raises:
        ValueError: The interval is not a number of at least 0.05, or the mode is unknown.
    """

    def __init__(
        self,
        interval: float = 10.0,
        *,
        mode: Mode = "process",
        sources: Sequence[Source] | None = None,
        meter: Meter | None = None,
        utilization: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (math.isfinite(interval) and interval >= MIN_INTERVAL):
            raise ValueError(f"interval={interval!r} must be a number of seconds of at least {MIN_INTERVAL}")
        self._interval = float(interval)
        self._sources = tuple(sources_of(mode, utilization=utilization) if sources is None else sources)
        self._meter = meter
        self._clock = clock
        self._board = _DEFAULT_BOARD
        self._errors: Counter | None = None
        self._overruns: Counter | None = None
        self._durations: Histogram | None = None
        self._last_success: dict[str, float] = {}
        self._wanted = False
        self._forget()

    @property
    def is_running(self) -> bool:
        """Whether the thread of this process is alive."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def start(self) -> None:
        """Starts the thread, which takes the first snapshot at once; does nothing when it runs already."""
        _guard.call("resource_sampler.start", self._start)

    def stop(self, timeout: float = 5.0) -> None:
        """Stops the thread and takes its points back; safe twice and before start.

        A driver call that hangs can hold the thread beyond the timeout; it ends with the process.
        """
        with self._lock:
            self._wanted = False
            thread, self._thread = self._thread, None
            self._stop.set()
            self._points = None
        self._board.release(self)
        _RUNNING.discard(self)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def __enter__(self) -> ResourceSampler:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def sample(self) -> Snapshot:
        """Takes one snapshot on the calling thread and returns it; needs no start and emits nothing by itself."""
        with self._reading:
            started = self._clock()
            snapshots = tuple(self._read(source) for source in self._sources)
            return Snapshot(snapshots, self._clock() - started)

    def observations(self, metric: str) -> Sequence[Observation]:
        """Points of the last snapshot for one metric; none when it is too old or the thread is not alive.

        In a forked child it starts the child's thread, whose points are there at the next collection.
        """
        points = self._points
        if not self.is_running:
            if self._wanted and self._lock.acquire(blocking=False):
                try:
                    self._spawn()
                finally:
                    self._lock.release()
            return ()
        limit = max(STALE_TICKS * self._interval, _STALE_SECONDS)
        if points is None or self._clock() - points.taken_at > limit:
            return ()
        return points.by_metric.get(metric, ())

    def _start(self) -> None:
        default = metrics.get_meter(semconv.SCOPE, schema_url=semconv.SCHEMA_URL)
        meter = default if self._meter is None else self._meter
        if isinstance(meter, NoOpMeter):
            _LOG.info("otel-ml: metrics are off, the resource sampler stays off")
            return
        is_default = meter is default
        board = _DEFAULT_BOARD if is_default else _BOARDS.setdefault(meter, _Board())
        if not board.claim(self):
            _guard.warn_once(
                "resource_sampler.second",
                "otel-ml: a resource sampler already runs on this meter; the second one stays off",
            )
            return
        self._board = board
        # not under the lock: creating instruments waits for a collection, whose callbacks may want the lock
        provider = metrics.get_meter_provider() if is_default else meter
        board.create(meter, provider, self._observed())
        self._errors = meter.create_counter(*_counter(semconv.SAMPLER_ERRORS))
        self._overruns = meter.create_counter(*_counter(semconv.SAMPLER_OVERRUNS))
        self._durations = meter.create_histogram(*_counter(semconv.SAMPLER_TICK_DURATION))
        with self._lock:
            self._wanted = True
            self._spawn()

    def _observed(self) -> Iterator[semconv.Metric]:
        for source in self._sources:
            yield from source.metrics
        yield semconv.SAMPLER_LAST_SUCCESS

    def _spawn(self) -> None:
        if self.is_running:
            return
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name="otel-ml-resource-sampler", daemon=True
        )
        _RUNNING.add(self)
        self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        due = self._clock()
        while not stop.is_set():
            _guard.call("resource_sampler.tick", self._tick, stop)
            due += self._interval
            late = self._clock() - due
            if late > 0:
                due = self._clock()
                if self._overruns is not None:
                    self._overruns.add(1)
            stop.wait(due - self._clock())
        with self._reading:
            for source in self._sources:
                _guard.call("resource_sampler.close", source.close)

    def _tick(self, stop: threading.Event) -> None:
        snapshot = self.sample()
        readings = [reading for part in snapshot.sources for reading in part.readings]
        by_metric, unsound = points_of(readings, self._counters)
        now = time.time()
        for part in snapshot.sources:
            failures = [gap.kind for gap in part.gaps if gap.kind not in EXPECTED]
            self._count(part.source, failures)
            if part.readings:
                self._last_success[part.source] = now
        self._count("sampler", ["malformed"] * unsound)
        by_metric = {**by_metric, semconv.SAMPLER_LAST_SUCCESS.name: self._successes()}
        if self._durations is not None:
            self._durations.record(snapshot.duration)
        if not stop.is_set():
            self._points = _Points(by_metric, self._clock())

    def _successes(self) -> list[Observation]:
        return [Observation(at, {semconv.SAMPLER_SOURCE: source}) for source, at in self._last_success.items()]

    def _count(self, source: str, kinds: Iterable[str]) -> None:
        if self._errors is not None:
            for kind in kinds:
                self._errors.add(1, {semconv.SAMPLER_SOURCE: source, semconv.ERROR_TYPE: kind})

    def _read(self, source: Source) -> SourceSnapshot:
        started = self._clock()
        report = _guard.call("resource_sampler.source", source.read)
        if report is None:
            report = Report((), (Gap(source.name, "failed"),))
        return SourceSnapshot(source.name, report.readings, report.gaps, self._clock() - started)

    def _forget(self) -> None:
        """Everything that a forked child must not take over: thread, locks, points, and the parent's counters."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._points: _Points | None = None
        self._counters = MonotonicCounters()
        self._last_success.clear()


def sources_of(mode: Mode, *, utilization: bool = False) -> tuple[Source, ...]:
    """The sources of a mode.

    Raises:
        ValueError: The mode is unknown.
    """
    if mode not in {"process", "sidecar", "node"}:
        raise ValueError(f"mode={mode!r} is unknown: use process, sidecar or node")
    container = ContainerSource()

    def cpus() -> float:
        return min(available_cpus(), container.cpu_limit() or math.inf)

    sources: tuple[Source, ...] = (ProcessSource(utilization=utilization, cpus=cpus), container, GpuSource())
    if mode == "node":
        return (HostSource(utilization=utilization), *sources)
    if mode == "sidecar":
        return (HostSource(parts=("network",)), *sources)
    return sources


def _counter(metric: semconv.Metric) -> tuple[str, str, str]:
    return metric.name, metric.unit, metric.description


def _after_fork_in_child() -> None:
    for sampler in list(_RUNNING):
        sampler._forget()  # noqa: SLF001
        sampler._board.lock = threading.Lock()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
