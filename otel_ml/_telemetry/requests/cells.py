"""Per-thread cells in which HTTP requests are counted, as `cells` does for predictions."""

from __future__ import annotations

import threading
from threading import get_ident
from typing import NamedTuple

from otel_ml import semconv
from otel_ml._telemetry.predictions.cells import EXEMPLARS_A_SERIES, Exemplar, HistogramCell

SERIES_KEPT = 2000
"""Attribute sets of the duration in one process; a request with a further one is counted under `semconv.OTHER`."""


class RequestKey(NamedTuple):
    """What tells one series of the request duration from another. Nothing in it is the client's to choose freely."""

    method: str
    scheme: str
    """Empty if it is none that is known."""
    route: str | None
    status: int | None
    error_type: str | None

    def attributes(self) -> dict[str, str | int]:
        """The series' OTel attributes; a new dictionary at each call."""
        attributes: dict[str, str | int] = dict(active_attributes(self.method, self.scheme))
        if self.route is not None:
            attributes[semconv.HTTP_ROUTE] = self.route
        if self.status is not None:
            attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = self.status
        if self.error_type is not None:
            attributes[semconv.ERROR_TYPE] = self.error_type
        return attributes


ActiveKey = tuple[str, str]
"""Method and scheme of the requests in flight."""


def active_attributes(method: str, scheme: str) -> dict[str, str]:
    """The OTel attributes of the requests in flight; a new dictionary at each call."""
    known = {semconv.HTTP_REQUEST_METHOD: method}
    return {**known, semconv.URL_SCHEME: scheme} if scheme else known


class ActiveCell:
    """Requests that one thread has begun and ended."""

    __slots__ = ("finished", "started")

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0

    def end(self) -> None:
        """Counts one that ends."""
        self.finished += 1


class RequestCells:
    """What one thread has counted."""

    __slots__ = ("active", "durations")

    def __init__(self) -> None:
        self.active: dict[ActiveKey, ActiveCell] = {}
        self.durations: dict[RequestKey, HistogramCell] = {}

    def begin(self, key: ActiveKey) -> ActiveCell:
        """Counts a request that begins. Its end is counted in the same cell: a request stays on its event loop.

        A child that was forked meanwhile counts from zero, and the end of its parent's request goes nowhere.
        """
        cell = self.active.get(key)
        if cell is None:
            cell = self.active.setdefault(key, ActiveCell())
        cell.started += 1
        return cell

    def add(self, other: RequestCells) -> None:
        """Adds everything that another thread has counted."""
        for key, cell in list(other.active.items()):
            mine = self.active.setdefault(key, ActiveCell())
            mine.started += cell.started
            mine.finished += cell.finished
        for series, durations in list(other.durations.items()):
            self.durations.setdefault(series, HistogramCell(durations.bounds)).add(durations)


class FoldedRequests(NamedTuple):
    """The sum over all threads at one moment, with the exemplars of the interval."""

    cells: RequestCells
    exemplars: dict[RequestKey, dict[int, Exemplar]]


class RequestCellSet:
    """All threads' cells of this process; see `cells.CellSet`, which is the same for one model."""

    def __init__(self, *, limit: int = SERIES_KEPT) -> None:
        self._limit = limit
        self.by_thread: dict[int, RequestCells] = {}
        """Cells by thread ident; the hot path looks in here itself."""
        self._series: set[RequestKey] = set()
        self._residue = RequestCells()
        self._lock = threading.RLock()

    def mine(self) -> RequestCells:
        """The calling thread's cells."""
        cells = self.by_thread.get(get_ident())
        return cells if cells is not None else self.by_thread.setdefault(get_ident(), RequestCells())

    def cell(self, cells: RequestCells, key: RequestKey) -> HistogramCell:
        """The duration cell of a series that this thread has not seen yet, or the one that takes what is too many."""
        key = self._admitted(key)
        cell = cells.durations.get(key)
        return cell if cell is not None else cells.durations.setdefault(key, HistogramCell(semconv.HTTP_BUCKETS))

    def fold(self, *, take_exemplars: bool = True) -> FoldedRequests:
        """Sums over all threads; monotone from one call to the next. Takes the exemplars unless told not to."""
        with self._lock:
            alive = {thread.ident for thread in threading.enumerate()}
            folded = FoldedRequests(RequestCells(), {})
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
        self._lock = threading.RLock()
        self.by_thread.clear()  # in place: whoever counts may hold it
        self._series = set()
        self._residue = RequestCells()

    def _admitted(self, key: RequestKey) -> RequestKey:
        # Without the lock first: a service beyond the limit comes here with every request.
        if key in self._series:
            return key
        if len(self._series) < self._limit:
            with self._lock:
                if len(self._series) < self._limit:
                    self._series.add(key)
                    return key
        return RequestKey(key.method, key.scheme, semconv.OTHER, None, semconv.OTHER if key.error_type else None)


def _take_exemplars(cells: RequestCells, into: dict[RequestKey, dict[int, Exemplar]]) -> None:
    for key, cell in list(cells.durations.items()):
        if cell.exemplars:
            kept = into.setdefault(key, {})
            for bucket, exemplar in cell.take_exemplars().items():
                if len(kept) < EXEMPLARS_A_SERIES:
                    kept.setdefault(bucket, exemplar)
