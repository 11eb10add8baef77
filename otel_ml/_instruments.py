"""From a row of `semconv` to an instrument of the OpenTelemetry API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_ml.semconv import Metric

Callback = Callable[[CallbackOptions], Iterable[Observation]]


def create(meter: Meter, metric: Metric, callback: Callback | None = None) -> Any:
    """Creates the instrument of a metric: an observable one if a callback gives its values.

    Returns:
        A `Counter`, `UpDownCounter` or `Histogram`; annotate it where it is kept.
    """
    name, unit, description = metric.name, metric.unit, metric.description
    if callback is not None:
        make: dict[str, Callable[..., Any]] = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }
        return make[metric.instrument](name, [callback], unit, description)
    if metric.instrument == "histogram":
        return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=metric.buckets)
    if metric.instrument == "updowncounter":
        return meter.create_up_down_counter(name, unit, description)
    return meter.create_counter(name, unit, description)
