"""An OTLP/HTTP receiver on loopback that counts spans, log records and metric points, and discards them."""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

BODIES: list[tuple[str, bytes]] = []
"""Requests stay undecoded while a contender is timed: decoding would compete with it for the CPU."""


def count() -> dict[str, int]:
    """Decodes and counts what has arrived since the last request."""
    counts: Counter[str] = Counter()
    while BODIES:
        path, body = BODIES.pop()
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                counts["spans"] += sum(len(scope.spans) for scope in resource.scope_spans)
        elif path == "/v1/logs":
            for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                counts["logs"] += sum(len(scope.log_records) for scope in resource_logs.scope_logs)
        elif path == "/v1/metrics":
            counts["points"] += points(ExportMetricsServiceRequest.FromString(body))
    return dict(counts)


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
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        BODIES.append((self.path, body))
        self._answer(b"", "application/x-protobuf")

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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 for any (default: %(default)s)")
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
