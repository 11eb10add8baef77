"""Per-thread cells in which predictions are counted without locks, attribute dictionaries or measurements."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field
from threading import get_ident
from typing import NamedTuple

from otel_ml import semconv

EXEMPLARS_A_SERIES = 4
"""Exemplars that one series carries in one interval."""
CLASSES_KEPT = 20
STAGES_KEPT = 32
ERROR_TYPES_KEPT = 32
"""Beyond these limits a value is counted as `semconv.OTHER`."""


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

    def record_everyday(self, duration: float, score: float) -> tuple[int, int]:
        """Adds the duration and the score of one prediction and returns their buckets: two `record` in one."""
        durations, scores = self.durations, self.scores
        first = bisect_left(durations.bounds, duration)
        durations.counts[first] += 1
        durations.total += duration
        if duration < durations.minimum:  # noqa: PLR1730
            durations.minimum = duration
        if duration > durations.maximum:  # noqa: PLR1730
            durations.maximum = duration
        second = bisect_left(scores.bounds, score)
        scores.counts[second] += 1
        scores.total += score
        if score < scores.minimum:  # noqa: PLR1730
            scores.minimum = score
        if score > scores.maximum:  # noqa: PLR1730
            scores.maximum = score
        return first, second

    def stage(self, name: str) -> HistogramCell:
        """The duration cell of one stage."""
        return _keyed(self.stages, name, STAGES_KEPT)

    def failure(self, error_type: str) -> HistogramCell:
        """The duration cell of calls that failed with this error type."""
        return _keyed(self.failures, error_type, ERROR_TYPES_KEPT)

    def add(self, other: ModelCells) -> None:
        """Adds everything that another thread has counted."""
        self.started += other.started
        self.finished += other.finished
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
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.by_thread: dict[int, ModelCells] = {}
        """Cells by thread ident; the hot path looks in here itself."""
        self._residue = ModelCells()
        self._lock = threading.Lock()

    def mine(self) -> ModelCells:
        """The calling thread's cells."""
        cells = self.by_thread.get(get_ident())
        return cells if cells is not None else self.by_thread.setdefault(get_ident(), ModelCells())

    def fold(self, *, take_exemplars: bool = True) -> Folded:
        """Sums over all threads; monotone from one call to the next. Takes the exemplars unless told not to."""
        with self._lock:
            alive = {thread.ident for thread in threading.enumerate()}
            folded = Folded(ModelCells())
            for ident, cells in list(self.by_thread.items()):
                if take_exemplars:
                    _take_exemplars(cells, folded.exemplars)
                if ident in alive:
                    folded.cells.add(cells)
                else:
                    self._residue.add(cells)
                    del self.by_thread[ident]
            folded.cells.add(self._residue)
            return folded

    def reset_after_fork(self) -> None:
        """A forked child starts at zero: what was counted before belongs to the parent."""
        self._lock = threading.Lock()
        self.by_thread.clear()  # in place: the bindings hold it
        self._residue = ModelCells()


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
