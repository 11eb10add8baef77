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
from otel_ml._telemetry.predictions.segment_cells import Segment, SegmentCells

CLASSES_KEPT = 20
STAGES_KEPT = 32
ERROR_TYPES_KEPT = 32
"""Beyond these limits a value is counted as `semconv.OTHER`."""
BUCKETED_AT_ONCE = 512
"""Pending predictions that are sorted into buckets at once: more would hold the GIL long enough to be felt."""
WORTH_BUCKETING = 128
"""Pending predictions of one combination of segments that the worker sorts before the next collection: the buckets of
few cost as much as those of many."""

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
        "segments",
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
        self.segments: dict[Segment, SegmentCells] = {}

    def segment(self, segment: Segment) -> SegmentCells:
        """Returns the cells of one segment. Its reader bounds how many there are."""
        found = self.segments.get(segment)
        return found if found is not None else self.segments.setdefault(segment, SegmentCells())

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
        for segment, cells in list(other.segments.items()):
            self.segment(segment).add(cells)

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


class Combination:
    """Predictions of the fast path of one combination of segments.

    Args:
        segments: One segment of each column.
        by_class: Whether segments count by class.
    """

    __slots__ = ("by_class", "cells", "classes", "elapsed_ns", "scores", "segments")

    def __init__(self, segments: tuple[Segment, ...], *, by_class: bool) -> None:
        self.segments = segments
        self.by_class = by_class
        self.elapsed_ns: list[int] = []
        self.scores: list[float] = []
        self.classes: list[str] = []
        self.cells = ModelCells()
        """What was bucketed since the last fold."""

    def clear(self) -> None:
        """Starts at zero, in place: the bindings hold the lists."""
        for pending in (self.elapsed_ns, self.scores, self.classes):
            pending.clear()
        self.cells = ModelCells()


class CellSet(PerThread[ModelCells]):
    """The cells of one model handle.

    The fast path does not sort its measurements into buckets: it takes a number from ``begun`` when a prediction
    starts, and appends a duration, a score and a class to three lists when it ends. Each of these is a single step of
    the interpreter, so any thread may do it without a lock. The worker sorts the pending measurements into buckets
    later, many at once, for a third of the cost; collection sorts what is left. The general path counts straight into
    the cells of its thread.

    Of a model with segments, each combination of them has three lists of its own, so that nothing has to be recorded
    with a prediction to know its segments.
    """

    def __init__(self, identity: ModelIdentity, start_ns: int | None = None) -> None:
        super().__init__(ModelCells)
        self.identity = identity
        self.start_ns = start_ns
        """When its series began, if later than those of the process."""
        self.segment_classes: tuple[str | None, ...] = ()
        """The classes that each segment counts from 0 on; None if the task is not binary."""
        self.counts_missing = False
        """Whether missing values are counted by segment."""
        self._owners: weakref.WeakSet[Any] = weakref.WeakSet()
        self._is_permanent = False
        self.begun = itertools.count()
        """Gives a number to every prediction that begins on the fast path."""
        self.elapsed_ns: list[int] = []
        self.scores: list[float] = []
        self.classes: list[str] = []
        self._combinations: dict[tuple[tuple[Segment, ...], bool], Combination] = {}
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
        combined = [len(each.elapsed_ns) + each.cells.finished for each in list(self._combinations.values())]
        return len(self.elapsed_ns) + sum(combined) + sum([each.finished for each in cells])

    def combination(self, segments: tuple[Segment, ...], *, by_class: bool) -> Combination:
        """Returns the lists of one combination of segments, created on first use."""
        return self._combinations.setdefault((segments, by_class), Combination(segments, by_class=by_class))

    def worth_bucketing(self) -> int:
        """Returns how many predictions are pending in the longest list that the worker should sort now."""
        longest = len(self.elapsed_ns)
        for each in list(self._combinations.values()):
            waiting = len(each.elapsed_ns)
            if waiting >= WORTH_BUCKETING and waiting > longest:
                longest = waiting
        return longest

    def bucket_pending(self) -> None:
        """Sorts up to `BUCKETED_AT_ONCE` pending predictions into buckets, unless another thread is doing so."""
        # Not `acquire(blocking=False)`: an exception of a signal handler right after it would leave the lock held.
        if not self._lock.locked():
            with self._lock:
                left = BUCKETED_AT_ONCE - self._bucket()
                for each in list(self._combinations.values()):
                    if left > 0 and len(each.elapsed_ns) >= WORTH_BUCKETING:
                        left -= _sort(each, each.cells)

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
        for each in list(self._combinations.values()):
            self._fold_combination(each)
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
        for each in self._combinations.values():
            each.clear()
        self._not_begun = next(self.begun) + 1
        self._is_child = True

    def _count_begun(self) -> int:
        # An `itertools.count` can only be read by taking a number, which then belongs to no prediction.
        begun = next(self.begun) - self._not_begun
        self._not_begun += 1
        return begun

    def _bucket(self) -> int:
        """Sorts some of the pending predictions that belong to no combination; returns how many."""
        return _sort(self, self._fast)

    def _fold_combination(self, combination: Combination) -> None:
        """Adds what was counted of one combination to the model and to each of its segments."""
        with self._lock:
            while combination.elapsed_ns or combination.scores or combination.classes:
                _sort(combination, combination.cells)
            taken = combination.cells
            if taken.finished or taken.classes:
                combination.cells = ModelCells()
                self._fast.add(taken)
                of_all: dict[str | None, int] = {None: sum(taken.classes.values())}
                classes = taken.classes if combination.by_class else of_all
                for segment in combination.segments:
                    self._fast.segment(segment).add_predictions(classes, taken.durations, taken.scores)


def _sort(pending: CellSet | Combination, cells: ModelCells) -> int:
    """Sorts some pending predictions into the buckets of these cells; returns how many."""
    elapsed = _take(pending.elapsed_ns)
    cells.finished += len(elapsed)
    cells.durations.record_all([nanoseconds / 1e9 for nanoseconds in elapsed])
    cells.scores.record_all(_take(pending.scores))
    for label, times in Counter(_take(pending.classes)).items():
        cells.classes[label] = cells.classes.get(label, 0) + times
    return len(elapsed)


def _take(pending: list[V]) -> list[V]:
    taken = pending[:BUCKETED_AT_ONCE]
    del pending[:BUCKETED_AT_ONCE]
    return taken
