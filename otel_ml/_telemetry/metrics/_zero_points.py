"""Points at zero, exported together with the first point of a series, so that back ends see its first counts as a rise.

Prometheus computes an increase between two samples of a series. Without a sample at zero, what a process has counted
until its first export is the first sample of all, or looks like the last one of an earlier process with the same
instance id. Both points are in one request: requests may overtake each other on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Histogram,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)

from otel_ml._telemetry._yielding import in_steps
from otel_ml._telemetry.series_points import Row, SeriesPoints

OLDEST_NS: Final = 300 * 10**9
"""How long before its first point a series is shown at zero at most: receivers refuse what is too old."""
STEP_NS: Final = 10**6
"""Prometheus keeps milliseconds, and refuses two values of a series at the same time."""

_Key = tuple[Any, int]
"""What identifies a series of a metric, and its start: with another one a series begins again."""


class ZeroPoints:
    """Knows which series the receiver of one reader has seen, and adds a point at zero for those that are new to it.

    Also for those that are at zero: rules read a series of a single point as absent.

    Args:
        start_ns: When every series of this process was at zero.
        includes: Returns whether the metric of this name counts from the start of this process.
        forgets: Whether a series that is missing from a collection begins again at zero.
    """

    def __init__(
        self, start_ns: int, *, includes: Callable[[str], bool] = lambda _: True, forgets: bool = False
    ) -> None:
        self._zero_ns = start_ns
        """When a series that is new at the next collection was at zero."""
        self._includes = includes
        self._forgets = forgets
        self._known: dict[tuple[str, str], _Known] = {}
        """By the names of scope and metric."""
        self._exported: dict[tuple[str, str], _Known] = {}
        """Those of the last collection."""

    def add(self, scopes: Sequence[ScopeMetrics]) -> list[ScopeMetrics]:
        """Returns the scopes of one collection, with a point at zero before the point of each series that is new."""
        self._exported = {}
        added = [
            replace(scope, metrics=[self._metric(scope.scope.name, metric) for metric in scope.metrics])
            for scope in scopes
        ]
        if self._forgets:
            self._known = self._exported
        times = [_latest(metric.data.data_points) for scope in scopes for metric in scope.metrics]
        self._zero_ns = max([self._zero_ns, *(time + STEP_NS for time in times)])
        return added

    def confirm(self) -> None:
        """Counts the series of the last collection as seen: the receiver has given a final answer."""
        for known in self._exported.values():
            known.confirm()

    def _metric(self, scope: str, metric: Metric) -> Metric:
        data: Any = metric.data
        if not _is_cumulative(data) or not self._includes(metric.name):
            return metric
        name = (scope, metric.name)
        known = self._exported[name] = self._known.setdefault(name, _Known())
        given = data.data_points
        if isinstance(given, SeriesPoints):
            points: Any = SeriesPoints(known.add(_ROW, given.rows, self._zero_ns, forgets=self._forgets))
        else:
            points = known.add(_POINT, given, self._zero_ns, forgets=self._forgets)
        return replace(metric, data=replace(data, data_points=points))


class _Form(NamedTuple):
    """How to read the points of a metric."""

    key: Callable[[Any], _Key]
    times: Callable[[Any], tuple[int, int]]
    """Returns start and time."""
    at_zero: Callable[[Any, int], Any]
    """Returns the point of the same series at this time, when it was at zero."""


class _Known:
    """The series of one metric that the receiver has seen."""

    def __init__(self) -> None:
        self._seen: set[_Key] = set()
        self._pending: dict[_Key, int] = {}
        """When the new ones of the last collection were at zero. This stays the same until the receiver answers."""

    def confirm(self) -> None:
        self._seen.update(self._pending)
        self._pending = {}

    def add(self, form: _Form, points: Sequence[Any], earliest_ns: int, *, forgets: bool) -> list[Any]:
        """Returns the points of one collection, and before those of new series one at zero."""
        former, self._pending = self._pending, {}
        seen, present, added = self._seen, set[_Key](), list[Any]()
        for step in in_steps(points):
            keys = list(map(form.key, step))
            present.update(keys)
            if seen.issuperset(keys):
                added += step
                continue
            for key, point in zip(keys, step, strict=True):
                if key not in seen:
                    start_ns, time_ns = form.times(point)
                    zero_ns = max(former.get(key) or _time_at_zero(start_ns, time_ns, earliest_ns), time_ns - OLDEST_NS)
                    self._pending[key] = zero_ns
                    if zero_ns // STEP_NS < time_ns // STEP_NS:
                        added.append(form.at_zero(point, zero_ns))
                added.append(point)
        if forgets and len(present) < len(seen) + len(self._pending):
            self._seen = seen & present
        return added


def _is_cumulative(data: Any) -> bool:
    if isinstance(data, Sum) and not data.is_monotonic:
        return False
    return (
        isinstance(data, Sum | Histogram | ExponentialHistogram)
        and data.aggregation_temporality is AggregationTemporality.CUMULATIVE
    )


def _time_at_zero(start_ns: int, time_ns: int, earliest_ns: int) -> int:
    """Returns when the series of a point was at zero: at its start, unless that is the time of the point itself."""
    return max(earliest_ns, start_ns) if start_ns // STEP_NS < time_ns // STEP_NS else earliest_ns


def _latest(points: Sequence[Any]) -> int:
    """Returns the latest time of some points; rows of one collection have the same."""
    if isinstance(points, SeriesPoints):
        return points.rows[-1][2] if points.rows else 0
    return max((point.time_unix_nano for point in points), default=0)


def _key(point: Any) -> _Key:
    return repr(point.attributes), point.start_time_unix_nano


def _times(point: Any) -> tuple[int, int]:
    return point.start_time_unix_nano, point.time_unix_nano


def _at_zero(point: Any, time_ns: int) -> Any:
    times = {"start_time_unix_nano": min(point.start_time_unix_nano, time_ns), "time_unix_nano": time_ns}
    if isinstance(point, NumberDataPoint):
        return replace(point, **times, value=type(point.value)(), exemplars=[])
    empty: dict[str, Any] = {"count": 0, "sum": 0.0, "min": None, "max": None, "exemplars": []}
    if hasattr(point, "bucket_counts"):
        return replace(point, **times, **empty, bucket_counts=[0] * len(point.bucket_counts))
    none = replace(point.positive, bucket_counts=[])
    return replace(point, **times, **empty, zero_count=0, positive=none, negative=none)


def _row_at_zero(row: Row, time_ns: int) -> Row:
    series, start_ns, _, value = row
    return series, min(start_ns, time_ns), time_ns, type(value)()


_POINT: Final = _Form(_key, _times, _at_zero)
_ROW: Final = _Form(itemgetter(0, 1), itemgetter(1, 2), _row_at_zero)
