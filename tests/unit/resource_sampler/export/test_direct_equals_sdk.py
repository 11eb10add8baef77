"""Telemetry of the sampler is the same whether an SDK carries it or the sampler encodes it by itself."""

from __future__ import annotations

import time

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_ml.resource_sampler import ContainerSource, HostSource, ProcessSource, ResourceSampler
from otel_ml.resource_sampler.export._encoding import Encoder
from otel_ml.resource_sampler.export._local_meter import LocalMeter

OF_ITSELF = "otelml.sampler."


def series(request):
    """Everything about every series but its times."""
    found = {}
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    attributes = tuple(
                        sorted((a.key, a.value.WhichOneof("value"), str(a.value)) for a in point.attributes)
                    )
                    value = point.WhichOneof("value") if kind != "histogram" else "count"
                    what = (kind, metric.unit, metric.description, getattr(data, "is_monotonic", None))
                    temporality = getattr(data, "aggregation_temporality", None)
                    own = metric.name.startswith(OF_ITSELF)
                    bounds = tuple(point.explicit_bounds) if kind == "histogram" else ()
                    found[metric.name, attributes] = (what, temporality, bounds, None if own else getattr(point, value))
    return found


def sources(data):
    tree = data / "cgroup_v2_private"
    proc = data / "proc_node"
    return [
        HostSource(proc=proc, sys=proc / "sys", parts=("cpu", "memory", "paging", "disk", "network", "pressure")),
        ProcessSource(4242, proc=proc, boot_clock=lambda: 600.0),
        ContainerSource(proc=tree / "proc", root=tree),
    ]


def test_both_ways_give_the_same_series_and_values(data, provider):
    """Names, kinds, units, descriptions, temporality, attributes, values."""
    with ResourceSampler(3600, sources=sources(data), meter=provider.meter, budget=64) as sampler:
        while not sampler.observations("system.cpu.time"):
            time.sleep(0.01)
        through_sdk = encode_metrics(provider.reader.get_metrics_data())
    meter = LocalMeter()
    sampler = ResourceSampler(3600, sources=sources(data), budget=64)
    sampler.instrument(meter)
    body, count = Encoder({}, 0).encode(sampler.tick(), meter.histograms.values(), 1)
    direct = ExportMetricsServiceRequest.FromString(body)
    assert series(direct) == series(through_sdk)
    assert count == len(series(direct))
