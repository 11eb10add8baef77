"""Prediction traffic for the Collector: real requests of the SDK, kept in memory, and a sink that counts what arrives.

    python tests/benchmarks/collector_traffic.py 4000       as a program: predicts this often and ends

A model with 16 features, a profile, all events and all spans predicts; what it sends is sent again and again.
"""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from load import FEATURES
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sink import points

SIGNALS = {"span": "/v1/traces", "event": "/v1/logs", "point": "/v1/metrics"}


@dataclass(frozen=True)
class Request:
    """One request as it was sent."""

    path: str
    body: bytes
    encoding: str

    @property
    def items(self) -> int:
        """The spans, log records or data points in it."""
        body = gzip.decompress(self.body) if self.encoding == "gzip" else self.body
        if self.path.endswith("/v1/traces"):
            traces = ExportTraceServiceRequest.FromString(body)
            return sum(len(scope.spans) for resource in traces.resource_spans for scope in resource.scope_spans)
        if self.path.endswith("/v1/logs"):
            logs = ExportLogsServiceRequest.FromString(body)
            return sum(len(scope.log_records) for resource in logs.resource_logs for scope in resource.scope_logs)
        return points(ExportMetricsServiceRequest.FromString(body))


@dataclass
class Sink:
    """What has arrived; the first part of the path names the sender."""

    address: str = ""
    requests: list[Request] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def count(self) -> dict[str, int]:
        """Returns the items since the last call, by sender and signal."""
        with self.changed:
            arrived, self.requests = self.requests, []
        found: Counter[str] = Counter()
        for request in arrived:
            found[request.path] += request.items
        return dict(found)


@contextmanager
def sink() -> Iterator[Sink]:
    """Runs a receiver that keeps everything, on a free port of loopback."""
    kept = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with kept.changed:
                kept.requests.append(Request(self.path, body, self.headers.get("Content-Encoding", "")))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        kept.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()


def recorded(predictions: int) -> dict[str, list[Request]]:
    """Returns the requests of one service with this many predictions, by signal."""
    with sink() as kept:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = kept.address
        subprocess.run([sys.executable, __file__, str(predictions)], env=environment, check=True)
        requests = kept.requests
    return {signal: [each for each in requests if each.path == path and each.items] for signal, path in SIGNALS.items()}


def _predict(count: int) -> None:
    from profiled import reference_profile

    import otel_ml

    telemetry = otel_ml.configure(service_name="bench", queue_size=count)
    profile = reference_profile(FEATURES)
    model = otel_ml.Model("m", "1", task="binary", capture_features="all", events="all", profile=profile)
    chance = random.Random(7)

    @model.track
    def predict(features: dict[str, float]) -> dict[str, float]:
        score = chance.random()
        return {"prediction": int(score > 0.5), "probability": score}

    for _ in range(count):
        predict({name: chance.gauss(value, 1.0) for name, value in FEATURES.items()})
    telemetry.force_flush(60.0)
    telemetry.shutdown()


if __name__ == "__main__":
    _predict(int(sys.argv[1]))
