"""The page of a model whose service exports metrics and no events: its charts are those of counters and histograms.

Sources: jaegertracing/jaeger#4035 (the metrics have arrived and the page is empty), jaegertracing/jaeger-ui#2088 (traffic without durations).
"""

from __future__ import annotations

import html
import re
import time

import pytest
from console_feed import IDENTITY, counter, logs, metrics, now, pairs, prediction
from console_server import running
from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram, HistogramDataPoint, Metric

from otel_ml import semconv
from otel_ml.console._options import Options
from otel_ml.console.storage._histograms import histograms_over_time
from otel_ml.console.storage._metric_points import Span

SECOND = 10**9
MINUTE = 60 * SECOND
CANARY = {semconv.MODEL_VERSION: "2.0.0", semconv.MODEL_ROLE: "canary"}


def histogram(metric, buckets, total, bounds, *, at, begin, **of):
    """A cumulative histogram."""
    point = HistogramDataPoint(
        start_time_unix_nano=begin, time_unix_nano=at, count=sum(buckets), sum=total, bucket_counts=buckets,
        explicit_bounds=bounds, attributes=pairs({**IDENTITY, **of}),
    )  # fmt: skip
    return Metric(name=metric.name, histogram=Histogram(data_points=[point], aggregation_temporality=2))


def counts(value, metric=semconv.PREDICTIONS, *, at, begin, **of):
    """A cumulative counter."""
    return counter(value, name=metric.name, at=at, start=begin, attributes={**IDENTITY, **of})


@pytest.fixture(scope="module")
def filled():
    """Two replicas of one version and a canary, over half an hour; one failure has an event."""
    now = time.time_ns()  # not that of the import: the page shows an hour, and the run of all tests takes a third of it
    begin = now - 40 * MINUTE
    early, late = {"at": now - 30 * MINUTE, "begin": begin}, {"at": now - 60 * SECOND, "begin": begin}
    yes, no = {semconv.PREDICTION_CLASS: "yes"}, {semconv.PREDICTION_CLASS: "no"}
    error = {semconv.ERROR_TYPE: "ValueError"}
    duration, score, size = semconv.PREDICTION_DURATION, semconv.PREDICTION_SCORE, semconv.PREDICTION_BATCH_SIZE
    with running(Options()) as started:
        started.feed(
            metrics(
                counts(60, **early, **yes), counts(40, **early, **no), counts(90, **late, **yes),
                counts(110, **late, **no), counts(5, semconv.PREDICTION_ERRORS, **late, **error),
                histogram(duration, [90, 10, 0], 1.0, [0.01, 0.1], **early),
                histogram(duration, [90, 110, 5], 9.0, [0.01, 0.1], **late),
                histogram(score, [50, 150], 140.0, [0.5], **late), histogram(size, [10], 40.0, [], **late),
            ),
            metrics(
                counts(100, **late, **yes), histogram(duration, [100, 0, 0], 0.5, [0.01, 0.1], **late),
                instance="two",
            ),
            metrics(
                counts(50, **late, **yes, **CANARY), histogram(score, [50, 0], 10.0, [0.5], **late, **CANARY),
                instance="canary",
            ),
            logs(prediction("bad", at=late["at"], attributes=error)),
        )  # fmt: skip
        yield started


def table(console, title):
    """The rows of a chart that have a value, the oldest first, and its head."""
    text = console.send("/model?model=fraud&range=1h").body.decode()
    figure = re.search(rf"<h2>{title}</h2>.*?</figure>", text, re.DOTALL)[0]
    rows = [
        [html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)][1:]
        for row in re.findall(r"<tr>(.*?)</tr>", figure, re.DOTALL)
    ]
    return [rows[0], *[row for row in rows[:0:-1] if any(cell not in {"", "0", "0.0 %"} for cell in row)]]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Traffic", [["1.0.0", "2.0.0 canary"], ["1.67", "0"], ["3.33", "0.833"]]),
        ("Errors", [["Failed"], ["2.0 %"]]),
        ("Duration", [["p50", "p95", "p99"], ["5.56 ms", "55.0 ms", "91.0 ms"], ["12.2 ms", "95.3 ms", "100 ms"]]),
        ("Classes", [["no", "yes"], ["40.0 %", "60.0 %"], ["28.0 %", "72.0 %"]]),
        ("Batch size", [["mean"], ["4"]]),
        ("Durations of all calls", [["0 s", "10 ms", "100 ms"], ["90", "10", ""], ["100", "100", "5"]]),
    ],
)  # fmt: skip
def test_each_chart_is_there_without_events(filled, title, expected):
    """Traffic, errors, durations, classes and batches over time come from counters and buckets of all replicas."""
    assert table(filled, title) == expected


def test_scores_are_those_of_the_buckets(filled):
    """The share of each version's scores stands at the low end of its bucket."""
    text = filled.send("/model?model=fraud&range=1h").body.decode()
    figure = re.search(r"<h2>Scores</h2>.*?</figure>", text, re.DOTALL)[0]
    rows = re.findall(r"<tr><td>(.*?)</td><td[^>]*>(.*?)</td><td[^>]*>(.*?)</td>", re.sub("</?data[^>]*>", "", figure))
    assert {row[0]: row[1:] for row in rows if row[1:] != ("0.0 %", "0.0 %")} == {
        "0.00": ("25.0 %", "100.0 %"), "0.50": ("75.0 %", "0.0 %"),
    }  # fmt: skip


def test_versions_and_errors_are_those_of_the_counters(filled):
    """Each version has its predictions, errors and mean score; a kind of error leads to a prediction that has an event."""
    text = re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", filled.send("/model?model=fraud&range=1h").body.decode()))
    assert "this page is from metrics" in text
    assert re.search(r"1\.0\.0 300 1\.6 % ", text)
    assert re.search(r"2\.0\.0 canary 50 0\.0 % ", text)
    assert re.search(r"ValueError 5 .* bad ", text)


def test_a_series_that_is_older_counts_from_its_first_point(console):
    """In each period a histogram counts what came since the point before."""
    old = now() - 3 * 3600 * SECOND
    for at, bucket in ((now() - 50 * SECOND, 7), (now() - 30 * SECOND, 9), (now() - 10 * SECOND, 12)):
        found = histogram(semconv.PREDICTION_SCORE, [bucket], 0.0, [], at=at, begin=old)
        console.feed(metrics(found))
    with console.store.cursor() as cursor:
        found = histograms_over_time(
            cursor, semconv.PREDICTION_SCORE.name, Span("fraud", now() - 60 * SECOND), (semconv.MODEL_ROLE,),
            (now() - 40 * SECOND, now() - 20 * SECOND),
        )  # fmt: skip
    assert [each and each.times for each in found["primary",]] == [None, 2, 3]
