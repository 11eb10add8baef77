"""Protobuf's wire format: the few pieces of it that our OTLP encoders write and that we read back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_FIXED: Final = {1: 8, 5: 4}
"""Bytes of the fixed-size wire types."""
_VARINT_BYTES: Final = 10
_ONE_BYTE: Final = [bytes((number,)) for number in range(128)]
_KEYS: Final[dict[str, bytes]] = {}
_KEYS_KEPT: Final = 64
_SHORT: Final = 124
"""Bytes of key and value up to which every length of an attribute takes one byte."""
_INT64: Final = (1 << 64) - 1
_DOUBLE: Final = struct.Struct("<d")


def varint(number: int) -> bytes:
    """Encodes a non-negative integer in base 128."""
    if number < 128:
        return _ONE_BYTE[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def tag(number: int) -> bytes:
    """Encodes what precedes the length of a length-delimited field."""
    return varint(number << 3 | 2)


def field(number: int, payload: bytes) -> bytes:
    """Encodes one length-delimited field: tag, length, payload."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def attribute(field_tag: bytes, name: str, value: object) -> bytes:
    """Encodes one `KeyValue` as a field.

    Args:
        field_tag: What `tag` gave for the field's number; one byte.
        name: The key.
        value: A text, a truth value, an integer or a float.

    Raises:
        TypeError: The value is of another type.
    """
    key = _KEYS.get(name) or _key(name)
    if type(value) is str:
        text = value.encode("utf-8", "replace")
        size = len(text)
        if size + len(key) < _SHORT:
            return b"%b%c%b%c\x0a%c%b" % (field_tag, len(key) + size + 3, key, size + 2, size, text)
        content = b"\x0a%b%b" % (varint(size), text)
    else:
        content = _number(value)
    pair = b"%b%b%b" % (key, varint(len(content)), content)
    return b"%b%b%b" % (field_tag, varint(len(pair)), pair)


def read_varint(message: bytes, start: int = 0) -> tuple[int, int]:
    """Reads a varint and returns it with the position after it.

    Raises:
        ValueError: There is none.
    """
    value = 0
    for index, byte in enumerate(message[start : start + _VARINT_BYTES]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, start + index + 1
    raise ValueError("no varint")


def fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields number, whole field, and payload of each field.

    Raises:
        ValueError: The message is malformed.
    """
    start = 0
    while start < len(message):
        key, begin = read_varint(message, start)
        wire_type = key & 7
        if wire_type == 2:
            length, begin = read_varint(message, begin)
        elif wire_type == 0:
            length = read_varint(message, begin)[1] - begin
        elif wire_type in _FIXED:
            length = _FIXED[wire_type]
        else:
            raise ValueError("no field")
        end = begin + length
        if end > len(message):
            raise ValueError("cut off")
        yield key >> 3, message[start:end], message[begin:end]
        start = end


def _number(value: object) -> bytes:
    """Encodes an `AnyValue` that is not a text."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + varint(value & _INT64)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    if isinstance(value, str):
        return field(1, value.encode("utf-8", "replace"))
    raise TypeError(f"attribute value of type {type(value).__name__}")


def _key(name: str) -> bytes:
    """The field `KeyValue.key` and the tag of the value that follows."""
    key = field(1, name.encode("utf-8", "replace")) + b"\x12"
    if len(_KEYS) < _KEYS_KEPT:
        _KEYS[name] = key
    return key
