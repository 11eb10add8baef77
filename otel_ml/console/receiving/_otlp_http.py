"""The OTLP/HTTP protocol: content types, compression, size limits, and answers in the request's encoding."""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_ml.console.receiving._log_rows import log_rows
from otel_ml.console.receiving._metric_rows import metric_rows
from otel_ml.console.receiving._trace_rows import trace_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from otel_ml.console.receiving._decoded_request import DecodedRequest

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
BLOCK = 16 << 10
"""Bytes of a compressed body that are decompressed together."""
_MEMBERS = 1000
_OBJECTS = 1_000_000
_IDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
_RPC_CODES = {400: 3, 401: 16, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
"""google.rpc code of an HTTP status: INVALID_ARGUMENT, UNAUTHENTICATED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED,
UNAVAILABLE."""


class RefusalError(Exception):
    """A request that is answered with an error; the message is fixed text and never quotes the sender."""

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the sender may retry; None if a second attempt would fail too."""


class Signal(NamedTuple):
    """One of the three kinds of request: its messages, its rows and the field that counts refused records."""

    request: type[Message]
    response: type[Message]
    rows: Callable[[Any, int], DecodedRequest]
    rejected: str
    levels: tuple[str, str, str]
    """Fields that lead to the records: in the request, in a resource and in a scope."""


SIGNALS = {
    "traces": Signal(
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
        trace_rows,
        "rejected_spans",
        ("resource_spans", "scope_spans", "spans"),
    ),
    "metrics": Signal(
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
        metric_rows,
        "rejected_data_points",
        ("resource_metrics", "scope_metrics", "metrics"),
    ),
    "logs": Signal(
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
        log_rows,
        "rejected_log_records",
        ("resource_logs", "scope_logs", "log_records"),
    ),
}


def read_content_type(content_type: str) -> str:
    """The encoding of a content type; refuses all but two with 415."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in {PROTOBUF, JSON}:
        raise RefusalError(415, f"expected content type {PROTOBUF} or {JSON}")
    return kind


def _member() -> Any:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def inflate(body: bytes, content_encoding: str, limit: int, member_of: Callable[[], Any] = _member) -> bytes:
    """The decompressed body; never holds more than the limit in memory and takes time linear in its length."""
    coding = content_encoding.strip().lower()
    if coding in {"", "identity"} or not body:
        return body
    if coding != "gzip":
        raise RefusalError(415, "expected content encoding gzip or none")
    plain, place, rest = bytearray(), 0, memoryview(body)
    for _ in range(_MEMBERS):
        member = member_of()
        while not member.eof:
            # in blocks, since the bytes behind a member are copied
            block = rest[place : place + BLOCK]
            if not block:
                raise RefusalError(400, "the gzip body is cut off")
            try:
                plain += member.decompress(block, limit + 1 - len(plain))
            except zlib.error:
                raise RefusalError(400, "the body is not gzip") from None
            if len(plain) > limit:
                raise RefusalError(413, f"the request has more than {limit} bytes when decompressed")
            place += len(block) - len(member.unused_data)
        if place == len(body):
            return bytes(plain)
    raise RefusalError(400, f"the gzip body has more than {_MEMBERS} members")


def decode(signal: str, body: bytes, encoding: str) -> Message:
    """The request message; refuses a body that does not parse with 400."""
    message = SIGNALS[signal].request()
    if encoding == PROTOBUF:
        try:
            message.ParseFromString(body)
        except DecodeError:
            raise RefusalError(400, "the body is not a valid protobuf message of this signal") from None
        return message
    if body.count(b"{") > _OBJECTS:
        raise RefusalError(413, f"the request has more than {_OBJECTS} JSON objects")
    try:
        plain = json.loads(body)
        if not isinstance(plain, dict):
            raise RefusalError(400, "expected a JSON object")
        _hex_to_base64(plain)
        json_format.ParseDict(plain, message, ignore_unknown_fields=True)
    except (ValueError, TypeError, AttributeError, RecursionError, json_format.ParseError):
        raise RefusalError(400, "the body is not valid OTLP JSON of this signal") from None
    return message


def rows(signal: str, body: bytes, encoding: str, limit: int) -> DecodedRequest:
    """The rows of a request of at most `limit` records, received now."""
    message = decode(signal, body, encoding)
    check_size(signal, message, limit)
    decoded = SIGNALS[signal].rows(message, time.time_ns())
    decoded.size = len(body)
    return decoded


def check_size(signal: str, message: Any, limit: int) -> None:
    """Refuses with 413 if resources, scopes, records and points together exceed the limit."""
    resources, scopes, records = SIGNALS[signal].levels
    groups = getattr(message, resources)
    count = len(groups)
    for resource in groups:
        count += len(getattr(resource, scopes))
        if count > limit:
            break
        for scope in getattr(resource, scopes):
            found = getattr(scope, records)
            count += len(found)
            if signal == "metrics" and count <= limit:
                count += sum(map(_points, found))
    if count > limit:
        raise RefusalError(413, f"the request has more than {limit} records")


def _points(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return 0 if kind is None else len(getattr(metric, kind).data_points)


def accept(signal: str, encoding: str, decoded: DecodedRequest) -> bytes:
    """The answer to an accepted request; a partial success if records were refused."""
    response = SIGNALS[signal].response()
    if decoded.refused:
        partial = response.partial_success  # type: ignore[attr-defined]
        setattr(partial, SIGNALS[signal].rejected, decoded.refused)
        partial.error_message = decoded.reason
    return _encode(response, encoding)


def refuse(refusal: RefusalError, encoding: str) -> bytes:
    """The answer to a refused request: a Status message, as the protocol requires."""
    return _encode(Status(code=rpc_code(refusal), message=refusal.message), encoding)


def rpc_code(refusal: RefusalError) -> int:
    """The google.rpc code of a refusal."""
    return _RPC_CODES.get(refusal.status, 2)


def _encode(message: Message, encoding: str) -> bytes:
    if encoding == PROTOBUF:
        return message.SerializeToString()
    return json_format.MessageToJson(message, indent=None).encode("utf-8")


def _hex_to_base64(plain: dict[str, Any]) -> None:
    # OTLP's JSON has ids as hex, protobuf's JSON expects base64; user data never appears as a key of an object
    waiting: list[Any] = [plain]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            for key, value in item.items():
                if key in _IDS and isinstance(value, str):
                    item[key] = base64.b64encode(_unhex(value)).decode("ascii")
                else:
                    waiting.append(value)


def _unhex(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError:
        return b"?"  # one byte is not a valid id, so only this record is refused
