"""A sampler that starts long after what it reads: nothing that was counted before seems to happen at its start.

Sources: zalando/skipper#3087 (a start time that is too late makes a peak), GoogleCloudPlatform/k8s-stackdriver#80,
open-telemetry/opentelemetry-collector-contrib#22810 (unknown start times that are invented).
"""

from __future__ import annotations

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
XID = {semconv.HW_ERRORS.name: [(1, {"hw.id": "0", "hw.type": "gpu", "error.type": "xid_79"})]}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that got two exports of a sampler: the second one has the first fault of a GPU."""
    folder = tmp_path_factory.mktemp("older")
    with prometheus(folder, write_settings(folder), "created-timestamp-zero-ingestion") as server:
        now = time.time_ns()
        encoder = Encoder({"service.name": "node"}, now - 12 * SECOND)
        for points, moment in ((SINCE_BOOT, now - 11 * SECOND), (SINCE_BOOT | XID, now)):
            body, _ = encoder.encode(points, (), moment)
            request = urllib.request.Request(
                f"{server}/api/v1/otlp/v1/metrics", body, {"Content-Type": "application/x-protobuf"}
            )
            urllib.request.urlopen(request, timeout=10).close()
        eventually(lambda: promql(server, "hw_errors_total"))
        yield server


@pytest.mark.parametrize("name", ["system_network_errors_total", "otelml_container_memory_oom_kills_total"])
def test_what_was_counted_before_is_no_event_of_now(address: str, name: str) -> None:
    """Errors of a network card since boot, and kills of a container since it began, raise no alert when a sampler starts."""
    (found,) = promql(address, f"increase({name}[1m])")

    assert float(found["value"][1]) == 0


def test_the_first_event_that_the_sampler_saw_counts(address: str) -> None:
    """A series that begins while the sampler runs counts from zero: the first fault of a GPU raises its alert."""
    (found,) = promql(address, "increase(hw_errors_total[1m])")

    assert float(found["value"][1]) >= 1
