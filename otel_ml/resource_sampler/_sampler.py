"""The sampler's thread: one snapshot a tick, which the instruments' callbacks only read."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

from opentelemetry.metrics import Meter, NoOpMeter, Observation

from otel_ml import _guard, semconv
from otel_ml.config import ConfigError
from otel_ml.resource_sampler._board import Board, board_of
from otel_ml.resource_sampler._container import ContainerSource
from otel_ml.resource_sampler._gpu import GpuSource
from otel_ml.resource_sampler._health import Health
from otel_ml.resource_sampler._host import PARTS, HostSource, Part
from otel_ml.resource_sampler._points import MonotonicCounters, points_of
from otel_ml.resource_sampler._portable import PortableHostSource, PortableProcessSource
from otel_ml.resource_sampler._process import ProcessSource, available_cpus, is_alive
from otel_ml.resource_sampler._source import Gap, Report, Snapshot, Source, SourceSnapshot

Mode = Literal["process", "sidecar", "node"]

MIN_INTERVAL: Final = 0.05
STALE_TICKS: Final = 3
"""A snapshot older than this many intervals is not reported."""
_STALE_SECONDS: Final = 5.0
"""... but never before so many seconds, so that a busy machine at a short interval does not lose points."""
_LOG: Final = logging.getLogger("otel_ml")


@dataclass(frozen=True, slots=True)
class _Points:
    """The points of the last tick, with what is needed to tell that they are too old."""

    by_metric: Mapping[str, Sequence[Observation]]
    taken_at: float


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
        pid: The process that the mode's sources read, by default this one.
        sources: The sources to read, in place of those of the mode.
        meter: Where the instruments are created; by default the global provider's meter of otel-ml.
        utilization: Whether the mode's sources add the shares of CPU time, which can also be had by a rate.
        clock: Monotonic seconds.

    Raises:
        ConfigError: The interval is not a number of at least 0.05, the mode is unknown, or there is no such process.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, each with a default
        self,
        interval: float = 10.0,
        *,
        mode: Mode = "process",
        pid: int | None = None,
        sources: Sequence[Source] | None = None,
        meter: Meter | None = None,
        utilization: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (math.isfinite(interval) and interval >= MIN_INTERVAL):
            raise ConfigError(f"interval={interval!r} must be a number of seconds of at least {MIN_INTERVAL}")
        self._interval = float(interval)
        self._sources = tuple(sources_of(mode, pid=pid, utilization=utilization) if sources is None else sources)
        self._meter = meter
        self._clock = clock
        self._board: Board | None = None
        self._health = Health()
        self._counters = MonotonicCounters()
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._points: _Points | None = None
        self._wanted = False
        """Whether it was started and not stopped, also where a fork left the thread behind."""

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
            self._stop.set()
            self._points = None
            thread = self._thread
        if self._board is not None:
            self._board.release(self)
        _RUNNING.discard(self)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def __enter__(self) -> ResourceSampler:  # noqa: PYI034 - Self is newer than Python 3.10
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
            _guard.call("resource_sampler.restart", self._restart)
            return ()
        limit = max(STALE_TICKS * self._interval, _STALE_SECONDS)
        if points is None or self._clock() - points.taken_at > limit:
            return ()
        return points.by_metric.get(metric, ())

    def _start(self) -> None:
        board, meter, provider = board_of(self._meter)
        if isinstance(meter, NoOpMeter) or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            _LOG.info("otel-ml: metrics are off, the resource sampler stays off")
            return
        if not board.claim(self):
            _guard.warn_once(
                "resource_sampler.second",
                "otel-ml: a resource sampler already runs on this meter; the second one stays off",
            )
            return
        self._board = board
        # not under the lock: creating instruments waits for a collection, whose callbacks may want the lock
        board.create(meter, provider, self._observed())
        self._health.create(meter)
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

    def _restart(self) -> None:
        # a callback must not wait: whoever holds the lock is starting or stopping
        if self._wanted and self._lock.acquire(blocking=False):
            try:
                if self._wanted:
                    self._spawn()
            finally:
                self._lock.release()

    def _run(self, stop: threading.Event) -> None:
        due = self._clock()
        while not stop.is_set():
            _guard.call("resource_sampler.tick", self._tick, stop)
            due += self._interval
            if self._clock() > due:
                due = self._clock()
                self._health.overrun()
            stop.wait(max(0.0, due - self._clock()))
        with self._reading:
            for source in self._sources:
                _guard.call("resource_sampler.close", source.close)

    def _tick(self, stop: threading.Event) -> None:
        snapshot = self.sample()
        readings = [reading for part in snapshot.sources for reading in part.readings]
        points, unsound = points_of(readings, self._counters)
        self._health.record(snapshot, unsound)
        points[semconv.SAMPLER_LAST_SUCCESS.name] = self._health.successes()
        if not stop.is_set():
            self._points = _Points(points, self._clock())

    def _read(self, source: Source) -> SourceSnapshot:
        started = self._clock()
        report = _guard.call("resource_sampler.source", source.read)
        if report is None:
            report = Report((), (Gap(source.name, "failed"),))
        return SourceSnapshot(source.name, report.readings, report.gaps, self._clock() - started)

    def _leave_parent(self) -> None:
        """In a forked child: forgets thread, locks, points and the parent's counters; it stays wanted."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._thread = None
        self._points = None
        self._counters.clear()
        self._health.forget()
        if self._board is not None:
            self._board.renew_lock()


_RUNNING: Final[weakref.WeakSet[ResourceSampler]] = weakref.WeakSet()


def sources_of(mode: Mode, *, pid: int | None = None, utilization: bool = False) -> tuple[Source, ...]:
    """The sources of a mode.

    Raises:
        ConfigError: The mode is unknown, or there is no such process.
    """
    if mode not in {"process", "sidecar", "node"}:
        raise ConfigError(f"mode={mode!r} is unknown: use process, sidecar or node")
    if pid is not None and not is_alive(pid):
        raise ConfigError(f"pid={pid!r}: there is no such process here")
    container = ContainerSource()

    def cpus() -> float:
        # the quota that can be seen is that of this process's own container
        return min(available_cpus(pid or 0), (container.cpu_limit() if pid is None else None) or math.inf)

    parts: tuple[Part, ...] = {"node": PARTS, "sidecar": ("network",), "process": ()}[mode]
    if not Path("/proc/self/stat").exists():  # macOS, Windows
        portable: tuple[Source, ...] = (PortableProcessSource(pid), GpuSource())
        return (PortableHostSource(parts=parts), *portable) if parts else portable
    process = ProcessSource(pid, utilization=utilization, cpus=cpus)
    sources: tuple[Source, ...] = (process, container, GpuSource())
    return (HostSource(parts=parts, utilization=utilization), *sources) if parts else sources


def _after_fork_in_child() -> None:
    for sampler in list(_RUNNING):
        sampler._leave_parent()  # noqa: SLF001 - same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
