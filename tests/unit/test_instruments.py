"""From a row of `semconv` to an instrument."""

from __future__ import annotations

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ml import _instruments
from otel_ml.semconv import Metric

COUNTER = Metric("a.count", "counter", "{thing}", "Things.")
ACTIVE = Metric("a.active", "updowncounter", "{thing}", "Things now.")
DURATION = Metric("a.duration", "histogram", "s", "Time.", (0.5, 1.0))
LEVEL = Metric("a.level", "gauge", "1", "Level.")


def collected(use):
    reader = InMemoryMetricReader()
    use(MeterProvider([reader]).get_meter("test"))
    (metric,) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.data.data_points
    monotonic = getattr(metric.data, "is_monotonic", None)
    return metric.name, metric.unit, metric.description, monotonic, getattr(point, "value", None), point


@pytest.mark.parametrize(("metric", "monotonic"), [(COUNTER, True), (ACTIVE, False)])
def test_a_sum_is_created(metric, monotonic):
    """Counters and up-down counters have the name, unit and description of their row."""
    found = collected(lambda meter: _instruments.create(meter, metric).add(3))

    assert found[:5] == (metric.name, metric.unit, metric.description, monotonic, 3)


def test_a_histogram_is_created():
    """A histogram has the buckets of its row."""
    *found, point = collected(lambda meter: _instruments.create(meter, DURATION).record(0.7))

    assert (found[:3], point.explicit_bounds, point.bucket_counts) == (
        ["a.duration", "s", "Time."],
        (0.5, 1.0),
        (0, 1, 0),
    )


@pytest.mark.parametrize(("metric", "monotonic"), [(COUNTER, True), (ACTIVE, False), (LEVEL, None)])
def test_a_callback_makes_it_observable(metric, monotonic):
    """With a callback the instrument is the observable one of the same kind."""
    found = collected(lambda meter: _instruments.create(meter, metric, lambda _: [Observation(2)]))

    assert found[:5] == (metric.name, metric.unit, metric.description, monotonic, 2)
