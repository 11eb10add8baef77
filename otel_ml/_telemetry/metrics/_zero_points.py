"""Points at zero, exported together with the first point of a series, so that back ends see its first counts as a rise.

Prometheus computes an increase between two samples of a series. Without a sample at zero, what a process has counted
until its first export is the first sample of all, or looks like the last one of an earlier process with the same
instance id. Both points are in one request: requests may overtake each other on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Histogram,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)

from otel_ml._telemetry._yielding import yield_to_service

OLDEST_NS: Final = 300 * 10**9
"""How long before its first point a series is shown at zero at most: receivers refuse what is too old."""
STEP_NS: Final = 10**6
"""Prometheus keeps milliseconds, and refuses two values of a series at the same time."""

_Series = tuple[str, str, str, int]
"""Names of scope and metric, the attributes as text, and the start: with another one a series begins again."""


class ZeroPoints:
    """Knows which series the receiver of one reader has seen, and adds a point at zero for those that are new to it.

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
        self._seen: set[_Series] = set()
        self._present: set[_Series] = set()
        """The series of the last collection."""
        self._pending: dict[_Series, int] = {}
        """When those of them that are new were at zero. This stays the same until the receiver answers."""

    def add(self, scopes: Sequence[ScopeMetrics]) -> list[ScopeMetrics]:
        """Returns the scopes of one collection, with a point at zero before the point of each series that is new."""
        former, self._pending, self._present = self._pending, {}, set()
        added = [
            replace(scope, metrics=[self._metric(scope.scope.name, metric, former) for metric in scope.metrics])
            for scope in scopes
        ]
        times = [
            point.time_unix_nano for scope in scopes for metric in scope.metrics for point in metric.data.data_points
        ]
        self._zero_ns = max([self._zero_ns, *(time + STEP_NS for time in times)])
        if self._forgets:
            self._seen &= self._present
        return added

    def confirm(self) -> None:
        """Counts the series of the last collection as seen: the receiver has given a final answer."""
        self._seen.update(self._pending)
        self._pending = {}

    def _metric(self, scope: str, metric: Metric, former: dict[_Series, int]) -> Metric:
        data: Any = metric.data
        if not _is_cumulative(data) or not self._includes(metric.name):
            return metric
        yield_to_service()
        points: list[Any] = []
        for point in data.data_points:
            series = (scope, metric.name, repr(point.attributes), point.start_time_unix_nano)
            self._present.add(series)
            if series not in self._seen:
                known_ns = former.get(series) or _time_at_zero(point, self._zero_ns)
                zero_ns = max(known_ns, point.time_unix_nano - OLDEST_NS)
                is_zero = not (point.value if isinstance(point, NumberDataPoint) else point.count)
                self._pending[series] = point.time_unix_nano if is_zero else zero_ns
                if not is_zero and zero_ns // STEP_NS < point.time_unix_nano // STEP_NS:
                    points.append(_at_zero(point, zero_ns))
            points.append(point)
        return replace(metric, data=replace(data, data_points=points))


def _is_cumulative(data: Any) -> bool:
    if isinstance(data, Sum) and not data.is_monotonic:
        return False
    return (
        isinstance(data, Sum | Histogram | ExponentialHistogram)
        and data.aggregation_temporality is AggregationTemporality.CUMULATIVE
    )


def _time_at_zero(point: Any, earliest_ns: int) -> int:
    """Returns when the series of a point was at zero: at its start, unless that is the time of the point itself."""
    start_ns: int = point.start_time_unix_nano
    return max(earliest_ns, start_ns) if start_ns // STEP_NS < point.time_unix_nano // STEP_NS else earliest_ns


def _at_zero(point: Any, time_ns: int) -> Any:
    """Returns the point of the same series when it was at zero."""
    times = {"start_time_unix_nano": min(point.start_time_unix_nano, time_ns), "time_unix_nano": time_ns}
    if isinstance(point, NumberDataPoint):
        return replace(point, **times, value=type(point.value)(), exemplars=[])
    empty: dict[str, Any] = {"count": 0, "sum": 0.0, "min": None, "max": None, "exemplars": []}
    if hasattr(point, "bucket_counts"):
        return replace(point, **times, **empty, bucket_counts=[0] * len(point.bucket_counts))
    none = replace(point.positive, bucket_counts=[])
    return replace(point, **times, **empty, zero_count=0, positive=none, negative=none)
