"""OTLP as JSON: one record that breaks the protocol does not take the others of its request away."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from otel_ml.console.receiving import _ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

ERRORS: Final = (ValueError, TypeError, AttributeError, RecursionError, json_format.ParseError)
"""What JSON that is not valid OTLP raises."""
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
_INTEGERS: Final = {
    "intValue": "doubleValue", "int_value": "double_value", "asInt": "asDouble", "as_int": "as_double",
}  # fmt: skip
_FORMER: Final = {
    "instrumentationLibrarySpans": "scopeSpans",
    "instrumentationLibraryMetrics": "scopeMetrics",
    "instrumentationLibraryLogs": "scopeLogs",
    "instrumentationLibrary": "scope",
}
"""Names of fields that the protocol has renamed; as unknown ones their records would be ignored without a word."""
_INT64: Final = 1 << 63


def read(body: bytes, message: Message, levels: Sequence[str]) -> int:
    """Fills a message, and returns how many records were left out because they are not valid.

    Args:
        body: The JSON text.
        message: An empty request.
        levels: Fields that lead to the records: in the request, in a resource and in a scope.

    Raises:
        Exception: One of `ERRORS`: the request itself is not valid.
    """
    # not-a-number and infinities, which Python writes as they are, become the texts that OTLP has for them
    plain = json.loads(body.decode(json.detect_encoding(body), "replace"), parse_constant=str)
    names = {name for field in message.DESCRIPTOR.fields for name in (field.name, field.json_name)}
    if not isinstance(plain, dict) or (plain and not names & plain.keys()):
        raise TypeError  # another signal, whose records would all be unknown fields
    _convert(plain)
    try:
        json_format.ParseDict(plain, message, ignore_unknown_fields=True)
    except ERRORS:
        message.Clear()
    else:
        return 0
    plain = _valid_text(plain)
    left_out = _leave_out(plain, message.DESCRIPTOR, levels)
    json_format.ParseDict(plain, message, ignore_unknown_fields=True)
    return left_out


def _convert(plain: dict[str, Any]) -> None:
    """Makes JSON of protobuf, which has ids as base64; JavaScript sends integers of any size, old senders old names."""
    # user data never appears as a key of an object
    waiting: list[Any] = [plain]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict):
            for key, value in list(item.items()):
                if key in _IDS and isinstance(value, str):
                    item[key] = base64.b64encode(_ids.from_json(value)).decode("ascii")
                elif key in _INTEGERS and isinstance(value, (int, float)) and not _is_int64(value):
                    item[_INTEGERS[key]] = float(item.pop(key))
                elif key in _FORMER:
                    waiting.append(item.setdefault(_FORMER[key], item.pop(key)))
                else:
                    waiting.append(value)


def _is_int64(value: float) -> bool:
    return -_INT64 <= value < _INT64 and int(value) == value


def _valid_text(plain: dict[str, Any]) -> Any:
    """The same with U+FFFD for each half of a character that JavaScript has cut in two."""
    text = json.dumps(plain, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _leave_out(plain: dict[str, Any], kind: Any, levels: Sequence[str]) -> int:
    field = kind.fields_by_name[levels[0]]
    name = field.json_name if field.json_name in plain else levels[0]
    items = plain.get(name)
    if not isinstance(items, list):
        return 0
    if len(levels) > 1:
        return sum(_leave_out(item, field.message_type, levels[1:]) for item in items if isinstance(item, dict))
    plain[name] = [item for item in items if _is_valid(item, field.message_type)]
    return len(items) - len(plain[name])


def _is_valid(item: Any, kind: Any) -> bool:
    try:
        json_format.ParseDict(item, GetMessageClass(kind)(), ignore_unknown_fields=True)
    except ERRORS:
        return False
    return True
