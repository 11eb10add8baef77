"""From OTLP values to bounded plain text: the door through which everything that a sender controls has to go."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

TEXT_LIMIT = 16 << 10
"""Characters of one name, message or attribute value."""
ATTRIBUTES_LIMIT = 64 << 10
"""Characters of all attributes of one record, as JSON."""
BODY_LIMIT = 1 << 20
"""Characters of one log body; room for a batch of a hundred rows."""
INT64_MAX = (1 << 63) - 1


class Trimmer:
    """Turns the values of one request into bounded text and counts the records it had to shorten."""

    def __init__(self) -> None:
        self.trimmed = 0

    def text(self, value: str, limit: int = TEXT_LIMIT) -> str:
        """The text without NUL, cut at the limit."""
        if len(value) > limit:
            self.trimmed += 1
            value = value[:limit]
        return value.replace("\0", "\ufffd") if "\0" in value else value

    def optional(self, value: str) -> str | None:
        """As `text`; None for the empty string, which is how protobuf says absent."""
        return self.text(value) if value else None

    def attributes(self, pairs: Iterable[KeyValue]) -> dict[str, Any]:
        """Attributes as plain values; the first of a repeated key counts, what goes over the limit is left out."""
        plain: dict[str, Any] = {}
        room = ATTRIBUTES_LIMIT
        for pair in pairs:
            value = self.value(pair.value)
            room -= len(pair.key) + (len(value) if isinstance(value, str) else len(dump(value)))
            if room < 0:
                self.trimmed += 1
                break
            plain.setdefault(self.text(pair.key), value)
        return plain

    def value(self, value: AnyValue) -> Any:
        """One OTLP value as str, bool, int, float, list, dict or None; bytes become base64 text."""
        kind = value.WhichOneof("value")
        if kind is None:
            return None
        if kind == "string_value":
            return self.text(value.string_value)
        if kind == "array_value":
            return [self.value(item) for item in value.array_value.values]
        if kind == "kvlist_value":
            return {self.text(pair.key): self.value(pair.value) for pair in value.kvlist_value.values}
        if kind == "bytes_value":
            return self.text(base64.b64encode(value.bytes_value).decode("ascii"))
        return getattr(value, kind)

    def some(self, values: Iterable[Any], limit: int) -> list[Any]:
        """The first values, at most as many as the limit says."""
        kept = list(values)
        if len(kept) > limit:
            self.trimmed += 1
        return kept[:limit]

    def body(self, value: AnyValue) -> str:
        """A log body as text: a string as it is, everything else as JSON."""
        if value.WhichOneof("value") == "string_value":
            return self.text(value.string_value, BODY_LIMIT)
        plain = self.value(value)
        return "" if plain is None else self.text(dump(plain), BODY_LIMIT)


def dump(value: Any) -> str:
    """Compact JSON text; not-a-number and infinities as the strings that OTLP's JSON uses."""
    return json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"))


def finite(value: Any) -> Any:
    """The same value with every non-finite float as text, since JSON has no word for it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def number(value: Any) -> float | None:
    """The value as a double when it is a number, else None: a wrong type is no reading."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def text(value: Any) -> str | None:
    """The value as text when it is a scalar, else None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


def nanoseconds(value: int) -> int:
    """An OTLP fixed64 time inside the range of a BIGINT."""
    return min(value, INT64_MAX)


def digest(*parts: bytes | str) -> str:
    """128 bits over the parts, as hex: equal records get equal keys, so a second delivery is recognised."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()
