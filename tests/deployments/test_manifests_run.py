"""The containers of the manifests as processes on this machine: their arguments, variables, files and ports are right."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import built_servers
import pytest
from kubernetes_objects import Object, containers, kustomized, name, workloads
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from pipeline_servers import TIMEOUT, eventually, free_ports, get, otlp_backend, post

objects = cache(kustomized)
LOG = ExportLogsServiceRequest()
LOG.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "hello"

SPAN = ExportTraceServiceRequest()
_span = SPAN.resource_spans.add().scope_spans.add().spans.add(name="predict", trace_id=b"t" * 16, span_id=b"s" * 8)
_span.status.code = Status.STATUS_CODE_ERROR


def pod(folder: str, title: str) -> tuple[str, Object]:
    """The namespace and the spec of a workload's pods."""
    return next((name(each)[1], spec) for each, spec in workloads(objects(folder)) if name(each)[2] == title)


class Container:
    """A container of a manifest, with its volumes in a folder.

    Args:
        folder: Where its volumes are made.
        manifests: The kustomization.
        title: The workload; its first container is meant.
        secrets: The texts of the keys of secrets.
        **fields: What `fieldRef` gives, by the last part of its path.
    """

    def __init__(self, folder: Path, manifests: str, title: str, secrets: dict[str, str], **fields: str) -> None:
        namespace, self.spec = pod(manifests, title)
        self.folder = folder
        folder.mkdir(exist_ok=True)
        container = containers(self.spec)[0]
        self.mounts = {each["mountPath"]: self._mounted(each) for each in container["volumeMounts"]}
        for volume in self.spec["volumes"]:
            self._make(volume, namespace, manifests, secrets)
        self.arguments = [self.here(each) for each in container.get("command", [])[1:] + container.get("args", [])]
        self.environment = {}
        for each in container.get("env", []):
            source = each.get("valueFrom", {})
            if "fieldRef" in source:
                self.environment[each["name"]] = fields[source["fieldRef"]["fieldPath"].split(".")[-1]]
            elif "secretKeyRef" in source:
                self.environment[each["name"]] = secrets[source["secretKeyRef"]["key"]]
            else:
                self.environment[each["name"]] = self.here(each["value"])

    def _mounted(self, mount: Object) -> Path:
        return self.folder / mount["name"] / mount.get("subPath", "")

    def _make(self, volume: Object, namespace: str, manifests: str, secrets: dict[str, str]) -> None:
        place = self.folder / volume["name"]
        place.mkdir(parents=True)
        files: dict[str, str] = {}
        if "configMap" in volume:
            wanted = ("ConfigMap", namespace, volume["configMap"]["name"])
            (files,) = [each["data"] for each in objects(manifests) if name(each) == wanted]
        if "secret" in volume:
            files = {item["path"]: secrets[item["key"]] for item in volume["secret"].get("items", [])}
        for file, text in files.items():
            (place / file).write_text(text)

    def here(self, text: str) -> str:
        """The text with the paths of this machine."""
        paths = "|".join(map(re.escape, sorted(self.mounts, key=len, reverse=True)))
        return re.sub(rf"(?<![\w/.-])({paths})(?=/|$)", lambda found: str(self.mounts[found[1]]), text)


@contextmanager
def running(command: list[str], environment: dict[str, str], health: str, log: Path) -> Iterator[None]:
    """Runs a server until it is healthy, and then the test."""
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:

            def healthy() -> bool:
                assert process.poll() is None, log.read_text()
                return get(health) == 200

            eventually(healthy)
            yield
        finally:
            process.terminate()
            assert process.wait(TIMEOUT) == 0, log.read_text()


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_collector_of_the_manifest_runs(tmp_path: Path, address: str, host: str) -> None:
    """With its files, arguments and variables it starts, takes a record with the token only, and delivers it, in an IPv6 pod too.

    open-telemetry/opentelemetry-helm-charts#816.
    """
    grpc, http, health = map(str, free_ports(3))
    fields = {"podIP": address, "name": "otel-ml-collector-0", "namespace": "otel-ml"}
    container = Container(tmp_path, ".", "otel-ml-collector", {"tokens": "right\n"}, **fields)
    with otlp_backend() as backend:
        ends = dict.fromkeys(("PROMETHEUS_OTLP_ENDPOINT", "LOKI_OTLP_ENDPOINT", "TEMPO_OTLP_ENDPOINT"), backend.address)
        ports = {"OTELCOL_GRPC_PORT": grpc, "OTELCOL_HTTP_PORT": http, "OTELCOL_HEALTH_PORT": health}
        queue = {"OTELCOL_QUEUE_DIR": container.here("/var/lib/otelcol/queue")}
        assert queue["OTELCOL_QUEUE_DIR"].startswith(str(tmp_path))
        command = [str(built_servers.binary("collector")), *container.arguments]
        with running(
            command, container.environment | ends | ports | queue, f"http://{host}:{health}", tmp_path / "log"
        ):
            sent = [
                post(f"http://{host}:{http}/v1/logs", LOG.SerializeToString(), "application/x-protobuf", headers)
                for headers in ({}, {"Authorization": "Bearer right"})
            ]
            eventually(lambda: backend.received("/v1/logs"))
    assert sent == [401, 200]
    assert container.environment["OTELCOL_INSTANCE_ID"] == "otel-ml-collector-0"


@pytest.mark.slow
def test_collectors_and_gateways_of_the_manifests_run(tmp_path: Path) -> None:
    """A Collector of the overlay takes a span of a failed request and sends it to the gateway, which wants the token, and keeps it."""
    secrets = {"tokens": "other\nright\n", "gateway": "right"}
    ports = dict(zip(("gateway", "collector"), zip(*[iter(map(str, free_ports(6)))] * 3, strict=True), strict=True))
    binary = str(built_servers.binary("collector-gateway"))
    with otlp_backend() as backend, ExitStack() as running_ones:
        for title, (grpc, http, health) in ports.items():
            fields = {"podIP": "127.0.0.1", "name": f"otel-ml-{title}-0", "namespace": "otel-ml"}
            container = Container(tmp_path / title, "overlays/teams", f"otel-ml-{title}", secrets, **fields)
            ends = ("PROMETHEUS_OTLP_ENDPOINT", "LOKI_OTLP_ENDPOINT", "TEMPO_OTLP_ENDPOINT")
            environment = container.environment | {
                **dict.fromkeys(ends, backend.address),
                "OTELCOL_GRPC_PORT": grpc,
                "OTELCOL_HTTP_PORT": http,
                "OTELCOL_HEALTH_PORT": health,
                "OTELCOL_QUEUE_DIR": container.here("/var/lib/otelcol/queue"),
                "OTELCOL_DECISION_WAIT": "1s",
                "OTELCOL_BASELINE_PERCENT": "0",
            }
            if title == "collector":
                environment["OTELCOL_GATEWAYS"] = f"127.0.0.1:{ports['gateway'][0]}"
            command = [binary, *container.arguments]
            log = tmp_path / f"{title}.log"
            running_ones.enter_context(running(command, environment, f"http://127.0.0.1:{health}", log))
        address = f"http://127.0.0.1:{ports['collector'][1]}/v1/traces"
        assert (
            post(address, SPAN.SerializeToString(), "application/x-protobuf", {"Authorization": "Bearer right"}) == 200
        )
        eventually(lambda: backend.received("/v1/traces"))


def test_alertmanager_of_the_manifest_runs(tmp_path: Path) -> None:
    """With its files and arguments it starts and is ready."""
    (port,) = free_ports(1)
    container = Container(tmp_path, "overlays/teams", "otel-ml-alertmanager", {})
    listen = "--web.listen-address="
    arguments = [each for each in container.arguments if not each.startswith(listen)]
    # As in the pod: the template is below the folder of the configuration.
    (tmp_path / "config" / "templates").mkdir()
    (tmp_path / "config" / "otel-ml.tmpl").rename(tmp_path / "config" / "templates" / "otel-ml.tmpl")
    command = [str(built_servers.binary("alertmanager")), *arguments, f"{listen}127.0.0.1:{port}"]

    with running(command, {}, f"http://127.0.0.1:{port}/-/ready", tmp_path / "log"):
        pass


def test_the_sampler_of_the_manifest_runs(tmp_path: Path) -> None:
    """The command of the DaemonSet reads this machine."""
    container = Container(tmp_path, "overlays/teams", "otel-ml-sampler", {"headers": "x=y"}, nodeName="node-7")
    arguments = [each.replace(str(tmp_path / "host"), "/") for each in container.arguments]
    command = [sys.executable, "-c", "import sys; from otel_ml.cli import main; sys.exit(main())", *arguments, "--once"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "system.memory.usage" in done.stdout
    assert "service.instance.id=$(NODE_NAME)" in container.environment["OTEL_RESOURCE_ATTRIBUTES"]
