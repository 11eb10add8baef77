"""Our encoder of known series against the SDK's."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_ml._observed_series import ObservedSeries
from otel_ml._telemetry.otlp import _encoding
from otel_ml._telemetry.otlp._series_encoding import encode_series
from otel_ml._telemetry.series_points import SeriesPoints

SCOPE = InstrumentationScope("otel_ml.features")
START, NOW = 1_700_000_000_000_000_000, 1_700_000_060_000_000_000
CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
VALUES = [0, 7, -3, 2**63 - 1, 0.0, 0.25, -1e300, float("inf")]
KINDS = [
    lambda points: Sum(points, CUMULATIVE, True),
    lambda points: Sum(points, DELTA, True),
    lambda points: Sum(points, CUMULATIVE, False),
    Gauge,
]


def points() -> SeriesPoints:
    """Points of every kind of value, of labels of one and of many bytes; more than one step of them."""
    return SeriesPoints(
        [
            (ObservedSeries({"ml.feature.bin": f"bin {index}", "model": "ü" * index}), START, NOW, value)
            for index in range(0, 130, 13)
            for value in VALUES
        ]
    )


def encode_sdk(metric: Metric) -> list[tuple[bytes, bytes, int]]:
    scope = ScopeMetrics(SCOPE, [metric], "")
    return _encoding.encode_sdk_metrics(MetricsData([ResourceMetrics(Resource({}), [scope], "")]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("described", ["What it counts.", ""])
def test_the_bytes_are_those_of_the_sdks_encoder(kind, described) -> None:
    """Also at the second collection, when the attributes are encoded already."""
    metric = Metric("ml.feature.values", described, "{value}", kind(points()))
    scope = _encoding.encode_scope(SCOPE.name)

    expected = encode_sdk(metric)

    assert [encode_series(scope, metric)] == expected
    assert [encode_series(scope, metric)] == expected


def test_a_value_that_otlp_cannot_carry_is_an_error() -> None:
    """As for the SDK's encoder: the metric is counted as invalid, the others are exported."""
    rows = [(ObservedSeries({}), START, NOW, 2**63)]
    metric = Metric("a", "", "", Gauge(SeriesPoints(rows)))
    for encode in (encode_sdk, lambda metric: encode_series(b"", metric)):
        with pytest.raises(Exception, match="int|range|format|bound"):
            encode(metric)


def test_other_readers_see_points_of_the_sdk() -> None:
    """The scrape page, the console exporter and tests read a sequence."""
    series = ObservedSeries({"a": "1"})
    read = SeriesPoints([(series, START, NOW, value) for value in range(40)])
    whole = [NumberDataPoint({"a": "1"}, START, NOW, value) for value in range(40)]

    assert list(read) == whole
    assert (len(read), read[3], list(read[-2:])) == (40, whole[3], whole[-2:])
