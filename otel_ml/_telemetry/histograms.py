"""Histogram cells, exemplars, and the sum of per-thread cells: what predictions and requests count with."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import get_ident
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

EXEMPLARS_A_SERIES = 4
"""Exemplars that one series carries in one interval."""

K = TypeVar("K")


class Exemplar(NamedTuple):
    """One measured value and the sampled span in which it was measured."""

    value: float
    time_ns: int
    trace_id: int
    span_id: int


class HistogramCell:
    """Counts of one histogram series in one thread. ``counts`` has one more entry than ``bounds``."""

    __slots__ = ("bounds", "counts", "exemplars", "maximum", "minimum", "total", "unmeasured")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.minimum = float("inf")
        self.maximum = float("-inf")
        self.exemplars: dict[int, Exemplar] = {}
        self.unmeasured = 0
        """Events of this series without a value."""

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

    def record_all(self, values: Any) -> None:
        """Adds many values, a list or a numpy array, and sorts them in place: cheaper than adding them one by one."""
        if not len(values):
            return
        values.sort()
        end = 0
        for bucket, bound in enumerate(self.bounds):
            start, end = end, bisect_right(values, bound, end)
            self.counts[bucket] += end - start
        self.counts[-1] += len(values) - end
        self.total += sum(values) if type(values) is list else float(values.sum())
        self.minimum = min(self.minimum, float(values[0]))
        self.maximum = max(self.maximum, float(values[-1]))

    def offer(self, bucket: int, exemplar: Exemplar) -> bool:
        """Keeps the first exemplar of a bucket in this interval; returns True when it was kept."""
        exemplars = self.exemplars
        if bucket in exemplars or len(exemplars) >= EXEMPLARS_A_SERIES:
            return False
        exemplars[bucket] = exemplar
        return True

    def take_exemplars(self) -> dict[int, Exemplar]:
        """Returns the exemplars of the interval that ends now and starts the next one."""
        taken = self.exemplars
        self.exemplars = {}
        return taken

    def add(self, other: HistogramCell) -> None:
        """Adds the counts of another cell with the same bounds; exemplars are not touched."""
        for index, count in enumerate(other.counts):
            self.counts[index] += count
        self.total += other.total
        self.unmeasured += other.unmeasured
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)


def add_counts(counts: dict[K, int], others: Mapping[K, int]) -> None:
    """Adds counts by key, which another thread may be adding to."""
    for key, count in list(others.items()):
        counts[key] = counts.get(key, 0) + count


def add_all(cells: dict[K, HistogramCell], others: dict[K, HistogramCell]) -> None:
    """Adds the series that another thread has counted."""
    for key, cell in list(others.items()):
        cells.setdefault(key, HistogramCell(cell.bounds)).add(cell)


class ThreadCells(Protocol):
    """What one thread has counted of one subject."""

    def add(self, other: Self) -> None:
        """Adds everything that another thread has counted."""

    def histograms(self) -> Iterable[tuple[Hashable, HistogramCell]]:
        """Returns every histogram cell with the key of its series."""


C = TypeVar("C", bound=ThreadCells)


@dataclass
class Folded(Generic[C]):
    """The sum over all threads at one moment, with the exemplars of the interval."""

    cells: C
    exemplars: dict[Hashable, dict[int, Exemplar]] = field(default_factory=dict)
    """By the series' key of `ThreadCells.histograms`, then by bucket."""

    def take_exemplars(self, cells: C) -> None:
        """Takes the exemplars out of one thread's cells."""
        for key, cell in cells.histograms():
            if cell.exemplars:
                kept = self.exemplars.setdefault(key, {})
                for bucket, exemplar in cell.take_exemplars().items():
                    if len(kept) < EXEMPLARS_A_SERIES:
                        kept.setdefault(bucket, exemplar)


class PerThread(Generic[C]):
    """The cells of all threads for one subject.

    A thread writes only to its own cells and needs no lock for it; folding reads them all. Cells of threads that have
    ended are added to a residue, so that short-lived threads do not accumulate.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self.by_thread: dict[int, C] = {}
        """Cells by thread ident; the hot path reads it directly."""
        self._residue = make()

    def mine(self) -> C:
        """Returns the calling thread's cells."""
        cells = self.by_thread.get(get_ident())
        return cells if cells is not None else self.by_thread.setdefault(get_ident(), self._make())

    def _fold(self, *shared: C, take_exemplars: bool) -> Folded[C]:
        """Sums over all threads and the ``shared`` cells, which belong to none; the caller holds a lock."""
        alive = {thread.ident for thread in threading.enumerate()}
        folded = Folded(self._make())
        for cells in shared:
            if take_exemplars:
                folded.take_exemplars(cells)
            folded.cells.add(cells)
        for ident, cells in list(self.by_thread.items()):
            if take_exemplars:
                folded.take_exemplars(cells)
            if ident in alive:
                folded.cells.add(cells)
            else:
                self._residue.add(cells)
                del self.by_thread[ident]
        folded.cells.add(self._residue)
        return folded

    def _reset(self) -> None:
        """Starts at zero, in place: a caller may hold ``by_thread``."""
        self.by_thread.clear()
        self._residue = self._make()
