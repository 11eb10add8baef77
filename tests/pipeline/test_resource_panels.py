"""The panels of GPUs and of a container's limits, which the machine of the tests does not have, in a real Prometheus.

The sampler reads the stand-in for NVIDIA's library; what it reads of a control group with limits is written by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import verify
from fake_nvml import scenario
from nvml_fixtures import nvml_library  # noqa: F401 - a fixture
from pipeline_servers import eventually, prometheus, promql, write_rules

from otel_ml import semconv
from otel_ml.resource_sampler.export._encoding import Encoder

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards" / "resources.json"
LIMITED = ("Container Memory", "CPU Throttling")


def send_container(server: str) -> None:
    """Two exports of a container with limits."""
    now = time.time_ns()
    encoder = Encoder({"service.name": "limited", "service.instance.id": "a"}, now)
    for count, moment in ((10, now - 15 * 10**9), (20, now)):
        points = {
            semconv.CONTAINER_MEMORY_WORKING_SET.name: [(2**30, {})],
            semconv.CONTAINER_MEMORY_AVAILABLE.name: [(2**30, {})],
            semconv.CONTAINER_MEMORY_LIMIT.name: [(2**31, {})],
            semconv.CONTAINER_CPU_PERIODS.name: [(10 * count, {})],
            semconv.CONTAINER_CPU_THROTTLED_PERIODS.name: [(count, {})],
        }
        body, _ = encoder.encode(points, (), moment)
        kind = {"Content-Type": "application/x-protobuf"}
        urllib.request.urlopen(
            urllib.request.Request(f"{server}/api/v1/otlp/v1/metrics", body, kind), timeout=60
        ).close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, nvml_library: Path) -> Iterator[str]:  # noqa: F811
    """A Prometheus with the figures of two GPUs and of a container."""
    folder = tmp_path_factory.mktemp("gpus")
    (folder / "two.scenario").write_text(scenario())
    with prometheus(folder, write_rules(folder, "limits")) as server:
        environment = os.environ | {
            "LD_LIBRARY_PATH": str(nvml_library.parent),
            "FAKE_NVML_SCENARIO": str(folder / "two.scenario"),
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{server}/api/v1/otlp/v1/metrics",
            "OTEL_ML_INSTANCE_DIR": str(folder),
        }
        command = [sys.executable, "-m", "otel_ml", "sampler", "--mode", "node", "--interval", "1"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as sampler:
            try:
                send_container(server)
                eventually(lambda: promql(server, "rate(hw_errors_total[5m])"))
                eventually(lambda: promql(server, "service:hw_temperature_celsius:limit"))
                yield server
            finally:
                sampler.terminate()
                sampler.wait(90)


def panels() -> list[tuple[str, str]]:
    found = verify.dashboard_queries(json.loads(DASHBOARD.read_text()))
    return [(title, query) for title, query in found if title.startswith("GPU ") or title in LIMITED]


@pytest.mark.parametrize(("title", "query"), panels(), ids=[title for title, _ in panels()])
def test_the_panel_has_data(address: str, title: str, query: str) -> None:
    """Each query finds its series; a comparison that hides what is fine is left out."""
    assert eventually(lambda: promql(address, verify.without_comparison(query)))
