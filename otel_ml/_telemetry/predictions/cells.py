"""Per-thread cells in which predictions are counted without locks, attribute dictionaries or measurements."""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from threading import get_ident
from typing import NamedTuple, TypeVar

from otel_ml import semconv
from otel_ml._telemetry._yielding import stand_back

EXEMPLARS_A_SERIES = 4
"""Exemplars that one series carries in one interval."""
CLASSES_KEPT = 20
STAGES_KEPT = 32
ERROR_TYPES_KEPT = 32
"""Beyond these limits a value is counted as `semconv.OTHER`."""
SETTLED_AT_ONCE = 512
"""Noted predictions that are sorted into buckets in one go: more would hold the GIL long enough to be felt."""

V = TypeVar("V")


class Identity(NamedTuple):
    """What every signal of one model carries."""

    name: str
    version: str
    role: str

    def attributes(self) -> dict[str, str]:
        """The identity as OTel attributes; a new dictionary at each call."""
        return {
            semconv.MODEL_NAME: self.name,
            semconv.MODEL_VERSION: self.version,
            semconv.MODEL_ROLE: self.role,
        }


class Exemplar(NamedTuple):
    """One measured value and the sampled span in which it was measured."""

    value: float
    time_ns: int
    trace_id: int
    span_id: int


class HistogramCell:
    """Counts of one histogram series in one thread. ``counts`` has one more entry than ``bounds``."""

    __slots__ = ("bounds", "counts", "exemplars", "maximum", "minimum", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.minimum = float("inf")
        self.maximum = float("-inf")
        self.exemplars: dict[int, Exemplar] = {}

    def record(self, value: float) -> int:
        """Adds one value and returns its bucket."""
        bucket = bisect_left(self.bounds, value)
        self.counts[bucket] += 1
        self.total += value
        if value < self.minimum:  # noqa: PLR1730 - min() costs three times as much here
            self.minimum = value
        if value > self.maximum:  # noqa: PLR1730
            self.maximum = value
        return bucket

    def record_all(self, values: list[float]) -> None:
        """Adds many values, which it sorts in place: a third of the price of adding them one by one."""
        if not values:
            return
        values.sort()
        end = 0
        for bucket, bound in enumerate(self.bounds):
            start, end = end, bisect_right(values, bound, end)
            self.counts[bucket] += end - start
        self.counts[-1] += len(values) - end
        self.total += sum(values)
        self.minimum = min(self.minimum, values[0])
        self.maximum = max(self.maximum, values[-1])

    def offer(self, bucket: int, exemplar: Exemplar) -> bool:
        """Keeps the first exemplar of a bucket in this interval; True when it was kept."""
        exemplars = self.exemplars
        if bucket in exemplars or len(exemplars) >= EXEMPLARS_A_SERIES:
            return False
        exemplars[bucket] = exemplar
        return True

    def take_exemplars(self) -> dict[int, Exemplar]:
        """Hands out the exemplars of the interval that ends now."""
        taken = self.exemplars
        self.exemplars = {}
        return taken

    def add(self, other: HistogramCell) -> None:
        """Adds the counts of another cell with the same bounds; exemplars are not touched."""
        for index, count in enumerate(other.counts):
            self.counts[index] += count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)


class ModelCells:
    """What one thread has counted for one model."""

    __slots__ = (
        "batch_sizes",
        "classes",
        "durations",
        "failures",
        "finished",
        "first_items",
        "scores",
        "stages",
        "started",
        "unrecognised",
    )

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0
        self.unrecognised = 0
        self.classes: dict[str | None, int] = {}
        self.durations = HistogramCell(semconv.DURATION_BUCKETS)
        self.failures: dict[str, HistogramCell] = {}
        self.scores = HistogramCell(semconv.SCORE_BUCKETS)
        self.batch_sizes = HistogramCell(semconv.BATCH_BUCKETS)
        self.stages: dict[str, HistogramCell] = {}
        self.first_items = HistogramCell(semconv.DURATION_BUCKETS)

    def stage(self, name: str) -> HistogramCell:
        """The duration cell of one stage."""
        return _keyed(self.stages, name, STAGES_KEPT)

    def failure(self, error_type: str) -> HistogramCell:
        """The duration cell of calls that failed with this error type."""
        return _keyed(self.failures, error_type, ERROR_TYPES_KEPT)

    def add(self, other: ModelCells) -> None:
        """Adds everything that another thread has counted."""
        self.finished += other.finished  # first: what ends meanwhile has begun before it is read
        self.started += other.started
        self.unrecognised += other.unrecognised
        for name, count in list(other.classes.items()):
            self.classes[name] = self.classes.get(name, 0) + count
        self.durations.add(other.durations)
        self.scores.add(other.scores)
        self.batch_sizes.add(other.batch_sizes)
        self.first_items.add(other.first_items)
        for mine, theirs in ((self.failures, other.failures), (self.stages, other.stages)):
            for name, cell in list(theirs.items()):
                mine.setdefault(name, HistogramCell(cell.bounds)).add(cell)


def _keyed(cells: dict[str, HistogramCell], name: str, limit: int) -> HistogramCell:
    cell = cells.get(name)
    if cell is None:
        if len(cells) >= limit:
            name = semconv.OTHER
        cell = cells.setdefault(name, HistogramCell(semconv.DURATION_BUCKETS))
    return cell


@dataclass
class Folded:
    """The sum over all threads at one moment, with the exemplars of the interval by the cell's key."""

    cells: ModelCells
    exemplars: dict[str, dict[int, Exemplar]] = field(default_factory=dict)
    """Keys: ``durations``, ``scores``, ``batch_sizes``, ``first_items``, ``failures/<type>``, ``stages/<name>``."""


class CellSet:
    """All threads' cells of one model handle.

    A thread writes only to its own cells; folding reads them all. Cells of threads that have ended are added to a
    residue, so that short-lived threads do not accumulate.

    Everyday predictions are only noted by whoever makes them, and sorted into buckets later, many at once. Taking a
    number from a count and appending to a list are single steps, so that any thread may note without a lock.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.by_thread: dict[int, ModelCells] = {}
        self.begun = itertools.count()
        """Gives a number to every everyday prediction that begins."""
        self.elapsed_ns: list[int] = []
        self.scores: list[float] = []
        self.classes: list[str] = []
        self._no_predictions = 0
        """Numbers taken from `begun` that stand for no prediction of this process."""
        self._everyday = ModelCells()
        self._residue = ModelCells()
        self._is_child = False
        self._lock = threading.Lock()

    def settle(self) -> None:
        """Sorts up to `SETTLED_AT_ONCE` noted predictions into buckets, unless somebody else is at it."""
        # Not `acquire(blocking=False)`: what a signal handler throws behind it would leave the lock held for good.
        if not self._lock.locked():
            with self._lock:
                self._settle()

    def known(self, seconds: float, score: float) -> tuple[float, float, float, float] | None:
        """The buckets of an everyday prediction, if both have an exemplar in this interval already.

        Returns:
            Lower and upper bound of the duration in nanoseconds, of the score; None if either bucket has none.
        """
        bounds = []
        for cell, value, unit in ((self._everyday.durations, seconds, 1e9), (self._everyday.scores, score, 1.0)):
            bucket = bisect_left(cell.bounds, value)
            if bucket not in cell.exemplars:
                return None
            bounds.append(cell.bounds[bucket - 1] * unit if bucket else float("-inf"))
            bounds.append(cell.bounds[bucket] * unit if bucket < len(cell.bounds) else float("inf"))
        low, high, least, most = bounds
        return low, high, least, most

    def draw(self, seconds: float, score: float, span: tuple[int, int, int]) -> bool:
        """Offers an everyday prediction as exemplar; True when it became one. Called by the worker only.

        Args:
            seconds: Its duration.
            score: Its score.
            span: Its end in nanoseconds since the epoch, trace id and span id.
        """
        drawn = False
        for cell, value in ((self._everyday.durations, seconds), (self._everyday.scores, score)):
            if len(cell.exemplars) < EXEMPLARS_A_SERIES:
                bucket = bisect_left(cell.bounds, value)
                if bucket not in cell.exemplars:
                    drawn = cell.offer(bucket, Exemplar(value, *span)) or drawn
        return drawn

    def mine(self) -> ModelCells:
        """The calling thread's cells."""
        cells = self.by_thread.get(get_ident())
        return cells if cells is not None else self.by_thread.setdefault(get_ident(), ModelCells())

    def fold(self, *, take_exemplars: bool = True) -> Folded:
        """Sums over all threads; monotone from one call to the next. Takes the exemplars unless told not to."""
        for _ in range(len(self.elapsed_ns) // SETTLED_AT_ONCE):
            self.settle()
            stand_back()
        with self._lock:
            while self.elapsed_ns or self.scores or self.classes:
                self._settle()
            alive = {thread.ident for thread in threading.enumerate()}
            folded = Folded(ModelCells())
            folded.cells.add(self._everyday)
            if take_exemplars:
                _take_exemplars(self._everyday, folded.exemplars)
            for ident, cells in list(self.by_thread.items()):
                if take_exemplars:
                    _take_exemplars(cells, folded.exemplars)
                if ident in alive:
                    folded.cells.add(cells)
                else:
                    self._residue.add(cells)
                    del self.by_thread[ident]
            folded.cells.add(self._residue)
            folded.cells.started += self._count_begun()
            if self._is_child and folded.cells.finished > folded.cells.started:
                # Predictions that the parent has begun have ended here, where nobody had counted them in.
                self._residue.started += folded.cells.finished - folded.cells.started
                folded.cells.started = folded.cells.finished
            return folded

    def reset_after_fork(self) -> None:
        """A forked child starts at zero: what was counted before belongs to the parent."""
        self._lock = threading.Lock()
        self._residue = ModelCells()
        self._everyday = ModelCells()
        self.by_thread.clear()
        for noted in (self.elapsed_ns, self.scores, self.classes):  # in place: the bindings hold them
            noted.clear()
        self._no_predictions = next(self.begun) + 1
        self._is_child = True

    def _count_begun(self) -> int:
        begun = next(self.begun) - self._no_predictions
        self._no_predictions += 1
        return begun

    def _settle(self) -> None:
        fast = self._everyday
        elapsed = _taken(self.elapsed_ns)
        fast.finished += len(elapsed)
        fast.durations.record_all([nanoseconds / 1e9 for nanoseconds in elapsed])
        fast.scores.record_all(_taken(self.scores))
        for label, times in Counter(_taken(self.classes)).items():
            fast.classes[label] = fast.classes.get(label, 0) + times


def _taken(noted: list[V]) -> list[V]:
    taken = noted[:SETTLED_AT_ONCE]
    del noted[:SETTLED_AT_ONCE]
    return taken


def _take_exemplars(cells: ModelCells, into: dict[str, dict[int, Exemplar]]) -> None:
    named: list[tuple[str, HistogramCell]] = [
        ("durations", cells.durations),
        ("scores", cells.scores),
        ("batch_sizes", cells.batch_sizes),
        ("first_items", cells.first_items),
    ]
    named += [(f"failures/{name}", cell) for name, cell in list(cells.failures.items())]
    named += [(f"stages/{name}", cell) for name, cell in list(cells.stages.items())]
    for key, cell in named:
        if cell.exemplars:
            kept = into.setdefault(key, {})
            for bucket, exemplar in cell.take_exemplars().items():
                if len(kept) < EXEMPLARS_A_SERIES:
                    kept.setdefault(bucket, exemplar)
