"""The cells that HTTP requests are counted in."""

from __future__ import annotations

import threading
from typing import NamedTuple

from otel_ml import semconv
from otel_ml._telemetry.histograms import Folded, HistogramCell, PerThread, add_all

SERIES_KEPT = 2000
"""Attribute sets of the duration in one process; requests beyond it are counted under `semconv.OTHER`."""


class RequestKey(NamedTuple):
    """The attributes of one series of the request duration. A client can choose none of them freely."""

    method: str
    scheme: str
    """Empty if unknown."""
    route: str | None
    status: int | None
    error_type: str | None

    def attributes(self) -> dict[str, str | int]:
        """Returns the series' OTel attributes, a new dictionary at each call."""
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
    """Returns the OTel attributes of the requests in flight, a new dictionary at each call."""
    known = {semconv.HTTP_REQUEST_METHOD: method}
    return {**known, semconv.URL_SCHEME: scheme} if scheme else known


class ActiveCell:
    """Requests that one thread has begun and ended."""

    __slots__ = ("finished", "started")

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0

    def end(self) -> None:
        """Counts a request that ends."""
        self.finished += 1


class RequestCells:
    """What one thread has counted."""

    __slots__ = ("active", "durations")

    def __init__(self) -> None:
        self.active: dict[ActiveKey, ActiveCell] = {}
        self.durations: dict[RequestKey, HistogramCell] = {}

    def begin(self, key: ActiveKey) -> ActiveCell:
        """Counts a request that begins. Its end is counted in the same cell: a request stays on its event loop.

        In a child that was forked in between, the end of its parent's request is not counted.
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
        add_all(self.durations, other.durations)

    def histograms(self) -> list[tuple[RequestKey, HistogramCell]]:
        """Returns the duration cell of every series."""
        return list(self.durations.items())


class RequestCellSet(PerThread[RequestCells]):
    """The cells of all HTTP requests of this process."""

    def __init__(self, *, limit: int = SERIES_KEPT) -> None:
        super().__init__(RequestCells)
        self._limit = limit
        self._series: set[RequestKey] = set()
        self._lock = threading.RLock()

    def cell(self, cells: RequestCells, key: RequestKey) -> HistogramCell:
        """Returns the duration cell of a series that is new to this thread, or the one beyond the limit."""
        key = self._admitted(key)
        cell = cells.durations.get(key)
        return cell if cell is not None else cells.durations.setdefault(key, HistogramCell(semconv.HTTP_BUCKETS))

    def fold(self, *, take_exemplars: bool = True) -> Folded[RequestCells]:
        """Sums over all threads; counts never decrease from one call to the next."""
        with self._lock:
            return self._fold(take_exemplars=take_exemplars)

    def reset_after_fork(self) -> None:
        """A forked child starts at zero: earlier counts belong to the parent."""
        self._lock = threading.RLock()
        self._reset()
        self._series = set()

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
