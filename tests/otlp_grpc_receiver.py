"""An OTLP/gRPC receiver on loopback: a real server that answers by script, then with success."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

SIGNALS = {
    "traces": (trace_service_pb2_grpc, "TraceService", trace_service_pb2.ExportTraceServiceResponse),
    "metrics": (metrics_service_pb2_grpc, "MetricsService", metrics_service_pb2.ExportMetricsServiceResponse),
    "logs": (logs_service_pb2_grpc, "LogsService", logs_service_pb2.ExportLogsServiceResponse),
}


@dataclass
class GrpcReply:
    """One answer: a failure with its code, or a success with the refused records."""

    code: str = "OK"
    details: str = ""
    retry_delay: float | None = None
    """Seconds of a RetryInfo in the status."""
    rejected: int = 0
    message: str = ""
    delay: float = 0.0
    """Seconds before the answer."""


class GrpcReceiver:
    """Answers by script (a list for each signal), then by default (``default``), then with success."""

    def __init__(self) -> None:
        self.script: dict[str, list[GrpcReply]] = {}
        self.default: dict[str, GrpcReply] = {}
        self.accepted: list[tuple[str, object]] = []
        self.requests: list[str] = []
        self.metadata: list[dict[str, str]] = []
        self.port = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Starts to listen; after `close`, on the same port again."""
        self._pool = ThreadPoolExecutor(4)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        for signal, (module, name, response) in SIGNALS.items():
            servicer = type(name, (getattr(module, f"{name}Servicer"),), {"Export": self._exporting(signal, response)})
            getattr(module, f"add_{name}Servicer_to_server")(servicer(), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def close(self) -> None:
        self._server.stop(0).wait()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def spans(self) -> list:
        return self._records("traces", "resource_spans", "scope_spans", "spans")

    def logs(self) -> list:
        return self._records("logs", "resource_logs", "scope_logs", "log_records")

    def points(self) -> int:
        metrics = self._records("metrics", "resource_metrics", "scope_metrics", "metrics")
        return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics)

    def counted(self) -> dict[str, int]:
        return {"traces": len(self.spans()), "metrics": self.points(), "logs": len(self.logs())}

    def _records(self, signal: str, *fields: str) -> list:
        found = [request for kind, request in self.accepted if kind == signal]
        for field in fields:
            found = [item for outer in found for item in getattr(outer, field)]
        return found

    def _exporting(self, signal: str, response):
        def export(_servicer, request, context):
            self.requests.append(signal)
            self.metadata.append(dict(context.invocation_metadata()))
            scripted = self.script.get(signal)
            reply = scripted.pop(0) if scripted else self.default.get(signal, GrpcReply())
            if reply.delay:
                context_ended = threading.Event()
                context.add_callback(context_ended.set)
                context_ended.wait(reply.delay)
            if reply.code != "OK":
                if reply.retry_delay is not None:
                    context.set_trailing_metadata((("grpc-status-details-bin", status(reply)),))
                context.abort(grpc.StatusCode[reply.code], reply.details)
            self.accepted.append((signal, request))
            answer = response()
            partial = answer.partial_success
            if reply.rejected or reply.message:
                setattr(partial, partial.DESCRIPTOR.fields[0].name, reply.rejected)
                partial.error_message = reply.message
            return answer

        return export


def status(reply: GrpcReply) -> bytes:
    """Returns the trailers that `status.WithDetails(RetryInfo)` of a Go server sends."""
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(int(reply.retry_delay * 1e9))
    detail = Any()
    detail.Pack(info)
    return Status(
        code=grpc.StatusCode[reply.code].value[0], message=reply.details, details=[detail]
    ).SerializeToString()
