"""An OTLP/HTTP receiver on loopback: as a program it counts spans, log records and metric points, and discards them."""

from __future__ import annotations

import argparse
import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {"/v1/traces": "spans", "/v1/logs": "logs", "/v1/metrics": "points"}
BODIES: list[tuple[str, bytes]] = []
"""Requests stay undecoded while a contender is timed: decoding would compete with it for the CPU."""


def count() -> dict[str, int]:
    """Decodes and counts what has arrived since the last request."""
    counts: Counter[str] = Counter()
    while BODIES:
        path, body = BODIES.pop()
        counts[KINDS[path]] += items(path, body)
    return dict(counts)


def items(path: str, body: bytes) -> int:
    """Counts the spans, log records or data points of one request."""
    if path.endswith("/v1/traces"):
        traces = ExportTraceServiceRequest.FromString(body)
        return sum(len(scope.spans) for resource in traces.resource_spans for scope in resource.scope_spans)
    if path.endswith("/v1/logs"):
        logs = ExportLogsServiceRequest.FromString(body)
        return sum(len(scope.log_records) for resource in logs.resource_logs for scope in resource.scope_logs)
    return points(ExportMetricsServiceRequest.FromString(body))


def points(request: ExportMetricsServiceRequest) -> int:
    """Counts the data points of one export: a counter or a histogram with one set of attributes is one."""
    return sum(
        len(getattr(metric, str(metric.WhichOneof("data"))).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


class Handler(BaseHTTPRequestHandler):
    """Accepts everything; ``GET /count`` returns the counts and resets them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.take(body, self.headers.get("Content-Encoding", ""))
        self._answer(b"", "application/x-protobuf")

    def take(self, body: bytes, encoding: str) -> None:
        """Takes one request."""
        BODIES.append((self.path, gzip.decompress(body) if encoding == "gzip" else body))

    def do_GET(self) -> None:
        self._answer(json.dumps(count()).encode(), "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Logs nothing."""


@contextmanager
def serving(handler: type[Handler]) -> Iterator[str]:
    """Runs a receiver in a thread, on a free port; yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 for any (default: %(default)s)")
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
