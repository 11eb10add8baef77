"""Folded cells of HTTP requests as OpenTelemetry data points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.metrics.export import ScopeMetrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_ml import semconv
from otel_ml._telemetry.metrics._points import Window, histogram_metric, sum_metric
from otel_ml._telemetry.requests.cells import active_attributes
from otel_ml._values import line

if TYPE_CHECKING:
    from otel_ml._telemetry.histograms import Folded
    from otel_ml._telemetry.records import AttributeValue
    from otel_ml._telemetry.requests.cells import RequestCells

SCOPE: Final = InstrumentationScope(f"{semconv.SCOPE}.requests")
"""A scope of its own: the encoder keeps only the last of several equal scopes."""


def scope_metrics(folded: Folded[RequestCells], window: Window) -> ScopeMetrics | None:
    """Returns duration and requests in flight in one scope; None when there was no request yet."""
    duration, active = semconv.HTTP_SERVER_REQUEST_DURATION, semconv.HTTP_SERVER_ACTIVE_REQUESTS
    histograms = [
        window.histogram(_cleaned(key.attributes()), cell, folded.exemplars.get(key))
        for key, cell in folded.cells.durations.items()
        if any(cell.counts)
    ]
    numbers = [
        window.number(active_attributes(method, scheme), max(0, cell.started - cell.finished))
        for (method, scheme), cell in folded.cells.active.items()
    ]
    metrics = []
    if histograms:
        metrics.append(histogram_metric(duration, histograms))
    if numbers:
        metrics.append(sum_metric(active, numbers))
    return ScopeMetrics(SCOPE, metrics, "") if metrics else None


def _cleaned(attributes: dict[str, str | int]) -> dict[str, AttributeValue]:
    return {key: line(value) if isinstance(value, str) else value for key, value in attributes.items()}
