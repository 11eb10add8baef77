"""The processes of alert_faults.py: services, Collector, Prometheus and Alertmanager on free ports of loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import build
import shortened
from stack import StackError, choose_ports
from supervise import answers

HERE = Path(__file__).resolve().parent
COLLECTOR = HERE.parent.parent / "collector" / "agent.yaml"
TEAMS = {"cards": "payments", "limits": "payments", "ranking": "search", "churn": ""}
"""The services, and the team that owns each."""
RUNBOOK = str(HERE.parent / "runbook.md")
EXPORT_MS = 1000
"""The default interval of a minute, divided by the factor 60 as well."""
STOP_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
POLL_SECONDS = 0.1


@dataclass
class Server:
    """One process that can be killed and started again; its output goes to a file."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    health: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process and waits until it is healthy."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + HEALTHY_SECONDS
        while self.health and not answers(self.health):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"{self.name} is not healthy: {self.log}")
            time.sleep(POLL_SECONDS)

    def say(self, line: str) -> None:
        """Writes a line to the process's standard input."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Stops the process with SIGKILL."""
        self._end(subprocess.Popen.kill)

    def stop(self) -> None:
        """Stops the process with SIGTERM."""
        self._end(subprocess.Popen.terminate)

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self.process is None:
            return
        how(self.process)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


@dataclass
class StandIn:
    """A log and trace server that takes everything, or answers with the status of its choice."""

    status: int = 200
    server: ThreadingHTTPServer = field(init=False)

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(outer.status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Logs nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, status: int) -> None:
        """Sets the status of all further answers."""
        self.status = status

    def stop(self) -> None:
        """Stops listening."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Pipeline:
    """All processes, and what the faults do with them."""

    def __init__(self, folder: Path, webhook: str, factor: int) -> None:
        self.folder = folder
        self.ports = choose_ports("auto", {})
        self.logs, self.traces = StandIn(), StandIn()
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("OTEL", "STACK_", "PROMETHEUS_"))
        }
        self.collector = self._collector()
        self.servers = [self._alertmanager(webhook, factor), self._prometheus(factor), self.collector]
        self.services = {name: self._service(name, team) for name, team in TEAMS.items()}

    def start_all(self) -> None:
        """Starts every process, the services last."""
        for server in [*self.servers, *self.services.values()]:
            server.start()

    def stop_all(self) -> None:
        """Stops what runs, the services first."""
        for server in [*self.services.values(), *reversed(self.servers)]:
            server.stop()
        for stand_in in (self.logs, self.traces):
            stand_in.stop()

    def say(self, service: str, state: str) -> None:
        """Tells a service what is wrong with its model."""
        self.services[service].say(state)

    def kill(self, service: str) -> None:
        """Kills a service."""
        self.services[service].kill()

    def start(self, service: str) -> None:
        """Starts a killed service again."""
        self.services[service].start()

    def is_ready(self) -> bool:
        """True once Prometheus has the figures of all services and of the Collector."""
        return self._count("model:ml_prediction_calls:rate5m > 0") == len(TEAMS) and self._count(
            "feature:ml_feature_verdict:current"
        ) >= len(TEAMS)

    def _count(self, expression: str) -> int:
        query = urllib.parse.urlencode({"query": f"count({expression})"})
        try:
            with urllib.request.urlopen(f"{self._loopback('PROMETHEUS_PORT')}/api/v1/query?{query}", timeout=5.0) as r:
                found = json.load(r)["data"]["result"]
        except (urllib.error.URLError, OSError):
            return 0
        return int(found[0]["value"][1]) if found else 0

    def _loopback(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def _server(self, name: str, command: list[str], health: str = "", **more: str) -> Server:
        environment = {**self.environment, **more}
        return Server(name, command, environment, self.folder / f"{name}.log", health)

    def _alertmanager(self, webhook: str, factor: int) -> Server:
        address = f"127.0.0.1:{self.ports['ALERTMANAGER_PORT']}"
        config = shortened.write_alertmanager(self.folder, webhook, factor)
        command = [str(build.build("alertmanager")), "--config.file", str(config)]
        command += ["--storage.path", str(self.folder / "alertmanager"), "--web.listen-address", address]
        command += ["--cluster.listen-address", "", "--log.level", "debug"]
        return self._server("alertmanager", command, f"http://{address}/-/ready")

    def _prometheus(self, factor: int) -> Server:
        addresses = {name: f"127.0.0.1:{self.ports[f'{name.upper()}_PORT']}" for name in ("prometheus", "alertmanager")}
        address = addresses["prometheus"]
        config = shortened.write_prometheus(self.folder, addresses, factor)
        command = [str(build.build("prometheus")), "--config.file", str(config), "--web.enable-otlp-receiver"]
        command += ["--enable-feature", "exemplar-storage,created-timestamp-zero-ingestion"]
        command += ["--storage.tsdb.path", str(self.folder / "prometheus"), "--web.listen-address", address]
        command += ["--query.lookback-delta", shortened.shorten("5m", factor)]
        command += ["--rules.alert.resend-delay", shortened.shorten("1m", factor), "--log.level", "warn"]
        return self._server("prometheus", command, f"http://{address}/-/ready", OTEL_ML_RUNBOOK=RUNBOOK)

    def _collector(self) -> Server:
        command = [str(build.build("collector")), "--config", str(COLLECTOR)]
        return self._server(
            "collector",
            command,
            self._loopback("COLLECTOR_HEALTH_PORT"),
            PROMETHEUS_OTLP_ENDPOINT=self._loopback("PROMETHEUS_PORT") + "/api/v1/otlp",
            LOKI_OTLP_ENDPOINT=self.logs.address,
            TEMPO_OTLP_ENDPOINT=self.traces.address,
            OTELCOL_QUEUE_DIR=str(self.folder / "queue"),
            OTELCOL_SELF_INTERVAL_MS=str(EXPORT_MS),
            OTELCOL_GRPC_PORT=str(self.ports["COLLECTOR_GRPC_PORT"]),
            OTELCOL_HTTP_PORT=str(self.ports["COLLECTOR_HTTP_PORT"]),
            OTELCOL_HEALTH_PORT=str(self.ports["COLLECTOR_HEALTH_PORT"]),
        )

    def _service(self, name: str, team: str) -> Server:
        attributes = f"deployment.environment.name=local{f',team={team}' if team else ''}"
        return self._server(
            name,
            [sys.executable, str(HERE / "faulty_service.py")],
            OTEL_SERVICE_NAME=name,
            OTEL_RESOURCE_ATTRIBUTES=attributes,
            OTEL_METRIC_EXPORT_INTERVAL=str(EXPORT_MS),
            OTEL_EXPORTER_OTLP_ENDPOINT=self._loopback("COLLECTOR_HTTP_PORT"),
            OTEL_ML_INSTANCE_DIR=str(self.folder / "slots"),
        )
