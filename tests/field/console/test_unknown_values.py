"""What senders leave out or cannot say: times, levels, numbers."""

from __future__ import annotations

import math
import time

import pytest
from console_feed import logs, metrics, now, prediction, record, span, traces
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

SECOND = 10**9
DELTA, CUMULATIVE = 1, 2


def charts(console, name):
    """The figures of the only series of a metric."""
    found = console.get(f"/api/series?name={name}")
    return {
        figure: [value for value in values if value is not None]
        for figure, values in found["metrics"][0]["series"][0]["figures"].items()
    }


def exponential(count, *, at=None, temporality=CUMULATIVE, **parts):
    """A histogram with the buckets (1, 2], (2, 4], (4, 8]."""
    point = ExponentialHistogramDataPoint(
        count=count,
        sum=3.0 * count,
        scale=0,
        start_time_unix_nano=now() - 60 * SECOND,
        time_unix_nano=at or now(),
        **parts,
    )
    return ExponentialHistogram(data_points=[point], aggregation_temporality=temporality)


def test_a_record_without_a_time_has_that_of_its_arrival(console):
    """A span, a log record and a point whose time is unknown are among the newest (madesroches/micromegas#1124)."""
    begin = time.time_ns()
    point = NumberDataPoint(as_double=1.0)
    console.feed(
        traces(span("no clock", trace="a1" * 16, start=0, seconds=0), service="no-clock"),
        logs(record("no clock", at=0), service="no-clock"),
        metrics(Metric(name="no.clock", gauge=Gauge(data_points=[point]))),
    )
    assert console.get("/api/metrics?name=no.clock")["points"][0]["time_ns"] >= begin
    for page in ("/requests?service=no-clock", "/logs?service=no-clock"):
        shown = console.send(page).body.decode()
        assert shown.count("no clock") == 1
        assert "1970" not in shown


def test_points_without_a_time_are_not_taken_for_one(console):
    """Two exports of such a point are two points, not a delivery and its repetition (madesroches/micromegas#1124)."""
    for value in (1.0, 2.0):
        console.feed(metrics(Metric(name="twice", gauge=Gauge(data_points=[NumberDataPoint(as_double=value)]))))
    assert [point["value"] for point in console.get("/api/metrics?name=twice")["points"]] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("ERROR", "error"),
        (" Warning ", "warn"),
        ("Critical", "fatal"),
        ("information", "info"),
        ("dbg", "debug"),
        ("E", "error"),
    ],
)
def test_a_level_that_only_has_a_name_has_its_number(console, text, level):
    """The level of a record without a number is what its text says (grafana/docker-otel-lgtm#578)."""
    made = record("of a name", severity=0)
    made.severity_text = text
    console.feed(logs(made, service="names"))
    found = console.get(f"/api/logs?level={level}&service=names")["logs"]
    assert text in [row["severity_text"] for row in found]


def test_a_number_of_a_level_counts_more_than_its_text(console):
    """A text like 200 says nothing of the level (SigNoz/signoz#4970)."""
    made = record("number and text", severity=17)
    made.severity_text = "200"
    console.feed(logs(made, service="numbers"))
    assert len(console.get("/api/logs?level=error&service=numbers")["logs"]) == 1


def test_the_colours_of_a_terminal_are_not_in_the_text(console):
    """A line that was coloured for a terminal reads like any other (kubernetes-retired/dashboard#6774)."""
    console.feed(logs(record("\x1b[32mINFO\x1b[0m: \x1b[38;5;208mready\x1b[0m"), service="colours"))
    assert console.get("/api/logs?service=colours")["logs"][0]["body"] == "INFO: ready"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_breaks_no_page(console, value):
    """Pages and API show the other values of the metric or prediction (G-Research/fasttrackml#435)."""
    name = f"loss.{value}"
    given = [(value, now() - 2 * SECOND), (0.5, now() - SECOND), (value, now())]
    points = [NumberDataPoint(as_double=each, time_unix_nano=at) for each, at in given]
    total = [
        NumberDataPoint(as_double=each, time_unix_nano=at, start_time_unix_nano=now() - 60 * SECOND)
        for each, at in given
    ]
    console.feed(
        metrics(
            Metric(name=name, gauge=Gauge(data_points=points)),
            Metric(name=f"total.{value}", sum=Sum(
                data_points=total, aggregation_temporality=CUMULATIVE, is_monotonic=True
            )),
        ),
        logs(prediction(f"p-{value}", score=value, features={"age": str(value)})),
    )  # fmt: skip
    assert charts(console, name)["value"] == [0.5]
    for page in (
        f"/metrics?name={name}", f"/metrics?name=total.{value}", "/", "/metrics", "/predictions", f"/predictions/p-{value}",
        "/model?model=fraud", "/data?model=fraud", "/performance?model=fraud", "/report?model=fraud", "/resources",
        "/api/predictions", "/api/series?name=" + name, "/api/export/predictions?format=csv",
    ):  # fmt: skip
        assert (page, console.send(page).status) == (page, 200)


def test_a_delta_whose_begin_is_unknown_has_no_rate_since_1970(console):
    """A first delta without a start gives no rate, the second one counts since the first (SigNoz/signoz#2505)."""
    points = [NumberDataPoint(as_int=5, time_unix_nano=now() - at * SECOND) for at in (20, 10)]
    metric = Metric(name="d", sum=Sum(data_points=points, aggregation_temporality=DELTA, is_monotonic=True))
    console.feed(metrics(metric))
    assert charts(console, "d") == {"rate": [0.5]}


def test_deltas_of_one_step_count_together(console):
    """A step of a chart has all deltas that fall into it, and their percentiles (microsoft/aspire#6239)."""
    points = [
        HistogramDataPoint(
            count=4, sum=8.0, bucket_counts=[0, 4, 0], explicit_bounds=[1.0, 3.0],
            start_time_unix_nano=now() - (at + 10) * SECOND, time_unix_nano=now() - at * SECOND,
        )
        for at in (20, 10, 0)
    ]  # fmt: skip
    metric = Metric(name="dh", histogram=Histogram(data_points=points, aggregation_temporality=DELTA))
    console.feed(metrics(metric))
    window = f"since={(now() - 40 * SECOND) / 1e9}&until={(now() + SECOND) / 1e9}&steps=1"
    found = console.get(f"/api/series?name=dh&{window}")["metrics"][0]["series"][0]["figures"]
    assert (found["rate"], found["mean"], found["p50"]) == ([0.4], [2.0], [2.0])


def test_exponential_histograms_have_percentiles(console):
    """Percentiles come from what was observed between two points, also if the buckets grew (microsoft/aspire#6239)."""
    first = exponential(2, at=now() - SECOND, positive={"offset": 1, "bucket_counts": [2]})
    second = exponential(6, positive={"offset": 0, "bucket_counts": [4, 2]})
    console.feed(
        metrics(Metric(name="eh", exponential_histogram=first)),
        metrics(Metric(name="eh", exponential_histogram=second)),
    )
    assert charts(console, "eh")["p50"][-1] == 1.5
    assert "Percentiles" in console.send("/metrics?name=eh").body.decode()


def test_an_exponential_histogram_has_values_of_both_signs(console):
    """Buckets of negative values and of zero lie below those of positive ones (microsoft/aspire#6239)."""
    buckets = {"negative": {"offset": 0, "bucket_counts": [4]}, "positive": {"offset": 0, "bucket_counts": [4]}}
    made = exponential(100, zero_count=92, **buckets, temporality=DELTA)
    console.feed(metrics(Metric(name="signs", exponential_histogram=made)))
    figures = charts(console, "signs")
    assert -1 < figures["p50"][0] < 0
    assert 1 < figures["p99"][0] < 2


def test_a_scale_that_changed_gives_no_percentiles_of_that_step(console):
    """Between buckets of two widths it is unknown which observations are new (microsoft/aspire#6239)."""
    wide = exponential(4, positive={"offset": 0, "bucket_counts": [2, 2]})
    narrow = exponential(2, at=now() - SECOND, positive={"offset": 5, "bucket_counts": [2]})
    narrow.data_points[0].scale = 2
    console.feed(
        metrics(Metric(name="w", exponential_histogram=narrow)), metrics(Metric(name="w", exponential_histogram=wide))
    )
    assert charts(console, "w").keys() == {"rate", "mean"}


def test_a_duration_that_is_unknown_is_not_0(console):
    """A span that never ended has no duration, and its service no percentiles (elastic/kibana#255142)."""
    made = span("never ends", trace="a2" * 16, own="a2" * 8)
    made.end_time_unix_nano = 0
    console.feed(traces(made, service="never-ends"))
    row = console.get("/api/traces/" + "a2" * 16)["spans"][0]
    assert row["duration"] is None
    assert "0 s / 0 s / 0 s" not in console.send("/").body.decode()


@pytest.mark.parametrize("is_monotonic", [True, False])
def test_a_delta_is_counted_whatever_else_it_says(console, is_monotonic):
    """StatsD's counters arrive as deltas that may fall: they have a rate and one name on all pages, not a level.

    Sources: SigNoz/signoz#12313, SigNoz/signoz#10282.
    """
    name = f"statsd.hits.{is_monotonic}"
    begin = now() - 60 * SECOND
    points = [
        NumberDataPoint(
            as_double=amount,
            start_time_unix_nano=begin + 10 * at * SECOND,
            time_unix_nano=begin + 10 * (at + 1) * SECOND,
        )
        for at, amount in enumerate((20.0, 20.0, -10.0))
    ]
    data = Sum(data_points=points, aggregation_temporality=DELTA, is_monotonic=is_monotonic)
    console.feed(metrics(Metric(name=name, sum=data)))
    assert charts(console, name) == {"rate": [2.0, 2.0, -1.0]}
    for page in (f"/metrics?name={name}&range=5m", "/metrics?text=statsd&range=5m"):
        shown = console.send(page).body.decode()
        assert "counter" in shown
        assert "up-down counter" not in shown


@pytest.mark.parametrize("kind", ["sum", "histogram"])
def test_a_total_that_steps_back_has_no_rate_of_that_step(console, kind):
    """A counter that falls without a new start says nothing about its step; only deltas may be negative (SigNoz/signoz#12313)."""
    begin, name = now() - 60 * SECOND, f"steps.back.{kind}"
    moments = [(total, begin + 10 * at * SECOND) for at, total in enumerate((20, 40, 30, 50), 1)]
    if kind == "sum":
        points = [NumberDataPoint(as_int=n, start_time_unix_nano=begin, time_unix_nano=at) for n, at in moments]
        metric = Metric(name=name, sum=Sum(data_points=points, aggregation_temporality=CUMULATIVE, is_monotonic=True))
    else:
        points = [HistogramDataPoint(count=n, start_time_unix_nano=begin, time_unix_nano=at) for n, at in moments]
        metric = Metric(name=name, histogram=Histogram(data_points=points, aggregation_temporality=CUMULATIVE))
    console.feed(metrics(metric))
    assert charts(console, name)["rate"] == [2.0, 2.0]


def test_a_cumulative_sum_that_may_fall_is_a_level(console):
    """A queue's length is drawn as it is (SigNoz/signoz#10282)."""
    points = [NumberDataPoint(as_double=3.0, start_time_unix_nano=now() - 60 * SECOND, time_unix_nano=now())]
    console.feed(metrics(Metric(name="queue.length", sum=Sum(data_points=points, aggregation_temporality=CUMULATIVE))))
    assert charts(console, "queue.length")["value"] == [3.0]
    assert "up-down counter" in console.send("/metrics?text=queue&range=5m").body.decode()
