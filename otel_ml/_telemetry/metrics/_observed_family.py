"""Metrics that rooms above count themselves, such as the bins of features, as one family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from opentelemetry.sdk.metrics.export import ScopeMetrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_ml import _guard, semconv
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.metrics._points import Window, gauge_metric, sum_metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics.export import Metric

    from otel_ml._telemetry.records import AttributeValue

SCOPE: Final = InstrumentationScope(f"{semconv.SCOPE}.features")
"""A scope of its own: the encoder keeps only the last of several equal scopes."""


class ObservedSource(Protocol):
    """Metrics that a room above counts itself."""

    def read(self) -> Iterable[tuple[semconv.Metric, Iterable[Observation]]]:
        """Yields the values of each metric now; it must not raise."""

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
            for metric, observations in source.read():
                yield_to_service()
                found = _guard.call("metrics.observe", _converted, metric, observations, window)
                if found is not None:
                    metrics.append(found)
            if is_primary:
                _guard.call("metrics.release", source.release)
        return ScopeMetrics(SCOPE, metrics, "") if metrics else None

    def reset_after_fork(self) -> None:
        """Does nothing: the sources reset themselves."""


def _converted(metric: semconv.Metric, observations: Iterable[Observation], window: Window) -> Metric | None:
    points = [
        window.number(cast("Mapping[str, AttributeValue]", one.attributes or {}), one.value) for one in observations
    ]
    if not points:
        return None
    return gauge_metric(metric, points) if metric.instrument == "gauge" else sum_metric(metric, points)
