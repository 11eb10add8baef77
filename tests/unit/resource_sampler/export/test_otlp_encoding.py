from __future__ import annotations

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from otel_ml import semconv
from otel_ml.resource_sampler.export._encoding import Encoder
from otel_ml.resource_sampler.export._local_meter import MAX_SERIES, LocalMeter

RESOURCE = {"service.name": "näme", "count": -3, "share": 0.25, "is": True}


def decoded(points, histograms=(), now_ns=2_000):
    body, count = Encoder(RESOURCE, 1_000).encode(points, histograms, now_ns)
    return ExportMetricsServiceRequest.FromString(body), count


def test_a_request_is_what_the_protocol_says():
    """Resource, scope, schema, and each metric with its kind, unit, description, times, values and attributes."""
    points = {
        semconv.SYSTEM_DISK_IO.name: [(2**40, {"system.device.name": "vda", "disk.io.direction": "read"})],
        semconv.CONTAINER_MEMORY_USAGE.name: [(-5, {})],
        semconv.SYSTEM_CPU_UTILIZATION.name: [(0.5, {"cpu.mode": "user"}), (1, {"cpu.logical_number": 300})],
    }
    message, count = decoded(points)
    (resource,) = message.resource_metrics
    attributes = {each.key: each.value for each in resource.resource.attributes}
    assert (attributes["service.name"].string_value, attributes["count"].int_value) == ("näme", -3)
    assert (attributes["share"].double_value, attributes["is"].bool_value) == (0.25, True)
    assert resource.schema_url == semconv.SCHEMA_URL
    (scope,) = resource.scope_metrics
    assert (scope.scope.name, scope.schema_url) == (semconv.SCOPE, semconv.SCHEMA_URL)
    disk, memory, share = scope.metrics
    assert (disk.name, disk.unit, disk.description) == (
        semconv.SYSTEM_DISK_IO.name,
        semconv.SYSTEM_DISK_IO.unit,
        semconv.SYSTEM_DISK_IO.description,
    )
    assert (disk.sum.is_monotonic, disk.sum.aggregation_temporality) == (True, 2)
    (point,) = disk.sum.data_points
    assert (point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (2**40, 0, 2_000)
    assert {each.key: each.value.string_value for each in point.attributes} == {
        "system.device.name": "vda",
        "disk.io.direction": "read",
    }
    assert (memory.sum.is_monotonic, memory.sum.data_points[0].as_int) == (False, -5)
    assert [point.as_double for point in share.gauge.data_points] == [0.5, 0.0]
    assert share.gauge.data_points[1].as_int == 1
    assert share.gauge.data_points[1].attributes[0].value.int_value == 300
    assert share.gauge.data_points[0].start_time_unix_nano == 0
    assert count == 4


def test_a_histogram_has_inclusive_upper_bounds():
    """Counts, sum and bounds as OTLP has them, one series for each set of attributes."""
    meter = LocalMeter()
    histogram = meter.create_histogram("otelml.test", "s", "x", explicit_bucket_boundaries_advisory=[0.1, 1.0])
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.record(value)
    histogram.record(0.2, {"call": "a"})
    message, count = decoded({}, meter.histograms.values())
    plain, called = message.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points
    assert (list(plain.bucket_counts), list(plain.explicit_bounds)) == ([2, 1, 1], [0.1, 1.0])
    assert (plain.count, plain.sum, called.count, count) == (4, pytest.approx(7.65), 1, 2)
    assert called.attributes[0].value.string_value == "a"


def test_a_histogram_is_bounded():
    """Ever new attributes do not fill the memory."""
    histogram = LocalMeter().create_histogram("otelml.test")
    for number in range(2 * MAX_SERIES):
        histogram.record(1.0, {"n": number})
    assert len(histogram.cells()) == MAX_SERIES


def test_the_same_attributes_object_is_encoded_once():
    """The bytes of a series are cached by its attributes object, which is kept alive for that."""
    encoder = Encoder({}, 0)
    for name in ("a", "b"):
        body, _ = encoder.encode({semconv.HW_POWER.name: [(1.0, {"hw.id": name})]}, (), 1)
        metric = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics[0]
        assert metric.gauge.data_points[0].attributes[0].value.string_value == name


def test_no_point_ends_before_it_starts():
    """A machine without a battery for its clock gets the time after the sampler has started; it may be in the past."""
    encoder = Encoder(RESOURCE, 1_000)
    encoder.encode({}, (), 1_500)
    points = {semconv.SYSTEM_DISK_IO.name: [(1, {})]}
    times = []
    for now_ns in (2_000, 500, 700):
        message = ExportMetricsServiceRequest.FromString(encoder.encode(points, (), now_ns)[0])
        (point,) = message.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
        times.append((point.start_time_unix_nano, point.time_unix_nano))
    assert times == [(1_000, 2_000), (500, 500), (500, 700)]
