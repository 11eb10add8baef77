"""From OTLP values to bounded plain text; everything that a sender controls passes through here."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from otel_ml.console.storage._tables import Key

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

TEXT_LIMIT = 16 << 10
"""Characters of one name, message or attribute value."""
ATTRIBUTES_LIMIT = 64 << 10
"""Characters of all attributes of one record, as JSON."""
SCOPE_LIMIT = 2 << 10
"""Characters of all attributes of one scope, which each of its records repeats."""
BODY_LIMIT = 1 << 20
"""Characters of one log body; room for a batch of a hundred rows."""
INT64_MAX = (1 << 63) - 1

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line separators, bidirectional overrides and lone surrogates."""
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z^-~])")
"""What a terminal does not print: colours, moves of the cursor, the address of a link, character sets."""
_PRINTED = "exception."
"""Attributes with text that was made for a terminal."""
_BLANKS = frozenset("\t\n\r\u2028\u2029")
_ESCAPE = re.compile(r"\\(?:u[dD][89aAbB]\w\w\\u[dD][c-fC-F]\w\w|(?P<half>u[dD][89a-fA-F]\w\w)|.)", re.DOTALL)
"""An escape of a JSON text: a whole character in two halves, a lone half, or any other."""
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DEPTH = 100
"""Levels of values in values; protobuf reads no more either."""


class Trimmer:
    """Turns the values of one request into bounded text and counts the records it had to shorten."""

    def __init__(self) -> None:
        self.trimmed = 0

    def line(self, value: str) -> str:
        """A name or message, as `line`."""
        self.trimmed += len(value) > TEXT_LIMIT
        return line(value, TEXT_LIMIT)

    def optional_line(self, value: str) -> str | None:
        """A name or message, as `line`; None for the empty string, which protobuf sends for an absent one."""
        return self.line(value) if value else None

    def block(self, value: str, limit: int) -> str:
        """A value or body, as `block`."""
        self.trimmed += len(value) > limit
        return block(value, limit)

    def attributes(self, pairs: Iterable[KeyValue], limit: int = ATTRIBUTES_LIMIT) -> dict[str, Any]:
        """Attributes as plain values; the first of a repeated key wins, those beyond the limit are dropped."""
        plain: dict[str, Any] = {}
        remaining = limit
        for pair in pairs:
            value = self.value(pair.value)
            if isinstance(value, str) and pair.key.startswith(_PRINTED):
                value = self.printed(self.both_ends(pair.value.string_value), TEXT_LIMIT)
            remaining -= len(pair.key) + len(dump(value) if isinstance(value, (dict, list)) else str(value))
            if remaining < 0:
                self.trimmed += 1
                break
            plain.setdefault(self.line(pair.key), value)
        return plain

    def value(self, value: AnyValue) -> Any:
        """One OTLP value as str, bool, int, float, list, dict or None; bytes become base64 text."""
        kind = value.WhichOneof("value")
        if kind is None:
            return None
        if kind == "string_value":
            return self.block(value.string_value, TEXT_LIMIT)
        if kind == "array_value":
            return [self.value(item) for item in value.array_value.values]
        if kind == "kvlist_value":
            return {self.line(pair.key): self.value(pair.value) for pair in value.kvlist_value.values}
        if kind == "bytes_value":
            return self.line(base64.b64encode(value.bytes_value).decode("ascii"))
        return getattr(value, kind)

    def first(self, values: Iterable[Any], limit: int) -> list[Any]:
        """The first values, at most as many as the limit."""
        kept = list(values)
        if len(kept) > limit:
            self.trimmed += 1
        return kept[:limit]

    def printed(self, value: str, limit: int) -> str:
        """A text that was made for a terminal, as `block`, without what a terminal does not print."""
        return self.block(_TERMINAL.sub("", value), limit)

    def both_ends(self, value: str) -> str:
        """Start and end of a long text: a stack trace has what failed at one of them, and why at the other."""
        if len(value) <= TEXT_LIMIT:
            return value
        self.trimmed += 1
        first = TEXT_LIMIT // 4
        return f"{value[:first]}\n…\n{value[first + 3 - TEXT_LIMIT :]}"

    def body(self, value: AnyValue) -> str:
        """A log body as text: a string as `printed`, anything else as JSON."""
        if value.WhichOneof("value") == "string_value":
            return self.printed(value.string_value, BODY_LIMIT)
        plain = self.value(value)
        return "" if plain is None else self.block(dump(plain), BODY_LIMIT)


def line(value: str, limit: int) -> str:
    """One clean line of at most `limit` characters, for names, ids, labels and messages.

    Line breaks and tabs become spaces; other control characters, bidirectional overrides and lone surrogates become
    U+FFFD. This is the rule of the SDK, written again: the console knows nothing of the SDK.
    """
    value = value[:limit]
    return value if value.isprintable() else _UNPRINTABLE.sub(_replacement, value)


def block(value: str, limit: int) -> str:
    """Clean text of at most `limit` characters in all: as `line`, but tabs stay and line breaks become line feeds.

    U+2028 and U+2029 become spaces, since a line feed would break a JSON text that holds them.
    """
    value = value[:limit]
    if value.isprintable():
        return value
    value = value.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join("\t".join(line(part, limit) for part in row.split("\t")) for row in value.split("\n"))


def json_text(text: str) -> str:
    """A JSON text with U+FFFD for each escape of half a character, which neither UTF-8 nor the database can hold."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _ESCAPE.sub(lambda found: r"\ufffd" if found["half"] else found.group(), text)


def _replacement(found: re.Match[str]) -> str:
    return " " if found.group() in _BLANKS else "\ufffd"


def dump(value: Any) -> str:
    """Compact JSON text; not-a-number and infinities as the strings that OTLP's JSON uses."""
    return _JSON.encode(finite(value))


def finite(value: Any, depth: int = _DEPTH) -> Any:
    """The same value with every non-finite float as text, since JSON cannot express it, and only so deep."""
    if not depth:
        return "…"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item, depth - 1) for item in value]
    return value


def number(value: Any) -> float | None:
    """The value as a float if it is a number, else None."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def scalar_text(value: Any) -> str | None:
    """The value as one line if it is a scalar, else None."""
    if isinstance(value, str):
        return line(value, TEXT_LIMIT)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


def nanoseconds(value: int) -> int:
    """An OTLP fixed64 time, limited to the range of a BIGINT."""
    return min(value, INT64_MAX)


def digest(*parts: bytes | str) -> Key:
    """A hash of 128 bits, as hex: equal records get equal keys, so a second delivery is recognised."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return Key(state.hexdigest())
