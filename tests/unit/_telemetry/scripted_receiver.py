"""A scripted OTLP/HTTP receiver on loopback."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Reply:
    """One scripted answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    """Seconds between single bytes of the body."""
    close: bool = False
    """Close the connection without an answer."""


class Receiver:
    """What a Collector would be: it keeps what it accepted, and answers by script, then with success."""

    def __init__(self) -> None:
        self.accepted: list[tuple[str, bytes]] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.script: dict[str, list[Reply]] = {}
        self.default: dict[str, Reply] = {}
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.answer(self, body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        signal = handler.path.rsplit("/", 1)[-1]
        self.seen.append((handler.path, {key.lower(): value for key, value in handler.headers.items()}))
        queue = self.script.get(signal, [])
        reply = queue.pop(0) if queue else self.default.get(signal, Reply())
        self.released.wait(reply.delay) if reply.delay else None
        if reply.close:
            handler.close_connection = True
            return
        if reply.status == 200:
            plain = gzip.decompress(body) if handler.headers.get("content-encoding") == "gzip" else body
            self.accepted.append((signal, plain))
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(reply.body)))
        handler.end_headers()
        for index in range(len(reply.body) if reply.drip else 0):
            handler.wfile.write(reply.body[index : index + 1])
            handler.wfile.flush()
            if self.released.wait(reply.drip):
                return
        if not reply.drip:
            handler.wfile.write(reply.body)

    def trace_requests(self) -> list:
        return [ExportTraceServiceRequest.FromString(body) for signal, body in self.accepted if signal == "traces"]

    def spans(self) -> list:
        return [s for r in self.trace_requests() for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

    def logs(self) -> list:
        requests = [ExportLogsServiceRequest.FromString(body) for signal, body in self.accepted if signal == "logs"]
        return [s for r in requests for rs in r.resource_logs for ss in rs.scope_logs for s in ss.log_records]

    def points(self) -> int:
        requests = [
            ExportMetricsServiceRequest.FromString(body) for signal, body in self.accepted if signal == "metrics"
        ]
        metrics = [m for r in requests for rm in r.resource_metrics for sm in rm.scope_metrics for m in sm.metrics]
        return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics)

    def counted(self) -> dict[str, int]:
        return {"traces": len(self.spans()), "metrics": self.points(), "logs": len(self.logs())}

    def requests(self, signal: str) -> int:
        return sum(path.endswith(signal) for path, _ in self.seen)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
