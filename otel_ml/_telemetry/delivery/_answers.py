"""What the body of an answer that took the request says: records that were refused, or that nobody took anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_ml.config import Signal

PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_PAGE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|meta|script|title|!--|\?xml)", re.IGNORECASE
)

_RESPONSES: Final[dict[Signal, tuple[Callable[[], Any], str]]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
}


class Said(NamedTuple):
    """One body, read."""

    rejected: int = 0
    """Records that the receiver refused, as it says; never negative."""
    remark: str = ""
    """What the operator should know, without any of the body."""


def is_page(content: bytes) -> bool:
    """Whether this is a web page.

    No OTLP receiver answers with one. A captive portal, a login page or a proxy does, and it has thrown the records
    away, whatever its status says.
    """
    return _PAGE.match(content) is not None


def read(signal: Signal, content: bytes, kind: str = PROTOBUF) -> Said:
    """Reads the body of a 2xx answer.

    The specification asks receivers for protobuf under its content type, but tells a client what to do by the status
    alone, and receivers exist that took the records and answer with ``{}``, ``OK`` or nothing; the Collector's exporter
    and the stock ones count these as sent. So a body that cannot be read takes nothing away; it is worth a remark.

    Args:
        signal: What was sent.
        content: The body, as far as it was read.
        kind: Its content type. Partial success is read from protobuf and from JSON.
    """
    media = kind.partition(";")[0].strip().lower()
    if not content:
        return Said()
    if media == PROTOBUF:
        return _from(signal, content, Message.ParseFromString)
    if media == _JSON:
        return _from(signal, content, _parse_json)
    return Said(remark="with an answer that is not OTLP")


def _from(signal: Signal, content: bytes, parse: Callable[[Any, bytes], object]) -> Said:
    from google.protobuf.json_format import ParseError

    make, name = _RESPONSES[signal]
    message = make()
    try:
        parse(message, content)
    except (DecodeError, ParseError, ValueError):
        return Said(remark="with an answer that cannot be read")
    partial = message.partial_success
    return Said(max(0, int(getattr(partial, name))), "with a warning" if partial.error_message else "")


def _parse_json(message: Message, content: bytes) -> None:
    from google.protobuf import json_format

    json_format.Parse(content, message, ignore_unknown_fields=True)
