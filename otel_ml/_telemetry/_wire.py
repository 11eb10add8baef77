"""OTLP requests joined from encoded records: in protobuf's wire format, repeated fields are concatenated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Encoded(NamedTuple):
    """One span, log record or metric as protobuf bytes, under its scope."""

    scope: bytes
    """Fields of the Scope* message other than its records: the scope and its schema URL."""
    record: bytes
    points: int = 1
    """What the ledger counts: 1, or the data points of a metric."""


_RECORD = b"\x12"
"""Key of the records in a Scope* message: field 2, length-delimited."""
_SHORT = [bytes((number,)) for number in range(128)]


def varint(number: int) -> bytes:
    """Protobuf's base-128 form of a non-negative integer."""
    if number < 128:
        return _SHORT[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def framed(field_number: int, payload: bytes) -> bytes:
    """One length-delimited field: key, length, payload."""
    return varint(field_number << 3 | 2) + varint(len(payload)) + payload


def scope_fields(scope: bytes, schema_url: str = "") -> bytes:
    """The fields of ScopeSpans, ScopeLogs and ScopeMetrics that stand beside the records."""
    return framed(1, scope) + (framed(3, schema_url.encode()) if schema_url else b"")


def resource_fields(resource: bytes, schema_url: str = "") -> bytes:
    """The fields of ResourceSpans, ResourceLogs and ResourceMetrics that stand beside the scopes."""
    return framed(1, resource) + (framed(3, schema_url.encode()) if schema_url else b"")


def request(resource: bytes, records: Sequence[Encoded]) -> bytes:
    """An Export*ServiceRequest: the three signals share its shape, one resource with scopes with records.

    Args:
        resource: What `resource_fields` gave.
        records: Encoded records of one signal, any scopes.
    """
    by_scope: dict[bytes, list[bytes]] = {}
    last: bytes | None = None
    pieces: list[bytes] = []
    for scope, record, _ in records:
        if scope is not last:  # records of one scope mostly come together
            last = scope
            pieces = by_scope.setdefault(scope, [])
        pieces += (_RECORD, varint(len(record)), record)
    scopes = b"".join(framed(2, scope + b"".join(pieces)) for scope, pieces in by_scope.items())
    return framed(1, resource + scopes)


def count(records: Iterable[Encoded]) -> int:
    """What the ledger counts for these records."""
    return sum(encoded.points for encoded in records)


def size(records: Iterable[Encoded]) -> int:
    """Bytes of the records, without their envelope."""
    return sum(len(encoded.record) for encoded in records)
