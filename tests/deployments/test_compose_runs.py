"""The services of the compose file whose programs are here, as processes: arguments, variables, files and checks are right."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import built_servers
from compose_file import ROOT, ComposeFile, cloned, prepared
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pipeline_servers import TIMEOUT, eventually, free_ports, get, otlp_backend, post, promql

SERVICES = ("prometheus", "alertmanager", "collector")


@contextmanager
def started(compose: ComposeFile, name: str, replace: dict[str, str], more: dict[str, str]) -> Iterator[None]:
    """Runs the program of a service with the command and variables of the file, on other addresses."""

    def here(text: str) -> str:
        for container, host in replace.items():
            text = text.replace(container, host)
        return compose.on_host(name, text)

    service = compose.services[name]
    environment = {key: here(str(value)) for key, value in service.get("environment", {}).items()} | more
    command = [str(built_servers.binary(name)), *map(here, service["command"])]
    log = compose.path.parent / f"{name}.log"
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def counter(value: float) -> bytes:
    """A request with one point of a counter of a service."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    attribute = resource.resource.attributes.add()
    attribute.key, attribute.value.string_value = "service.name", "api"
    metric = resource.scope_metrics.add().metrics.add()
    metric.name = "rows"
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
    point = metric.sum.data_points.add()
    point.as_double = value
    point.time_unix_nano = time.time_ns()
    return request.SerializeToString()


def token_of(compose: ComposeFile) -> dict[str, str]:
    """The header that service.env gives to services."""
    text = (compose.path.parent / "secrets" / "service.env").read_text(encoding="utf-8")
    (found,) = re.findall(r"authorization=(\S+)", text)
    return {"authorization": found.replace("%20", " ")}


def test_what_a_service_sends_with_its_token_arrives(tmp_path: Path) -> None:
    """After prepare.py a sender with the token of service.env reaches Prometheus through the Collector; one without does not."""
    root = cloned(tmp_path)
    assert prepared(root).returncode == 0
    compose = ComposeFile(root / "deploy" / "compose" / "compose.yaml")
    grpc, http, health, metrics, alerts = free_ports(5)
    with ExitStack() as running:
        backend = running.enter_context(otlp_backend())
        replace = {
            "http://prometheus:9090": f"http://127.0.0.1:{metrics}",
            "http://loki:3100": backend.address,
            "http://tempo:4318": backend.address,
            "0.0.0.0:9090": f"127.0.0.1:{metrics}",
            "0.0.0.0:9093": f"127.0.0.1:{alerts}",
            "0.0.0.0": "127.0.0.1",
        }
        ports = {"OTELCOL_GRPC_PORT": str(grpc), "OTELCOL_HTTP_PORT": str(http), "OTELCOL_HEALTH_PORT": str(health)}
        ports["OTELCOL_QUEUE_DIR"] = compose.on_host("collector", "/var/lib/otelcol/queue")
        for name in SERVICES:
            running.enter_context(started(compose, name, replace, ports if name == "collector" else {}))
        check = ["check", "ready", f"--url=http://127.0.0.1:{metrics}"]
        assert compose.services["prometheus"]["healthcheck"]["test"][2:4] == check[:2]
        eventually(
            lambda: subprocess.run([built_servers.binary("promtool"), *check], capture_output=True).returncode == 0
        )
        for name, port in (("alertmanager", f"9093:{alerts}"), ("collector", f"13133:{health}")):
            address = compose.services[name]["healthcheck"]["test"][-1].replace(*port.split(":"))
            eventually(lambda address=address: get(address) == 200)
        address = f"http://127.0.0.1:{http}/v1/metrics"
        assert post(address, counter(1), "application/x-protobuf") == 401
        assert post(address, counter(1), "application/x-protobuf", token_of(compose)) == 200
        (found,) = eventually(lambda: promql(f"http://127.0.0.1:{metrics}", "rows_total"))
        assert found["metric"]["job"] == "api"
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/api/v1/rules", timeout=TIMEOUT) as response:
            files = {Path(group["file"]).parent.name for group in json.load(response)["data"]["groups"]}
        assert files == {"rules", "alerts"}
    data = compose.path.parent / "data"
    assert {name for name in ("collector", "prometheus", "alertmanager") if list((data / name).iterdir())} == set(
        SERVICES
    )


def test_what_the_page_sets_in_env_reaches_the_collector(tmp_path: Path) -> None:
    """The variables of the Collector that deploy/README.md names for `.env` are those of its container."""
    page = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if "`compose/.env`" in line)
    wanted = {name: f"7{len(name)}" for name in re.findall(r"`(OTELCOL_\w+)=", row)}
    folder = cloned(tmp_path) / "deploy" / "compose"
    assert prepared(tmp_path).returncode == 0
    with (folder / ".env").open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in wanted.items())
    environment = ComposeFile(folder / "compose.yaml").services["collector"]["environment"]
    assert wanted
    assert wanted.items() <= {name: str(value) for name, value in environment.items()}.items()
