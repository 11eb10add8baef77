"""What the answer to an OTLP request means for its records."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from otel_ml._export import retry
from otel_ml._protobuf import fields, read_varint
from otel_ml.config import Signal

PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_PAGE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|meta|script|title|!--|\?xml)", re.IGNORECASE
)
_BAD_RECORDS: Final = frozenset({400, 422})
_REJECTED: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("rejectedSpans", "rejected_spans"),
    "metrics": ("rejectedDataPoints", "rejected_data_points"),
    "logs": ("rejectedLogRecords", "rejected_log_records"),
}
"""The field of a partial success that says how many records were refused, as JSON names it; number 1 in protobuf."""
_INT64: Final = 1 << 63


@dataclass(frozen=True)
class Answer:
    """What became of one request."""

    kind: Literal["accepted", "rejected", "retry", "too_large"]
    detail: str = ""
    """What the operator should know, without any of the payload."""
    rejected: int = 0
    """Records that an accepting receiver refused (partial success)."""
    retry_after: float | None = None
    """Seconds that the receiver asked to wait."""
    is_about_records: bool = field(default=False, compare=False)
    """Whether the receiver refuses the content of the request, so that it may accept other records."""


BROKEN_TRANSPORT: Final = Answer("retry", "an error of the transport")
"""Used where a transport raises, which is our own bug."""


class PartialSuccess(NamedTuple):
    """The content of the body of an accepting answer."""

    rejected: int = 0
    """Records that the receiver refused; never negative."""
    remark: str = ""
    """What the operator should know, without any of the body."""


def read_http_answer(
    signal: Signal, status: int, content: bytes, retry_after: str | None = None, media_type: str = PROTOBUF
) -> Answer:
    """Reads an OTLP/HTTP answer by the specification's table.

    A web page with a 2xx status is not an acceptance: no OTLP receiver sends one. A captive portal, a login page or
    a proxy does, and it has thrown the records away. It counts as rejected and is not retried.
    """
    detail = f"HTTP {status}"
    if 200 <= status < 300:
        if _PAGE.match(content):
            return Answer("rejected", f"{detail} and a web page: this is not an OTLP receiver, or a proxy answered")
        rejected, remark = read_partial_success(signal, content, media_type)
        return Answer("accepted", remark, rejected)
    if status in retry.HTTP_STATUSES:
        return Answer("retry", detail, retry_after=retry.read_retry_after(retry_after))
    if status == 413:
        return Answer("too_large", detail)
    return Answer("rejected", detail, is_about_records=status in _BAD_RECORDS)


def read_partial_success(signal: Signal, content: bytes, media_type: str = PROTOBUF) -> PartialSuccess:
    """Reads the body of an answer that took the request.

    The specification asks receivers for protobuf under its content type, but clients decide by the status alone, and
    there are receivers that took the records and answer with ``{}``, ``OK`` or nothing; the Collector's exporter
    and the SDK's count these as sent. So a body that cannot be read changes nothing, except for a remark in the log.

    Args:
        signal: What was sent.
        content: The body, as far as it was read.
        media_type: Its content type. Partial success is read from protobuf and from JSON.
    """
    if not content:
        return PartialSuccess()
    media = media_type.partition(";")[0].strip().lower()
    if media not in {PROTOBUF, _JSON}:
        return PartialSuccess(remark="with an answer that is not OTLP")
    try:
        rejected, warning = _from_protobuf(content) if media == PROTOBUF else _from_json(signal, content)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return PartialSuccess(remark="with an answer that cannot be read")
    return PartialSuccess(max(0, rejected), "with a warning" if warning else "")


def _from_protobuf(content: bytes) -> tuple[int, bytes]:
    """Fields 1 and 2 of the response's field 1."""
    partial = b"".join(payload for number, _, payload in fields(content) if number == 1)
    rejected, warning = 0, b""
    for number, whole, payload in fields(partial):
        if number == 1 and not whole[0] & 7:
            rejected = read_varint(payload)[0]
        elif number == 2:
            warning = payload
    return (rejected if rejected < _INT64 else 0), warning


def _from_json(signal: Signal, content: bytes) -> tuple[int, Any]:
    import json

    message = json.loads(content)
    partial = message.get("partialSuccess", message.get("partial_success")) or {}
    rejected = next((partial[name] for name in _REJECTED[signal] if name in partial), 0)
    return int(rejected or 0), partial.get("errorMessage") or partial.get("error_message")
