"""`otel-ml sampler` through the real Collector: the Collector reads what it encodes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from pipeline_servers import Backend, Collector, eventually

from otel_ml import semconv

KINDS = {
    "counter": ("sum", True),
    "updowncounter": ("sum", False),
    "gauge": ("gauge", None),
    "histogram": ("histogram", None),
}


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_the_collector_accepts_all_that_the_sampler_sends(
    collector: Collector, backend: Backend, compression: str, tmp_path
) -> None:
    """Names, kinds and units of the catalogue arrive, cumulative, under one service, host and instance."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    environment |= {"OTEL_ML_INSTANCE_DIR": str(tmp_path), "OTEL_EXPORTER_OTLP_COMPRESSION": compression}
    command = [sys.executable, "-m", "otel_ml", "sampler", "--interval", "0.2", "--service-name", "node-a"]
    with subprocess.Popen(
        [*command, "--endpoint", collector.address], env=environment, stderr=subprocess.PIPE
    ) as sampler:

        def metrics() -> dict[str, Any]:
            found = {}
            for message in backend.received("/metrics"):
                for resource in message.resource_metrics:
                    attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
                    if attributes.get("service.name") == "node-a":
                        resources.add(tuple(sorted(attributes.items())))
                        found |= {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}
            # the ledger metrics leave through another exporter than the host metrics
            delivered = found.get(semconv.EXPORT_DELIVERED.name)
            is_delivered = delivered is not None and delivered.sum.data_points[0].as_int > 0
            return found if is_delivered and semconv.SYSTEM_CPU_TIME.name in found else {}

        resources: set[tuple] = set()
        found = eventually(metrics)
        sampler.send_signal(signal.SIGTERM)
        _, errors = sampler.communicate(timeout=60)
    printed = [line for line in errors.splitlines() if b"NVIDIA driver" not in line]
    assert (sampler.returncode, len(printed)) == (0, 1)
    catalogue = {metric.name: metric for metric in semconv.metrics()}
    for name, metric in found.items():
        kind, monotonic = KINDS[catalogue[name].instrument]
        assert (metric.WhichOneof("data"), metric.unit) == (kind, catalogue[name].unit)
        if kind == "sum":
            assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (monotonic, 2)
    assert {"system.cpu.time", "process.cpu.time", "otelml.sampler.tick.duration", "otelml.sampler.cpu.time"} <= set(
        found
    )
    (attributes,) = resources
    assert {"service.name", "service.instance.id", "host.name"} <= dict(attributes).keys()
