"""Metrics over time: rates of counters, levels of gauges, percentiles of histograms.

Sources: open-telemetry/opentelemetry-specification#4184 and SigNoz/signoz#7069 (the first increase of a series is lost),
open-telemetry/opentelemetry-collector-contrib#37717 (a reset), open-telemetry/opentelemetry-collector-contrib#7411 (a first value is no rate).
"""

from __future__ import annotations

import pytest
from console_feed import IDENTITY, counter, metrics, pairs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

from otel_ml import semconv
from otel_ml.console._options import Options
from otel_ml.console.receiving._metric_rows import metric_rows
from otel_ml.console.storage._charts import ChartFilter, charts
from otel_ml.console.storage._store import Database

SECOND = 10**9
START = 1_700_000_000 * SECOND


def figures(console, name, query=""):
    """The figures of the only series, over four steps of 10 s."""
    window = f"since={START // SECOND}&until={START // SECOND + 40}&steps=4"
    found = console.get(f"/api/series?name={name}&{window}&{query}")
    assert (len(found["times"]), found["step"]) == (4, 10.0)
    ((series,),) = [metric["series"] for metric in found["metrics"]]
    return series["figures"]


def count(value, second, **more):
    more.setdefault("start", START)
    return counter(value, at=START + second * SECOND, **more)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param([(5, 5), (15, 15), (35, 35)], [1.0, 1.0, None, 1.0], id="it began in the window"),
        pytest.param([(100, -5), (110, 5), (130, 15)], [1.0, 2.0, None, None], id="it is older and known before"),
        pytest.param([(100, 5), (130, 15)], [None, 3.0, None, None], id="it is older and not known before"),
    ],
)
def test_a_counter_is_a_rate(console, points, expected):
    """A counter shows by how much it rose a second; of one that is older than what is known nothing is invented."""
    start = START if points[0][0] < 100 else START - 1000 * SECOND
    console.feed(metrics(*(count(value, second, start=start) for value, second in points)))
    assert figures(console, "ml.predictions") == {"rate": expected}


def test_a_first_value_right_after_its_start_is_no_rate(console):
    """A process has used CPU before its counter begins: 7 s of it within 10 ms are not 700 CPUs."""
    first = counter(7, at=START + SECOND // 100, start=START)
    console.feed(metrics(first, count(12, 15)))
    assert figures(console, "ml.predictions") == {"rate": [None, pytest.approx(5 / 14.99), None, None]}


def test_a_restart_is_no_fall(console):
    """After a restart a counter counts from its new start on."""
    restart = START + 12 * SECOND
    console.feed(metrics(count(10, 5), count(3, 15, start=restart), count(8, 25, start=restart)))
    assert figures(console, "ml.predictions") == {"rate": [2.0, 1.0, 0.5, None]}


def test_deltas_are_summed(console):
    """A delta counter shows the sum of its points a second."""
    console.feed(metrics(*(count(value, second, temporality=1) for value, second in ((10, 5), (20, 15)))))
    assert figures(console, "ml.predictions") == {"rate": [2.0, 2.0, None, None]}


def test_a_gauge_has_its_mean_and_its_bounds(console):
    """A gauge shows the mean of each step with the smallest and the largest value."""
    points = [
        NumberDataPoint(as_double=value, time_unix_nano=START + second * SECOND)
        for value, second in ((1.0, 1), (3.0, 2), (5.0, 31))
    ]
    console.feed(metrics(Metric(name="system.memory.usage", unit="By", gauge=Gauge(data_points=points))))
    expected = {"value": [2.0, None, None, 5.0], "min": [1.0, None, None, 5.0], "max": [3.0, None, None, 5.0]}
    assert figures(console, "system.memory.usage") == expected
    assert console.get("/api/resources")["metrics"][0]["name"] == "system.memory.usage"


def test_a_histogram_has_percentiles_of_each_step(console):
    """Percentiles are of what was observed in the step, not since the start."""
    counts = (([100, 0, 0], 5, 10.0), ([100, 100, 0], 15, 40.0), ([100, 100, 0], 25, 40.0))
    points = [
        HistogramDataPoint(
            start_time_unix_nano=START, time_unix_nano=START + second * SECOND, count=sum(buckets), sum=total,
            explicit_bounds=[0.1, 0.5], bucket_counts=buckets, attributes=pairs(IDENTITY),
        )
        for buckets, second, total in counts
    ]  # fmt: skip
    metric = Metric(name="ml.prediction.duration", histogram=Histogram(data_points=points, aggregation_temporality=2))
    console.feed(metrics(metric))
    found = figures(console, "ml.prediction.duration")
    assert found["rate"] == [20.0, 10.0, 0.0, None]
    assert found["mean"] == [0.1, 0.3, None, None]
    assert found["p50"] == pytest.approx([0.05, 0.3, None, None])
    assert found["p99"] == pytest.approx([0.099, 0.496, None, None])


def test_labels_choose_series(console):
    """Attributes, service and model choose among the series of a metric; others have a metric of their own."""
    console.feed(
        metrics(
            counter(1, attributes=IDENTITY | {"http.route": "/a"}),
            counter(1, attributes=IDENTITY | {"http.route": "/b"}),
            counter(1, attributes={semconv.MODEL_NAME: "other"}),
        )
    )

    def count_of(query):
        return sum(
            len(metric["series"]) for metric in console.get(f"/api/series?name=ml.predictions&{query}")["metrics"]
        )

    assert [count_of(query) for query in ("", "label=http.route%3D/a", "label=http.route%3D/c", "model=fraud")] == [
        3,
        1,
        0,
        2,
    ]
    assert console.get("/api/series?name=nothing") == {"times": [], "step": None, "metrics": [], "series_omitted": 0}


def test_the_largest_of_many_series_are_drawn():
    """Of more series than an answer has, the largest ones are in it, by their value or by what they observed."""
    routes = [str(number) for number in (3, 1, 4, 2)]
    some = [counter(int(route), at=START, start=START, attributes={"http.route": route}) for route in routes]
    point = HistogramDataPoint(count=7, sum=1.0, time_unix_nano=START, start_time_unix_nano=START)
    some.append(Metric(name="took", histogram=Histogram(data_points=[point], aggregation_temporality=2)))
    store = Database.open(Options())
    store.insert(metric_rows(metrics(*some), START).rows)
    with store.cursor() as cursor:
        found = charts(cursor, ChartFilter(limit=2))
        every = charts(cursor, ChartFilter(limit=5))
    store.close()
    assert [series["attributes"]["http.route"] for series in found["metrics"][0]["series"]] == ["4", "3"]
    assert (found["series_omitted"], every["series_omitted"]) == (3, 0)
    assert [metric["name"] for metric in every["metrics"]] == ["ml.predictions", "took"]
