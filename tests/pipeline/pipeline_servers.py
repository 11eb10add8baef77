"""A recording OTLP back end and a real Collector in front of it, for the pipeline tests."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import built_servers
import pytest
import yaml
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from reserved_ports import free_port, free_ports

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "deploy" / "local"
PROMETHEUS = ROOT / "deploy" / "prometheus"
GOLDEN = Path(__file__).resolve().parent / "golden"
REQUESTS: dict[str, type[Message]] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
TIMEOUT = 90.0


def eventually(what: Callable[[], Any], timeout: float = TIMEOUT) -> Any:
    """Repeats a check until it returns something true; fails when time is up."""
    deadline = time.monotonic() + timeout
    while True:
        answer = what()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"still {answer!r} after {timeout:.0f} s")
        time.sleep(0.1)


def get(address: str) -> int:
    """Returns the status of a GET, or 0 without an answer."""
    try:
        with urllib.request.urlopen(address, timeout=10.0) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (urllib.error.URLError, OSError):
        return 0


def post(address: str, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> int:
    """Returns the status of a POST."""
    request = urllib.request.Request(address, body, {"Content-Type": content_type, **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@dataclass
class Backend:
    """An OTLP/HTTP back end that keeps what it receives and answers with the status that a test sets.

    A request that contains `poison` gets a 400. `reason` is the text of what it refuses. `required` has, by the first part
    of a path, the headers without which a request gets a 401. With `location` it redirects, and a GET is a page.
    """

    port: int = 0
    status: int = 200
    poison: bytes = b""
    reason: str = ""
    location: str = ""
    scheme: str = "http"
    required: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, Message]] = field(default_factory=list)
    tenants: list[str | None] = field(default_factory=list)
    refused: int = 0

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def received(self, path: str) -> list[Message]:
        return [message for where, message in self.requests if where.endswith(path)]


class _Handler(BaseHTTPRequestHandler):
    backend: Backend

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        poisoned = bool(self.backend.poison) and self.backend.poison in body
        status = 400 if poisoned else self.backend.status
        required = self.backend.required.get(self.path.split("/")[1], {})
        if any(self.headers.get_all(name) != [value] for name, value in required.items()):
            status = 401
        if status != 200:
            self.backend.refused += 1
        else:
            message = next(kind for path, kind in REQUESTS.items() if self.path.endswith(path))()
            message.ParseFromString(body)
            self.backend.requests.append((self.path, message))
            self.backend.tenants.append(self.headers["X-Scope-OrgID"])
        answer = self.backend.reason.encode() if status != 200 else b""
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8" if answer else "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        if self.backend.location:
            self.send_header("Location", self.backend.location)
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        page = b"<form>sign in</form>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@contextmanager
def otlp_backend(tls: ssl.SSLContext | None = None) -> Iterator[Backend]:
    """A recording back end on a free port, by default without TLS."""
    backend = Backend(scheme="https" if tls else "http")
    handler = type("Handler", (_Handler,), {"backend": backend})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        backend.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Collector:
    """A running Collector."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def send(self, path: str, request: Message, headers: dict[str, str] | None = None) -> int:
        body = request.SerializeToString()
        return post(self.address + path, body, "application/x-protobuf", headers)

    def send_json(self, path: str, body: bytes) -> int:
        return post(self.address + path, body, "application/json")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(TIMEOUT)


def collector_environment(backend_address: str, folder: Path, **more: str) -> dict[str, str]:
    """Returns the variables of collector/agent.yaml, with free ports and one back end for everything."""
    grpc, http, health = free_ports(3)
    return {
        "PATH": os.environ["PATH"],
        "PROMETHEUS_OTLP_ENDPOINT": backend_address + "/prometheus",
        "LOKI_OTLP_ENDPOINT": backend_address + "/loki",
        "TEMPO_OTLP_ENDPOINT": backend_address + "/tempo",
        "OTELCOL_QUEUE_DIR": str(folder / "queue"),
        "OTELCOL_GRPC_PORT": str(grpc),
        "OTELCOL_HTTP_PORT": str(http),
        "OTELCOL_HEALTH_PORT": str(health),
        **more,
    }


def _host(environment: dict[str, str], variable: str) -> str:
    """Returns the host of a URL."""
    address = environment.get(variable, "127.0.0.1")
    return f"[{address}]" if ":" in address else address


@contextmanager
def running_collector(
    binary: Path, environment: dict[str, str], folder: Path, configs: Sequence[str] = ("agent.yaml",)
) -> Iterator[Collector]:
    """Runs a healthy Collector; stops it at the end unless the test did."""
    arguments = [part for name in configs for part in ("--config", str(ROOT / "collector" / name))]
    log = folder / "collector.log"
    with log.open("ab") as output:
        process = subprocess.Popen([str(binary), *arguments], env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        health = f"http://{_host(environment, 'OTELCOL_HEALTH_HOST')}:{environment['OTELCOL_HEALTH_PORT']}"

        def healthy() -> bool:
            assert process.poll() is None, log.read_text()
            return get(health) == 200

        eventually(healthy)
        address = f"http://{_host(environment, 'OTELCOL_BIND')}:{environment['OTELCOL_HTTP_PORT']}"
        yield Collector(address, process, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(TIMEOUT)


@dataclass(frozen=True)
class Stack:
    """The addresses that `stack.py` printed."""

    addresses: dict[str, str]
    folder: Path


@contextmanager
def prometheus(folder: Path, config: Path, features: str = "", *more: str, port: int = 0) -> Iterator[str]:
    """Prometheus with no more than the named optional features, by default on a free port; gives its address."""
    port = port or free_port()
    arguments = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}", "--log.level=error", *more]
    listen = [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-otlp-receiver"]
    listen += [f"--enable-feature={features}"] if features else []
    with subprocess.Popen([str(built_servers.binary("prometheus")), *arguments, *listen]) as process:
        try:
            eventually(lambda: get(f"http://127.0.0.1:{port}/-/ready") == 200)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def write_settings(folder: Path, *rule_files: str) -> Path:
    """Writes prometheus.yml as shipped, but with these rules only and without the addresses of other servers."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    kept = {name: config[name] for name in ("global", "otlp", "storage")}
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump({**kept, "rule_files": list(rule_files)}))
    return path


def write_rules(folder: Path, *names: str, windows: str = "1h|7d") -> Path:
    """Writes rule files and a configuration that reads them; returns the path of the configuration.

    `increase` extrapolates by the number of samples, which differs by one between replicas that live for seconds. Here
    it is replaced by the last value, which is the same since all counts start at 0; promtool tests the rules as shipped.
    """
    (folder / "rules").mkdir()
    for name in names:
        content = yaml.safe_load((PROMETHEUS / "rules" / f"{name}.yaml").read_text())
        for group in content["groups"]:
            group["interval"] = "1s"
            for rule in group["rules"]:
                rule["expr"] = re.sub(rf"increase(\([^()]*\[(?:{windows})\]\))", r"last_over_time\1", rule["expr"])
        (folder / "rules" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return write_settings(folder, "rules/*.yaml")


def deploy_replicas(script: str, replicas: int, endpoint: str, folder: Path) -> None:
    """Predicts and labels with a number of processes, as a script of this folder does."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_ML_INSTANCE_DIR": str(folder / f"slots-{replicas}"),
    }
    command = [sys.executable, str(Path(__file__).parent / script), str(replicas), f"sqlite:///{folder}/{replicas}.db"]
    subprocess.run(command, env=environment, check=True, timeout=120)


def promql(address: str, expression: str) -> list[dict[str, Any]]:
    """Returns the series of an instant query."""
    url = f"{address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        found: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return found
