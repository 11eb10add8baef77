"""An OTLP/HTTP receiver on loopback, on plain sockets, that misbehaves as a test asks."""

from __future__ import annotations

import gzip
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from reserved_ports import free_port

from otel_ml import _guard


@dataclass
class Reply:
    """One answer. ``stores`` says whether the request is kept; None keeps it with status 200."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    head_drip: float = 0.0
    """Seconds between single bytes of the status line and headers."""
    drip: float = 0.0
    """Seconds between single bytes of the body."""
    cut: str = ""
    """``before``: the connection ends without an answer; ``mid``: in the middle of the body; ``reset``: by RST."""
    size: int | None = None
    """Announces and sends this many bytes, as long as the client reads them."""
    stores: bool | None = None


class Receiver:
    """Answers by script (a list for each signal), then by default (``default``), then with success."""

    def __init__(self) -> None:
        self.script: dict[str, list[Reply]] = {}
        self.default: dict[str, Reply] = {}
        self.requests: Counter[str] = Counter()
        """Requests of each signal, kept or not."""
        self.heads: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.sent_bytes = 0
        self.accepted: list[tuple[str, bytes]] = []
        """Signal and body of each request that was kept."""
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._port = free_port()
        self.open()
        self.url = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Starts to listen; after `close`, on the same port again."""
        self._released = threading.Event()
        listener = socket.create_server(("127.0.0.1", self._port), backlog=128)
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening and cuts every connection."""
        self._released.set()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            listener.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            listener.close()
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def trace_requests(self) -> list:
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies("traces")]

    def spans(self) -> list:
        return [
            span
            for request in self.trace_requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def logs(self) -> list:
        return [
            record
            for body in self.bodies("logs")
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def metric_requests(self) -> list:
        return [ExportMetricsServiceRequest.FromString(body) for body in self.bodies("metrics")]

    def metrics(self) -> dict:
        """Returns the points of the last export of each metric by name, without those at zero that came with them."""
        return {
            metric.name: list(
                {str(p.attributes): p for p in getattr(metric, metric.WhichOneof("data")).data_points}.values()
            )
            for request in self.metric_requests()
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self) -> int:
        return sum(
            len(getattr(metric, metric.WhichOneof("data")).data_points)
            for request in self.metric_requests()
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )

    def instances(self) -> set[str]:
        """Returns the `service.instance.id` of every resource that sent something."""
        found = set()
        with self._changed:
            stored = list(self.accepted)
        for signal, body in stored:
            kind = {"traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest}.get(
                signal, ExportMetricsServiceRequest
            )
            request = kind.FromString(body)
            for resource in getattr(request, request.DESCRIPTOR.fields[0].name):
                found |= {p.value.string_value for p in resource.resource.attributes if p.key == "service.instance.id"}
        return found

    def everything(self) -> bytes:
        """Returns all stored bytes."""
        with self._changed:
            return b"\n".join(body for _, body in self.accepted)

    def counted(self) -> dict[str, int]:
        return {"traces": len(self.spans()), "metrics": self.points(), "logs": len(self.logs())}

    def duplicates(self) -> int:
        """Returns spans and events that arrived more than once, by span id."""
        spans = [span.span_id for span in self.spans()]
        logs = [(record.span_id, record.event_name) for record in self.logs() if record.span_id]
        return len(spans) - len(set(spans)) + len(logs) - len(set(logs))

    def wait_for(self, condition, timeout: float = 60.0) -> None:
        """Waits until stored data makes a condition true."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self), timeout):
                raise AssertionError(f"it did not come: {self.counted()}")

    def bodies(self, signal: str) -> list[bytes]:
        """Returns the kept requests of one signal."""
        with self._changed:
            return [body for kind, body in self.accepted if kind == signal]

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while self._exchange(connection, stream):
                    pass
        except OSError:
            pass
        finally:
            with self._changed:
                self._connections.discard(connection)

    def _exchange(self, connection: socket.socket, stream) -> bool:
        if stream.peek(1)[:1] == b"\x16":  # a TLS hello, on a plain port
            return False
        head = []
        while (line := stream.readline()) not in {b"\r\n", b""}:
            head.append(line.decode("latin-1").strip())
        if not head:
            return False
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = stream.read(int(headers.get("content-length", 0)))
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        signal = head[0].split(" ")[1].rsplit("/", 1)[-1]
        with self._changed:
            self.requests[signal] += 1
            self.heads.append("\n".join(head))
            self.headers.append(headers)
            scripted = self.script.get(signal)
            reply = scripted.pop(0) if scripted else self.default.get(signal, Reply())
            if reply.stores or (reply.stores is None and reply.status == 200):
                self.accepted.append((signal, body))
                self._changed.notify_all()
        return self._answer(connection, reply)

    def _answer(self, connection: socket.socket, reply: Reply) -> bool:
        if reply.delay and self._released.wait(reply.delay):
            return False
        if reply.cut == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        if reply.cut in {"before", "reset"}:
            return False
        length = reply.size if reply.size is not None else len(reply.body)
        headers = {"content-type": "application/x-protobuf", "content-length": str(length), **reply.headers}
        head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        if not self._send(connection, head.encode("latin-1"), reply.head_drip):
            return False
        if reply.cut == "mid":
            connection.sendall(reply.body[: len(reply.body) // 2])
            return False
        if reply.size is not None:
            chunk = bytes(65536)
            while self.sent_bytes < reply.size:
                self.sent_bytes += connection.send(chunk)
            return False
        return self._send(connection, reply.body, reply.drip)

    def _send(self, connection: socket.socket, content: bytes, drip: float) -> bool:
        if not drip:
            connection.sendall(content)
            return True
        for index in range(len(content)):
            connection.sendall(content[index : index + 1])
            if self._released.wait(drip):
                return False
        return True


@pytest.fixture
def receiver():
    """An open receiver. Conftest files import this fixture and the next by name."""
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh_guard():
    """Every test starts without internal errors and with every log line still unlogged."""
    _guard.reset()
    yield
    _guard.reset()
