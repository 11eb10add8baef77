"""The meter provider in front of the SDK's."""

from __future__ import annotations

import numpy as np
import pytest
from opentelemetry import metrics
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ml import _guard
from otel_ml._telemetry.metrics._instrument_input import amount, labels
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


def test_every_instrument_counts_and_starts_anew(readers):
    """All seven kinds reach the SDK; after a renewal the same objects count from zero in the new provider."""
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
    meters.renew_after_fork()
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
    """As in the SDK: a meter or instrument that is asked for again is the one that is there."""
    meters = Meters(readers.make)

    assert meters.get_meter("a") is meters.get_meter("a")
    assert meters.get_meter("a") is not meters.get_meter("a", "2")
    assert meters.get_meter("a").create_counter("c") is meters.get_meter("a").create_counter("c")


def test_poison_is_refused_and_counted(readers):
    """What is no number leaves the sum as it is, raises nothing and shows as an internal error."""
    counter = Meters(readers.make).get_meter("a").create_counter("c")
    counter.add(1)
    for poison in ("x", None, float("nan"), 2**63, [1]):
        counter.add(poison)

    assert readers.values() == {"c": 1}
    assert _guard.counts() == {"measurement": 5}


@pytest.mark.parametrize(
    ("value", "clean"),
    [(1, 1), (1.5, 1.5), (True, 1), (np.float32(0.5), 0.5), (np.uint8(255), 255), ("1", None), (2**63, None)],
)
def test_amounts(value, clean):
    """Builtin numbers come out, of the same kind where there is one."""
    assert (amount(value), type(amount(value))) == (clean, type(clean))


def test_clean_labels_are_passed_on_as_they_are():
    """The everyday case copies nothing; control characters, surrogates, objects and long texts are mended."""
    clean = {"a": "b", "n": 1, "f": 0.5, "t": True}

    assert labels(clean) is clean
    assert labels({"a\n": "\ud800", "o": object(), "l": ["x", 1]}) == {"a ": "\ufffd", "l": ["x", 1]}
    assert len(labels({"a": "x" * 5000})["a"]) == 1024
    assert labels(None) is None
    assert labels("text") is None
