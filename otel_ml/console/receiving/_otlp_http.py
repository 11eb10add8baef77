"""The OTLP/HTTP protocol: content types, compression, size limits, and answers in the request's encoding."""

from __future__ import annotations

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

from otel_ml.console.receiving import _otlp_json, _zstd
from otel_ml.console.receiving._log_rows import log_rows
from otel_ml.console.receiving._metric_rows import metric_rows
from otel_ml.console.receiving._otlp_text import valid_text
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
_DAMAGED: tuple[type[Exception], ...] = (zlib.error, *_zstd.ERRORS)
_OBJECTS = 1_000_000
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


def inflate(
    body: bytes, content_encoding: str, limit: int, member_of: Callable[[int], Any] = zlib.decompressobj
) -> bytes:
    """The decompressed body; never holds more than the limit in memory and takes time linear in its length."""
    coding = content_encoding.strip().lower()
    if coding in {"", "identity"} or not body:
        return body
    open_member = _opener(coding, body, member_of)
    plain, place, rest = bytearray(), 0, memoryview(body)
    for _ in range(_MEMBERS):
        member = open_member()
        while not member.eof:
            # in blocks, since the bytes behind a member are copied
            block = rest[place : place + BLOCK]
            if not block:
                raise RefusalError(400, f"the {coding} body is cut off")
            try:
                plain += member.decompress(block, limit + 1 - len(plain))
            except _DAMAGED:
                raise RefusalError(400, f"the body is not {coding}") from None
            if len(plain) > limit:
                raise RefusalError(413, f"the request has more than {limit} bytes when decompressed")
            place += len(block) - len(member.unused_data)
        if place == len(body):
            return bytes(plain)
    raise RefusalError(400, f"the {coding} body has more than {_MEMBERS} members")


def _opener(coding: str, body: bytes, member_of: Callable[[int], Any]) -> Callable[[], Any]:
    """What begins to decompress a member, or a frame; refuses an unknown coding with 415."""
    if coding == "zstd" and _zstd.IS_KNOWN:
        return _zstd.frame
    if coding not in {"gzip", "deflate"}:
        more = ", zstd" if _zstd.IS_KNOWN else ""
        less = "; zstd needs Python 3.14 or the package backports.zstd" if coding == "zstd" else ""
        raise RefusalError(415, f"expected content encoding gzip, deflate{more} or none{less}")
    window = 16 + zlib.MAX_WBITS if coding == "gzip" else zlib.MAX_WBITS
    if coding == "deflate" and int.from_bytes(body[:2], "big") % 31:
        window = -zlib.MAX_WBITS  # without the header of zlib, as some clients understand deflate
    return lambda: member_of(window)


def decode(signal: str, body: bytes, encoding: str) -> tuple[Message, int]:
    """The request message, and how many records are not in it because they are not valid JSON of this signal.

    A body that does not parse is refused with 400.
    """
    kind = SIGNALS[signal].request
    if encoding == PROTOBUF:
        return _from_protobuf(body, kind), 0
    if body.count(b"{") > _OBJECTS:
        raise RefusalError(413, f"the request has more than {_OBJECTS} JSON objects")
    message = kind()
    try:
        return message, _otlp_json.read(body, message, SIGNALS[signal].levels)
    except _otlp_json.ERRORS:
        raise RefusalError(400, "the body is not valid OTLP JSON of this signal") from None


def _from_protobuf(body: bytes, kind: type[Message]) -> Message:
    try:
        try:
            return kind.FromString(body)
        except DecodeError:
            return kind.FromString(valid_text(body, kind))
    except DecodeError:
        raise RefusalError(400, "the body is not a valid protobuf message of this signal") from None


def rows(signal: str, body: bytes, encoding: str, limit: int) -> DecodedRequest:
    """The rows of a request of at most `limit` records, received now."""
    message, left_out = decode(signal, body, encoding)
    check_size(signal, message, limit)
    decoded = SIGNALS[signal].rows(message, time.time_ns())
    decoded.size = len(body)
    if left_out:
        decoded.refuse(left_out, "record that is not valid OTLP JSON")
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
