"""Metrics that rooms above count themselves, such as the bins of features, as one family."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, cast

from opentelemetry.sdk.metrics.export import ScopeMetrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_ml import _guard, semconv
from otel_ml._telemetry._yielding import STEP, yield_to_service
from otel_ml._telemetry.metrics._points import Window, gauge_metric, histogram_metric, sum_metric
from otel_ml._telemetry.series_points import Row, SeriesPoints

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.metrics.export import Metric

    from otel_ml._observed_series import Observed, ObservedHistogram

    Values = Iterable[Observed] | Iterable[ObservedHistogram]
    """Of a histogram the buckets of each series, of any other metric the value of each."""

SCOPE: Final = InstrumentationScope(f"{semconv.SCOPE}.features")
"""A scope of its own: the encoder keeps only the last of several equal scopes."""


class ObservedSource(Protocol):
    """Metrics that a room above counts itself."""

    def read(self) -> Iterable[tuple[semconv.Metric, Values]]:
        """Yields the values of each metric now; it must not raise. No lock may be held where it yields."""

    def release(self) -> None:
        """Forgets what is no longer in use, after its last values were exported."""


class ObservedFamily:
    """Reads its sources at every collection. An instrument of the SDK would never forget an attribute set."""

    def __init__(self) -> None:
        self._sources: list[ObservedSource] = []

    def add(self, source: ObservedSource) -> None:
        """Exports the source at every collection from now on."""
        self._sources.append(source)

    def collect(self, window: Window, *, is_primary: bool) -> ScopeMetrics | None:
        metrics: list[Metric] = []
        for source in self._sources:
            for metric, observed in source.read():
                yield_to_service()
                found = _guard.call("metrics.observe", _converted, metric, observed, window)
                if found is not None:
                    metrics.append(found)
            if is_primary:
                _guard.call("metrics.release", source.release)
        return ScopeMetrics(SCOPE, metrics, "") if metrics else None

    def reset_after_fork(self) -> None:
        """Does nothing: the sources reset themselves."""


def _converted(metric: semconv.Metric, values: Values, window: Window) -> Metric | None:
    if metric.instrument == "histogram":
        return _histogram(metric, cast("Iterable[ObservedHistogram]", values), window)
    start_ns, now_ns = window.start_ns, window.now_ns
    left = iter(cast("Iterable[Observed]", values))
    rows: list[Row] = []
    while step := [(series, start_ns, now_ns, value) for series, value in islice(left, STEP)]:
        rows += step
        yield_to_service()
    if not rows:
        return None
    points = SeriesPoints(rows)
    return gauge_metric(metric, points) if metric.instrument == "gauge" else sum_metric(metric, points)


def _histogram(metric: semconv.Metric, values: Iterable[ObservedHistogram], window: Window) -> Metric | None:
    points = [window.histogram(series.attributes, buckets, None) for series, buckets in values]
    return histogram_metric(metric, points) if points else None
