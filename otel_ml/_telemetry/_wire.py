"""OTLP requests joined from encoded records: in protobuf's wire format, repeated fields are concatenated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import TypeAlias

Encoded: TypeAlias = tuple[bytes, bytes, int]
"""One span, log record or metric: its scope, its protobuf bytes, and what the ledger counts.

The scope is the fields of the Scope* message other than its records. The count is 1, or the data points of a metric.
Plain tuples, since the garbage collector stops looking at those that hold no containers.
"""

_SCOPE, _PAYLOAD, _COUNT = itemgetter(0), itemgetter(1), itemgetter(2)
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


class _Frames(dict[int, bytes]):
    """Key and length before a record in a Scope* message, by its length: field 2, length-delimited."""

    def __missing__(self, length: int) -> bytes:
        frame = b"\x12" + varint(length)
        if len(self) < _FRAMES_KEPT:
            self[length] = frame
        return frame


_FRAMES_KEPT = 4096
_FRAMES = _Frames()


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
    """The parts of a request as one: a single copy of half a megabyte costs more than all else that is done here."""
    return b"".join(parts(resource, records))


def parts(resource: bytes, records: Sequence[Encoded]) -> list[bytes]:
    """An Export*ServiceRequest: the three signals share its shape, one resource with scopes with records.

    Args:
        resource: What `resource_fields` gave.
        records: Encoded records of one signal, any scopes.
    """
    by_scope: dict[bytes, list[bytes]] = {}
    for scope, run in groupby(records, _SCOPE):  # records of one scope mostly come together
        payloads = list(map(_PAYLOAD, run))
        frames = map(_FRAMES.__getitem__, map(len, payloads))
        by_scope.setdefault(scope, []).extend(chain.from_iterable(zip(frames, payloads, strict=True)))
    found = [resource]
    length = len(resource)
    for scope, pieces in by_scope.items():
        volume = len(scope) + sum(map(len, pieces))
        head = b"\x12" + varint(volume)
        found += (head, scope)
        found += pieces
        length += len(head) + volume
    found.insert(0, b"\x0a" + varint(length))
    return found


def under(scope: bytes, records: Iterable[bytes]) -> list[Encoded]:
    """Records under one scope."""
    return list(zip(repeat(scope), records, repeat(1), strict=False))


def count(records: Iterable[Encoded]) -> int:
    """What the ledger counts for these records."""
    return sum(map(_COUNT, records))


def size(records: Iterable[Encoded]) -> int:
    """Bytes of the records, without their envelope."""
    return sum(map(len, map(_PAYLOAD, records)))
