"""A sampler, of its own or in a service, that starts long after what it reads: what was counted before is no event of now.

Sources: zalando/skipper#3087 (a start time that is too late makes a peak), GoogleCloudPlatform/k8s-stackdriver#80,
open-telemetry/opentelemetry-collector-contrib#22810 (unknown start times that are invented).
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from pipeline_servers import eventually, prometheus, promql, write_settings

from otel_ml import semconv
from otel_ml.resource_sampler.export._encoding import Encoder

SECOND = 10**9
SINCE_BOOT = {
    semconv.SYSTEM_NETWORK_ERRORS.name: [
        (70_000, {"network.interface.name": "eth0", "network.io.direction": "receive"})
    ],
    semconv.CONTAINER_MEMORY_OOM_KILLS.name: [(3, {})],
}
NO_XID = {semconv.HW_ERRORS.name: [(0, {"hw.id": "0", "hw.type": "gpu", "error.type": "xid_79"})]}
XID = {semconv.HW_ERRORS.name: [(1, {"hw.id": "0", "hw.type": "gpu", "error.type": "xid_79"})]}


IN_A_SERVICE = f"""
import otel_ml
from opentelemetry import metrics

telemetry = otel_ml.configure(service_name="service", metric_export_interval=3600.0)
meter, found = metrics.get_meter("otel_ml"), {SINCE_BOOT | NO_XID}
for name in {[*SINCE_BOOT, *XID]}:
    read = lambda _, name=name: [metrics.Observation(*point) for point in found.get(name, ())]
    meter.create_observable_counter(name, [read])
telemetry.force_flush()
found.update({XID})
telemetry.force_flush()
telemetry.shutdown()
"""


def stand_alone(endpoint: str) -> None:
    """Two exports of a sampler: the second one has the first fault of a GPU."""
    now = time.time_ns()
    encoder = Encoder({"service.name": "node"}, now - 12 * SECOND)
    for points, moment in ((SINCE_BOOT, now - 11 * SECOND), (SINCE_BOOT | XID, now)):
        body, _ = encoder.encode(points, (), moment)
        request = urllib.request.Request(endpoint, body, {"Content-Type": "application/x-protobuf"})
        urllib.request.urlopen(request, timeout=60).close()


def in_a_service(endpoint: str) -> None:
    """The same of a service that reads these counters itself, and the faults of its GPU from zero on."""
    environment = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint, "OTEL_ML_INSTANCE_DIR": ""}
    environment |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    subprocess.run([sys.executable, "-c", IN_A_SERVICE], env=environment, check=True, timeout=60)


@pytest.fixture(scope="module", params=[stand_alone, in_a_service], ids=lambda way: way.__name__)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that got what a sampler read."""
    folder = tmp_path_factory.mktemp("older")
    with prometheus(folder, write_settings(folder), "created-timestamp-zero-ingestion") as server:
        request.param(f"{server}/api/v1/otlp/v1/metrics")
        eventually(lambda: promql(server, "hw_errors_total"))
        yield server


@pytest.mark.parametrize("name", ["system_network_errors_total", "otelml_container_memory_oom_kills_total"])
def test_what_was_counted_before_is_no_event_of_now(address: str, name: str) -> None:
    """Errors of a network card since boot, and kills of a container since it began, raise no alert when a sampler starts."""
    (found,) = promql(address, f"increase({name}[1m])")

    assert float(found["value"][1]) == 0


def test_the_first_event_that_the_sampler_saw_counts(address: str) -> None:
    """The first fault of a GPU raises its alert: its series begins while the sampler runs, or at zero."""
    (found,) = promql(address, "increase(hw_errors_total[1m])")

    assert float(found["value"][1]) >= 1
