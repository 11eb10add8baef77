"""Counters of machines, containers and devices, which counted long before this process began.

The SDK gives every series the time at which it was first observed as its start. Prometheus takes a start for a zero, so
that all that a machine has counted since boot would happen in that second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from opentelemetry.sdk.metrics.export import Metric, ScopeMetrics, Sum

from otel_ml import semconv

_NAMES: Final = frozenset(
    metric.name
    for subject in (semconv.host, semconv.container, semconv.gpu)
    for metric in vars(subject).values()
    if isinstance(metric, semconv.Metric) and metric.instrument == "counter"
)


def without_start(scopes: Sequence[ScopeMetrics]) -> list[ScopeMetrics]:
    """Returns the scopes of one collection; the points of these counters have a start of 0, which is an unknown one."""
    return [replace(scope, metrics=[_metric(metric) for metric in scope.metrics]) for scope in scopes]


def _metric(metric: Metric) -> Metric:
    data: Any = metric.data
    if metric.name not in _NAMES or not isinstance(data, Sum):
        return metric
    points = [replace(point, start_time_unix_nano=0) for point in data.data_points]
    return replace(metric, data=replace(data, data_points=points))
