"""Points at zero before the first points of a series."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, ScopeMetrics, Sum
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from otlp_receiver import Reply

from otel_ml import semconv
from otel_ml._observed_series import ObservedSeries
from otel_ml._telemetry.metrics._zero_points import OLDEST_NS, ZeroPoints
from otel_ml._telemetry.predictions.model_cells import ModelIdentity
from otel_ml._telemetry.series_points import SeriesPoints

SECOND = 10**9
START = 1_000 * SECOND
CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
IDENTITY = ModelIdentity("m", "1", "primary")


@pytest.fixture(params=["points", "rows"])
def collect(request):
    """Returns a function that adds to a collection, with points of the SDK or with known series."""
    known: dict[str, ObservedSeries] = {}

    def collected(
        zero_points: ZeroPoints,
        seconds: float,
        *,
        temporality: AggregationTemporality = CUMULATIVE,
        is_monotonic: bool = True,
        since: float = 0,
        **values: int,
    ) -> list[tuple[str, float, int]]:
        """Adds to a collection at this time; gives back series, time and value of each point."""
        points: Any = SeriesPoints(
            [
                (
                    known.setdefault(name, ObservedSeries({"class": name})),
                    START + round(since * SECOND),
                    START + round(seconds * SECOND),
                    value,
                )
                for name, value in values.items()
            ]
        )
        if request.param == "points":
            points = list(points)
        metric = Metric("ml.predictions", "", "", Sum(points, temporality, is_monotonic))
        (scope,) = zero_points.add([ScopeMetrics(InstrumentationScope("s"), [metric], "")])
        return [
            (point.attributes["class"], (point.time_unix_nano - START) / SECOND, point.value)
            for point in scope.metrics[0].data.data_points
        ]

    return collected


def test_the_first_counts_of_a_process_rise_from_zero_at_its_start(collect) -> None:
    """A series that has counted nothing is at zero twice, so that its increase is 0 after one export, not absent."""
    assert collect(ZeroPoints(START), 2, a=3, b=0) == [("a", 0, 0), ("a", 2, 3), ("b", 0, 0), ("b", 2, 0)]


def test_a_series_is_shown_at_zero_once(collect) -> None:
    """After the receiver's answer its points are as before; one that was shown at zero just rises."""
    zero_points = ZeroPoints(START)
    collect(zero_points, 2, a=3, b=0)
    zero_points.confirm()

    assert collect(zero_points, 4, a=3, b=1) == [("a", 4, 3), ("b", 4, 1)]


def test_a_later_series_was_at_zero_just_after_the_last_collection(collect) -> None:
    """At the time of the last collection a point of the same series may have been exported."""
    zero_points = ZeroPoints(START)
    collect(zero_points, 2, a=3)
    zero_points.confirm()

    assert collect(zero_points, 4, a=3, b=1) == [("a", 4, 3), ("b", 2.001, 0), ("b", 4, 1)]


@pytest.mark.parametrize("first", [3, 0])
def test_a_lost_answer_changes_no_point(collect, first: int) -> None:
    """The receiver may have taken the request, so the point at zero is repeated as it was."""
    zero_points = ZeroPoints(START)
    collect(zero_points, 2, a=first)

    assert collect(zero_points, 4, a=5) == [("a", 0, 0), ("a", 4, 5)]


def test_a_point_at_zero_is_never_old(collect) -> None:
    """Receivers refuse old points, as after a night in which the process was frozen."""
    zero_points = ZeroPoints(START)
    bound = OLDEST_NS / SECOND

    assert collect(zero_points, 3600, a=1) == [("a", 3600 - bound, 0), ("a", 3600, 1)]
    assert collect(zero_points, 7200, a=1) == [("a", 7200 - bound, 0), ("a", 7200, 1)]


@pytest.mark.parametrize(("since", "zero"), [(1.5, 1.5), (2.0, 0)])
def test_an_instrument_was_at_zero_when_it_was_first_used(collect, since: float, zero: float) -> None:
    """There a series of the SDK starts; if that is the time of the point itself, the process was at zero before."""
    assert collect(ZeroPoints(START), 2, since=since, a=1) == [("a", zero, 0), ("a", 2, 1)]


def test_no_two_values_have_the_same_millisecond(collect) -> None:
    """Of two collections within a millisecond the second adds no point."""
    zero_points = ZeroPoints(START)
    collect(zero_points, 2, a=1)
    zero_points.confirm()

    assert collect(zero_points, 2.001, a=1, b=1) == [("a", 2.001, 1), ("b", 2.001, 1)]


@pytest.mark.parametrize(("forgets", "expected"), [(True, [("a", 4.001, 0)]), (False, [])])
def test_a_series_that_was_missing(collect, forgets: bool, expected: list[tuple[str, float, int]]) -> None:
    """Cells that were released begin again at zero; an instrument of the SDK goes on."""
    zero_points = ZeroPoints(START, forgets=forgets)
    collect(zero_points, 2, a=1, b=1)
    zero_points.confirm()
    collect(zero_points, 4, b=1)

    assert collect(zero_points, 6, a=1) == [*expected, ("a", 6, 1)]


@pytest.mark.parametrize("change", [{"temporality": DELTA}, {"is_monotonic": False}])
def test_differences_and_levels_have_no_zero(collect, change: dict[str, object]) -> None:
    """Only a cumulative count rises from zero."""
    assert collect(ZeroPoints(START), 2, a=3, **change) == [("a", 2, 3)]


def test_metrics_that_are_older_than_the_process_are_left_alone(collect) -> None:
    """What the host has counted since it was started is no rise."""
    assert collect(ZeroPoints(START, includes=lambda _: False), 2, a=3) == [("a", 2, 3)]


def points_by_series(receiver, name: str) -> set[int]:
    """How many points the series of a metric have: two if one at zero comes before the first."""
    (kind,) = {metric.WhichOneof("data") for metric in every(receiver) if metric.name == name}
    points = [point for metric in every(receiver) if metric.name == name for point in getattr(metric, kind).data_points]
    for point in points:
        assert point.start_time_unix_nano <= point.time_unix_nano
    return set(Counter(str(point.attributes) for point in points).values())


def every(receiver) -> list:
    return [
        metric
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


@pytest.mark.parametrize("protocol", ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"])
def test_every_kind_of_count_rises_from_zero(make_engine, receiver, protocol) -> None:
    """Counts of predictions, failures, scores, bins, our own health and the user's instruments; no observable count."""
    engine = make_engine(histogram_aggregation=protocol)
    cells = engine.cells(IDENTITY).mine()
    cells.classes["undeclared"] = 1
    cells.failure("ValueError").record(0.1)
    cells.scores.record(0.5)
    meter = engine.meter("user")
    meter.create_counter("orders").add(2)
    meter.create_histogram("sizes").record(2.0)
    meter.create_observable_counter("system.cpu.time", [lambda _: [Observation(1e6)]])
    meter.create_up_down_counter("queue").add(1)
    engine.observe(Bins())

    engine.flush(receiver_deadline())

    predictions = ["ml.predictions", "ml.prediction.errors", "ml.prediction.duration", "ml.prediction.score"]
    names = [*predictions, "ml.feature.values", "orders", "sizes"]
    assert {name: points_by_series(receiver, name) for name in names} == dict.fromkeys(names, {2})
    assert [points_by_series(receiver, name) for name in ("system.cpu.time", "queue")] == [{1}, {1}]


class Bins:
    def read(self):
        return [(semconv.FEATURE_VALUES, [(ObservedSeries({"ml.feature.bin": "1"}), 4)])]

    def release(self) -> None:
        pass


def receiver_deadline() -> float:
    import time

    return time.monotonic() + 10


def test_the_health_counts_rise_from_zero(make_engine, receiver) -> None:
    """Records that were dropped before the first export are a rise as well, although a callback counts them."""
    engine = make_engine()
    engine._outbox.books["traces"].drop_unqueued("queue_full", 3)

    engine.flush(receiver_deadline())

    assert points_by_series(receiver, "otelml.export.dropped") == {2}


def test_an_export_that_fails_is_made_good_with_its_zero(make_engine, receiver) -> None:
    """The point at zero comes again with the next export, and not after that."""
    engine = make_engine()
    engine.cells(IDENTITY).mine().classes["1"] = 1
    receiver.script["metrics"] = [Reply(status=503, stores=False)]
    assert not engine.flush(receiver_deadline())
    for _ in range(2):
        assert engine.flush(receiver_deadline())

    points = [
        [point.as_int for point in metric.sum.data_points]
        for metric in every(receiver)
        if metric.name == "ml.predictions"
    ]
    assert points == [[0, 1], [1]]


def test_the_scrape_page_shows_no_point_twice(make_engine, receiver) -> None:
    """A page has one value of a series."""
    import urllib.request

    engine = make_engine(prometheus_port=0)
    engine.cells(IDENTITY).mine().classes["1"] = 7
    with urllib.request.urlopen(engine.page.address, timeout=60) as response:
        lines = [line for line in response.read().decode().splitlines() if line.startswith("ml_predictions_total")]

    assert [line.rpartition(" ")[2] for line in lines] == ["7.0"]
