"""The start of the points of cells, from one collection to the next."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource

from otel_ml import semconv
from otel_ml._observed_series import ObservedSeries
from otel_ml._telemetry.metrics._observed_family import ObservedFamily
from otel_ml._telemetry.metrics._store import CellStore
from otel_ml._telemetry.predictions._metric_family import PredictionFamily
from otel_ml._telemetry.predictions.model_cells import ModelIdentity
from otel_ml.testing import FixedClock

RESOURCE = Resource({})
IDENTITY = ModelIdentity("m", "1", "primary")


class Store:
    """A store of one model under a fixed clock."""

    def __init__(self, models: int = 8) -> None:
        self.clock = FixedClock()
        self.family = PredictionFamily(models)
        self.store = CellStore(RESOURCE, (self.family,), self.clock.time_ns)
        self.begun = self.clock.time_ns()

    def fail(self) -> None:
        """Counts one failed call, and moves the clock by a second."""
        self.family.cells(IDENTITY).mine().failure("ValueError").record(0.1)
        self.clock.advance(1.0)

    def read(self, merge) -> list[tuple[str, float, float, int]]:
        """Name, start and end in seconds since the beginning, and count, of errors and durations."""
        (entry,) = merge(MetricsData([])).resource_metrics
        return [
            (
                metric.name,
                (point.start_time_unix_nano - self.begun) / 1e9,
                (point.time_unix_nano - self.begun) / 1e9,
                getattr(point, "count", None) or getattr(point, "value", 0),
            )
            for scope in entry.scope_metrics
            for metric in scope.metrics
            if metric.name in {semconv.PREDICTION_ERRORS.name, semconv.PREDICTION_DURATION.name}
            for point in metric.data.data_points
            if (point.attributes or {}).get(semconv.ERROR_TYPE)
        ]


@pytest.mark.parametrize(("delta", "second"), [(False, (0.0, 3.0, 3)), (True, (1.0, 3.0, 2))])
def test_a_delta_begins_where_the_last_one_ended(delta: bool, second: tuple[float, float, int]) -> None:
    """Cumulative points keep their start; a delta covers the time since the last collection of its reader."""
    store = Store()
    merge = store.store.view(delta=delta).merge
    store.fail()
    first = store.read(merge)
    store.fail()
    store.fail()

    assert {point[1:] for point in first} == {(0.0, 1.0, 1)}
    assert {point[1:] for point in store.read(merge)} == {second}


def test_the_points_of_a_forked_child_begin_at_the_fork() -> None:
    """The child counts from zero, and its points start when it does."""
    store = Store()
    merge = store.store.view().merge
    store.fail()
    store.store.reset_after_fork(RESOURCE)
    store.fail()

    assert {point[1:] for point in store.read(merge)} == {(1.0, 2.0, 1)}


class Handle:
    """What keeps the cells of a model in use."""


def test_a_model_that_comes_back_rises_from_zero_again() -> None:
    """Its former cells were released after their last export, and the new ones count from zero."""
    store = Store(models=2)
    view = store.store.view(from_zero=lambda _: True)
    others = [Handle(), Handle()]

    def fail_and_read() -> list[tuple[float, int]]:
        handle = Handle()
        store.family.cells(IDENTITY, handle).mine().failure("ValueError").record(0.1)
        store.clock.advance(1.0)
        del handle
        points = store.read(view.merge)
        view.confirm()
        return [(end, count) for name, _, end, count in points if name == semconv.PREDICTION_ERRORS.name]

    first = fail_and_read()
    for number, other in enumerate(others):
        store.family.cells(ModelIdentity(f"other{number}", "1", "primary"), other)
    store.read(view.merge)
    view.confirm()
    others.clear()
    del other

    assert (first, fail_and_read()) == ([(0.0, 0), (1.0, 1)], [(1.001, 0), (2.0, 1)])


def test_the_line_about_a_folded_model_is_logged_without_a_lock() -> None:
    """A log handler of the service may make predictions, which need the cells of a model."""
    family = PredictionFamily(1)
    kept = Handle()
    family.cells(IDENTITY, kept)
    is_free = []

    class Predicting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            is_free.append(family._lock.acquire(blocking=False))
            family._lock.release()

    handler = Predicting()
    logging.getLogger("otel_ml").addHandler(handler)
    try:
        family.cells(ModelIdentity("m", "2", "primary"), Handle())
    finally:
        logging.getLogger("otel_ml").removeHandler(handler)

    assert is_free == [True]


def test_a_model_that_came_back_begins_at_the_fork_in_a_child() -> None:
    """The later start of its series is the parent's."""
    store = Store(models=1)
    view = store.store.view()
    store.family.cells(ModelIdentity("gone", "1", "primary"), Handle())
    store.family.cells(ModelIdentity("gone", "2", "primary"), Handle())
    store.read(view.merge)
    kept = Handle()
    store.family.cells(IDENTITY, kept)
    store.clock.advance(1.0)
    store.store.reset_after_fork(RESOURCE)
    store.fail()

    assert {point[1:] for point in store.read(store.store.view().merge)} == {(1.0, 2.0, 1)}


class Bins:
    """A source of one series, whose value can be set; None hides it."""

    def __init__(self) -> None:
        self.series = ObservedSeries({semconv.FEATURE_BIN: "1"})
        self.value: int | None = 0

    def read(self):
        yield semconv.FEATURE_VALUES, [] if self.value is None else [(self.series, self.value)]

    def release(self) -> None:
        pass


def test_deltas_of_known_series() -> None:
    """Each is what was added since the last collection; a hidden series goes on where it stopped, a lower sum begins."""
    clock, family, source = FixedClock(), ObservedFamily(), Bins()
    family.add(source)
    merge = CellStore(RESOURCE, (family,), clock.time_ns).view(delta=True).merge
    begun = clock.time_ns()
    found = []
    for value in (3, 3, None, 8, 2):
        source.value = value
        clock.advance(1.0)
        (entry,) = merge(MetricsData([])).resource_metrics
        found.append(
            [
                ((point.start_time_unix_nano - begun) / 1e9, (point.time_unix_nano - begun) / 1e9, point.value)
                for scope in entry.scope_metrics
                for metric in scope.metrics
                for point in metric.data.data_points
            ]
        )

    assert found == [[(0, 1, 3)], [(1, 2, 0)], [], [(2, 4, 5)], [(0, 5, 2)]]
