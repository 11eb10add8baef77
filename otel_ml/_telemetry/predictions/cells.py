"""The cells that predictions are counted in, without locks, attribute dictionaries or SDK measurements."""

from __future__ import annotations

import itertools
import threading
import weakref
from bisect import bisect_left
from collections import Counter
from typing import Any, NamedTuple, TypeVar

from otel_ml import semconv
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.histograms import EXEMPLARS_A_SERIES, Exemplar, Folded, HistogramCell, PerThread, add_all

CLASSES_KEPT = 20
STAGES_KEPT = 32
ERROR_TYPES_KEPT = 32
"""Beyond these limits a value is counted as `semconv.OTHER`."""
BUCKETED_AT_ONCE = 512
"""Pending predictions that are sorted into buckets at once: more would hold the GIL long enough to be felt."""

K = TypeVar("K")
V = TypeVar("V")


class ModelIdentity(NamedTuple):
    """The identity of a model, which all its signals carry."""

    name: str
    version: str
    role: str

    def attributes(self) -> dict[str, str]:
        """Returns the identity as OTel attributes, a new dictionary at each call."""
        return {
            semconv.MODEL_NAME: self.name,
            semconv.MODEL_VERSION: self.version,
            semconv.MODEL_ROLE: self.role,
        }


class ModelCells:
    """What one thread has counted for one model."""

    __slots__ = (
        "batch_sizes",
        "classes",
        "durations",
        "failures",
        "finished",
        "first_items",
        "omissions",
        "scores",
        "stages",
        "started",
        "unrecognised",
    )

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0
        self.unrecognised = 0
        self.omissions: dict[str, int] = {}
        self.classes: dict[str | None, int] = {}
        self.durations = HistogramCell(semconv.DURATION_BUCKETS)
        self.failures: dict[str, HistogramCell] = {}
        self.scores = HistogramCell(semconv.SCORE_BUCKETS)
        self.batch_sizes = HistogramCell(semconv.BATCH_BUCKETS)
        self.stages: dict[str, HistogramCell] = {}
        self.first_items = HistogramCell(semconv.DURATION_BUCKETS)

    def stage(self, name: str) -> HistogramCell:
        """Returns the duration cell of one stage."""
        return _keyed(self.stages, name, STAGES_KEPT)

    def failure(self, error_type: str) -> HistogramCell:
        """Returns the duration cell of calls that failed with this error type."""
        return _keyed(self.failures, error_type, ERROR_TYPES_KEPT)

    def add(self, other: ModelCells) -> None:
        """Adds everything that another thread has counted."""
        self.finished += other.finished  # read before `started`, so that finished never exceeds it
        self.started += other.started
        self.unrecognised += other.unrecognised
        _add_counts(self.classes, other.classes)
        _add_counts(self.omissions, other.omissions)
        self.durations.add(other.durations)
        self.scores.add(other.scores)
        self.batch_sizes.add(other.batch_sizes)
        self.first_items.add(other.first_items)
        add_all(self.failures, other.failures)
        add_all(self.stages, other.stages)

    def histograms(self) -> list[tuple[str, HistogramCell]]:
        """Returns every histogram cell; keys are ``durations``, ``failures/<type>``, ``stages/<name>`` and so on."""
        return [
            ("durations", self.durations),
            ("scores", self.scores),
            ("batch_sizes", self.batch_sizes),
            ("first_items", self.first_items),
            *((f"failures/{name}", cell) for name, cell in list(self.failures.items())),
            *((f"stages/{name}", cell) for name, cell in list(self.stages.items())),
        ]


def _add_counts(counts: dict[K, int], others: dict[K, int]) -> None:
    for key, count in list(others.items()):
        counts[key] = counts.get(key, 0) + count


def _keyed(cells: dict[str, HistogramCell], name: str, limit: int) -> HistogramCell:
    cell = cells.get(name)
    if cell is None:
        if len(cells) >= limit:
            name = semconv.OTHER
        cell = cells.setdefault(name, HistogramCell(semconv.DURATION_BUCKETS))
    return cell


class CellSet(PerThread[ModelCells]):
    """The cells of one model handle.

    The fast path does not sort its measurements into buckets: it takes a number from ``begun`` when a prediction
    starts, and appends a duration, a score and a class to three lists when it ends. Each of these is a single step of
    the interpreter, so any thread may do it without a lock. The worker sorts the pending measurements into buckets
    later, many at once, for a third of the cost; collection sorts what is left. The general path counts straight into
    the cells of its thread.
    """

    def __init__(self, identity: ModelIdentity, start_ns: int | None = None) -> None:
        super().__init__(ModelCells)
        self.identity = identity
        self.start_ns = start_ns
        """When its series began, if later than those of the process."""
        self._owners: weakref.WeakSet[Any] = weakref.WeakSet()
        self._is_permanent = False
        self.begun = itertools.count()
        """Gives a number to every prediction that begins on the fast path."""
        self.elapsed_ns: list[int] = []
        self.scores: list[float] = []
        self.classes: list[str] = []
        self._not_begun = 0
        """Numbers taken from ``begun`` that belong to no prediction of this process."""
        self._fast = ModelCells()
        """The buckets of the fast path, which all threads share."""
        self._is_child = False
        self._lock = threading.Lock()

    @property
    def is_used(self) -> bool:
        """Whether a handle of this model still exists."""
        return self._is_permanent or len(self._owners) > 0

    def keep_for(self, owner: object) -> None:
        """Keeps the cells in use as long as the owner exists; for ever without one."""
        if owner is None:
            self._is_permanent = True
        else:
            self._owners.add(owner)

    def count_finished(self) -> int:
        """Returns how many calls have finished. It takes no lock, so a call may be missing for a moment."""
        cells = [self._fast, self._residue, *self.by_thread.values()]
        return len(self.elapsed_ns) + sum([each.finished for each in cells])

    def bucket_pending(self) -> None:
        """Sorts up to `BUCKETED_AT_ONCE` pending predictions into buckets, unless another thread is doing so."""
        # Not `acquire(blocking=False)`: an exception of a signal handler right after it would leave the lock held.
        if not self._lock.locked():
            with self._lock:
                self._bucket()

    def known(self, seconds: float, score: float) -> tuple[float, float, float, float] | None:
        """Finds the buckets of a fast-path prediction if both have an exemplar in this interval already.

        Returns:
            Lower and upper bound of the duration in nanoseconds and of the score; None if either bucket has none.
        """
        bounds = []
        for cell, value, unit in ((self._fast.durations, seconds, 1e9), (self._fast.scores, score, 1.0)):
            bucket = bisect_left(cell.bounds, value)
            if bucket not in cell.exemplars:
                return None
            bounds.append(cell.bounds[bucket - 1] * unit if bucket else float("-inf"))
            bounds.append(cell.bounds[bucket] * unit if bucket < len(cell.bounds) else float("inf"))
        low, high, least, most = bounds
        return low, high, least, most

    def draw(self, seconds: float, score: float, span: tuple[int, int, int]) -> bool:
        """Offers a fast-path prediction as exemplar; returns True when it became one. Only the worker calls it.

        Args:
            seconds: Its duration.
            score: Its score.
            span: Its end in nanoseconds since the epoch, trace id and span id.
        """
        drawn = False
        for cell, value in ((self._fast.durations, seconds), (self._fast.scores, score)):
            if len(cell.exemplars) < EXEMPLARS_A_SERIES:
                bucket = bisect_left(cell.bounds, value)
                if bucket not in cell.exemplars:
                    drawn = cell.offer(bucket, Exemplar(value, *span)) or drawn
        return drawn

    def fold(self, *, take_exemplars: bool = True) -> Folded[ModelCells]:
        """Sums over all threads; counts never decrease from one call to the next."""
        for _ in range(len(self.elapsed_ns) // BUCKETED_AT_ONCE):
            self.bucket_pending()
            yield_to_service()
        with self._lock:
            while self.elapsed_ns or self.scores or self.classes:
                self._bucket()
            folded = self._fold(self._fast, take_exemplars=take_exemplars)
            folded.cells.started += self._count_begun()
            if self._is_child and folded.cells.finished > folded.cells.started:
                # Predictions that began in the parent have ended here, where their start was not counted.
                self._residue.started += folded.cells.finished - folded.cells.started
                folded.cells.started = folded.cells.finished
            return folded

    def reset_after_fork(self) -> None:
        """A forked child starts at zero: earlier counts belong to the parent."""
        self.start_ns = None
        self._lock = threading.Lock()
        self._reset()
        self._fast = ModelCells()
        for pending in (self.elapsed_ns, self.scores, self.classes):  # in place: the bindings hold them
            pending.clear()
        self._not_begun = next(self.begun) + 1
        self._is_child = True

    def _count_begun(self) -> int:
        # An `itertools.count` can only be read by taking a number, which then belongs to no prediction.
        begun = next(self.begun) - self._not_begun
        self._not_begun += 1
        return begun

    def _bucket(self) -> None:
        fast = self._fast
        elapsed = _take(self.elapsed_ns)
        fast.finished += len(elapsed)
        fast.durations.record_all([nanoseconds / 1e9 for nanoseconds in elapsed])
        fast.scores.record_all(_take(self.scores))
        for label, times in Counter(_take(self.classes)).items():
            fast.classes[label] = fast.classes.get(label, 0) + times


def _take(pending: list[V]) -> list[V]:
    taken = pending[:BUCKETED_AT_ONCE]
    del pending[:BUCKETED_AT_ONCE]
    return taken
