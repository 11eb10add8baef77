"""The cells that predictions are counted in, without locks, attribute dictionaries or SDK measurements."""

from __future__ import annotations

import itertools
import threading
import weakref
from bisect import bisect_left
from collections import Counter
from typing import Any, TypeVar

from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.histograms import EXEMPLARS_A_SERIES, Exemplar, Folded, PerThread
from otel_ml._telemetry.predictions.model_cells import ModelCells, ModelIdentity
from otel_ml._telemetry.predictions.segment_cells import Segment

BUCKETED_AT_ONCE = 512
"""Pending predictions that are sorted into buckets at once: more would hold the GIL long enough to be felt."""
WORTH_BUCKETING = 128
"""Pending predictions of one combination of segments that the worker sorts before the next collection: the buckets of
few cost as much as those of many."""

V = TypeVar("V")


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
