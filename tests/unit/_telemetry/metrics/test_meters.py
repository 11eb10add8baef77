"""The meter provider in front of the SDK's."""

from __future__ import annotations

import numpy as np
import pytest
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ml import _guard
from otel_ml._telemetry.metrics._instrument_input import clean_attributes, finite_number
from otel_ml._telemetry.metrics._meters import Meters


class Readers:
    def __init__(self):
        self.made = []

    def make(self):
        self.made.append(InMemoryMetricReader())
        return MeterProvider([self.made[-1]], shutdown_on_exit=False)

    def values(self):
        data = self.made[-1].get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        points = [(m.name, point) for scope in scopes for m in scope.metrics for point in m.data.data_points]
        return {name: point.count if hasattr(point, "count") else point.value for name, point in points}


@pytest.fixture
def readers():
    return Readers()


def test_every_instrument_counts_and_can_be_reset(readers):
    """All seven kinds reach the SDK; after a reset the same objects count from zero in the new provider."""
    meters = Meters(readers.make)
    meter = meters.get_meter("user", "1")
    counter, updown = meter.create_counter("counter"), meter.create_up_down_counter("updown")
    histogram, gauge = meter.create_histogram("histogram", "s", "d"), meter.create_gauge("gauge")
    meter.create_observable_counter("seen", [lambda _: [Observation(5)]])
    meter.create_observable_up_down_counter("level", [lambda _: [Observation(-5)]])
    meter.create_observable_gauge("now", [lambda _: [Observation(0.5)]])

    def record():
        counter.add(2)
        updown.add(-1)
        histogram.record(0.1)
        gauge.set(7)

    record()
    record()
    first = readers.values()
    meters.reset_after_fork()
    record()

    assert first == {"counter": 4, "updown": -2, "histogram": 2, "gauge": 7, "seen": 5, "level": -5, "now": 0.5}
    assert readers.values() == {
        "counter": 2,
        "updown": -1,
        "histogram": 1,
        "gauge": 7,
        "seen": 5,
        "level": -5,
        "now": 0.5,
    }
    assert isinstance(counter, metrics.Counter)


def test_the_same_name_is_the_same_instrument(readers):
    """As in the SDK, the same arguments return the same meter or instrument."""
    meters = Meters(readers.make)

    assert meters.get_meter("a") is meters.get_meter("a")
    assert meters.get_meter("a") is not meters.get_meter("a", "2")
    assert meters.get_meter("a").create_counter("c") is meters.get_meter("a").create_counter("c")


def test_invalid_measurements_are_refused_and_counted(readers):
    """A value that is not a finite number leaves the sum unchanged, raises nothing and counts as an internal error."""
    counter = Meters(readers.make).get_meter("a").create_counter("c")
    counter.add(1)
    for value in ("x", None, float("nan"), 2**63, [1]):
        counter.add(value)

    assert readers.values() == {"c": 1}
    assert _guard.counts() == {"measurement": 5}


@pytest.mark.parametrize(
    ("value", "clean"),
    [(1, 1), (1.5, 1.5), (True, 1), (np.float32(0.5), 0.5), (np.uint8(255), 255), ("1", None), (2**63, None)],
)
def test_finite_numbers(value, clean):
    """The result is a builtin number, of the same kind where possible."""
    assert (finite_number(value), type(finite_number(value))) == (clean, type(clean))


def test_clean_attributes_are_passed_on_unchanged():
    """Clean attributes are not copied; control characters, surrogates, objects and long texts are replaced."""
    clean = {"a": "b", "n": 1, "f": 0.5, "t": True}

    assert clean_attributes(clean) is clean
    assert clean_attributes({"a\n": "\ud800", "o": object(), "l": ["x", 1]}) == {"a ": "\ufffd", "l": ["x", 1]}
    assert len(clean_attributes({"a": "x" * 5000})["a"]) == 1024
    assert clean_attributes(None) is None
    assert clean_attributes("text") is None


def test_a_counter_that_is_observed_is_known_whatever_its_meter(readers):
    """Also one that the service creates later with a meter of an ended provider: it may count from before the start."""
    ended, current = Meters(readers.make), Meters(readers.make)
    meter = ended.get_meter("service")
    current.take_over(ended, ended.get_meter("own"))
    meter.create_observable_counter("seen", [lambda _: []])
    meter.create_counter("jobs")

    assert [current.is_observable_counter(name) for name in ("seen", "jobs")] == [True, False]
