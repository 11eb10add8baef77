"""The OTLP/gRPC receiver: the same checks, bounds and queue as over HTTP."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc

from otel_ml.console._options import ConsoleError
from otel_ml.console.public._grpc import TokenInterceptor
from otel_ml.console.public._token import Token
from otel_ml.console.receiving import _otlp_http
from otel_ml.console.receiving._otlp_http import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_ml.console._options import Options
    from otel_ml.console.receiving._ingest_queue import IngestQueue

_SERVICES: Final = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}
_WORKERS: Final = 16
"""Requests that are decoded or wait for the writer."""
_GRACE_SECONDS: Final = 3.0
"""Time for open requests when the console ends."""
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class GrpcReceiver:
    """Receives the three signals; accepts a request once all of it is in the file."""

    def __init__(self, ingest: IngestQueue, options: Options) -> None:
        self._ingest = ingest
        self._options = options
        self._server: Any = None

    def start(self) -> str:
        """Listens, and returns the address.

        Raises:
            ConsoleError: The port is in use.
        """
        host, port = self._options.host, self._options.grpc_port
        token = self._options.token
        self._server = grpc.server(
            ThreadPoolExecutor(_WORKERS, "otel-ml-console-grpc"),
            options=[
                ("grpc.max_receive_message_length", self._options.max_request_bytes),
                # else two consoles would share the port, each with half of the requests
                ("grpc.so_reuseport", 0),
                # else a client is cut off that asks more often than every five minutes whether the connection stands
                ("grpc.http2.max_ping_strikes", 0),
            ],
            interceptors=[] if token is None else [TokenInterceptor(Token(token))],
        )
        for signal, service in _SERVICES.items():
            handler = grpc.unary_unary_rpc_method_handler(self._export(signal))
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
        name = f"[{host}]" if ":" in host else host
        try:
            bound = self._server.add_insecure_port(f"{name}:{port}")
        except RuntimeError as error:
            raise ConsoleError(f"{name}:{port}: {error}; choose another --grpc-port (or off)") from error
        if host == "127.0.0.1" and _is_free("::1", bound):
            self._server.add_insecure_port(f"[::1]:{bound}")
        self._server.start()
        return f"{name}:{bound}"

    def stop(self) -> None:
        """Refuses further requests and waits for those that are open; safe to call before start."""
        if self._server is not None:
            self._server.stop(_GRACE_SECONDS).wait()

    def _export(self, signal: str) -> Callable[[bytes, Any], bytes]:
        def export(body: bytes, context: Any) -> bytes:
            try:
                return self._accept(signal, body)
            except RefusalError as refusal:
                _abort(context, refusal)

        return export

    def _accept(self, signal: str, body: bytes) -> bytes:
        if not self._ingest.reserve(len(body)):
            raise RefusalError(503, "too many requests are in memory")
        try:
            decoded = _otlp_http.rows(signal, body, _otlp_http.PROTOBUF, self._options.max_request_records)
            if not self._ingest.offer(decoded):
                raise RefusalError(503, "the queue is full")
        finally:
            self._ingest.release(len(body))
        if not decoded.written.result():
            raise RefusalError(503, "the file cannot be written")
        return _otlp_http.accept(signal, _otlp_http.PROTOBUF, decoded)


def _is_free(host: str, port: int) -> bool:
    """Whether a port can be had; gRPC would write lines of its own about one that cannot."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def _abort(context: Any, refusal: RefusalError) -> NoReturn:
    context.abort(_CODES[_otlp_http.rpc_code(refusal)], refusal.message)
    raise AssertionError  # abort always raises
