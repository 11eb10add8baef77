"""OTLP requests joined from encoded records: in protobuf's wire format, repeated fields are concatenated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Final, TypeAlias

Encoded: TypeAlias = tuple[bytes, bytes, int]
"""Spans, log records or metrics of one scope: its fields, the records with their frames, and what the ledger counts.

The scope is the fields of the Scope* message other than its records. The records are as they stand in that message, one
behind the other. The count is 1 for each, or the data points of a metric.
Plain tuples, since the garbage collector stops looking at those that hold no containers.
"""

RUN_BYTES: Final = 1 << 20
"""Records that take more together are not joined: what a receiver finds too large must come apart."""
_KINDS: Final = frozenset({5, 7, 9, 10, 11})
"""Gauge, Sum, Histogram, ExponentialHistogram and Summary in a Metric."""
_FIXED: Final = {1: 8, 5: 4}
"""Bytes of the fixed-size wire types."""
_VARINT_BYTES: Final = 10
_FRAMES, _COUNT = itemgetter(1), itemgetter(2)
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
        frame = _RECORD + varint(length)
        if len(self) < _FRAMES_KEPT:
            self[length] = frame
        return frame


_RECORD: Final = b"\x12"
_FRAMES_KEPT: Final = 4096
FRAMES: Final = _Frames()


def encoded(scope: bytes, record: bytes, count: int = 1) -> Encoded:
    """One record."""
    return scope, FRAMES[len(record)] + record, count


def joined(scope: bytes, frames: Sequence[bytes]) -> list[Encoded]:
    """Records that have their frames already and count 1 each; as one if they are not too long."""
    if not frames:
        return []
    run = b"".join(frames)
    if len(run) <= RUN_BYTES:
        return [(scope, run, len(frames))]
    return list(zip(repeat(scope), frames, repeat(1), strict=False))


def apart(run: Encoded) -> list[Encoded]:
    """The records of a run one by one."""
    scope, frames, count = run
    records = []
    start = 0
    while start < len(frames):
        end = start + len(_RECORD)
        length = shift = 0
        while True:
            part = frames[end]
            end += 1
            length |= (part & 127) << shift
            shift += 7
            if part < 128:
                break
        end += length
        records.append(frames[start:end])
        start = end
    if len(records) == 1:  # a metric counts its points
        return [run]
    return list(zip(repeat(scope), records, repeat(count // len(records)), strict=False))


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
    for scope, frames, _ in records:
        by_scope.setdefault(scope, []).append(frames)
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


def taken_apart(request: bytes, *, points: bool) -> tuple[bytes, list[Encoded]]:
    """The resource's fields and the records one by one of what `request` has made.

    Args:
        request: An Export*ServiceRequest of one resource.
        points: Whether the ledger counts the data points of a record (metrics).

    Raises:
        ValueError: It is something else.
    """
    resources = list(_fields(request))
    if [number for number, _, _ in resources] != [1]:
        raise ValueError("not the request of one resource")
    resource = b""
    records: list[Encoded] = []
    for number, field, payload in _fields(resources[0][2]):
        if number != 2:
            resource += field
            continue
        fields = list(_fields(payload))
        scope = b"".join(field for number, field, _ in fields if number != 2)
        records += [(scope, field, _points(record) if points else 1) for number, field, record in fields if number == 2]
    return resource, records


def _points(metric: bytes) -> int:
    """The data points of a metric: field 1 of each of its five kinds."""
    kinds = [payload for number, _, payload in _fields(metric) if number in _KINDS]
    return sum(number == 1 for kind in kinds for number, _, _ in _fields(kind))


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, whole field, and payload of each field; ValueError where it is none."""
    start = 0
    while start < len(message):
        key, begin = _number(message, start)
        wire_type = key & 7
        if wire_type == 2:
            length, begin = _number(message, begin)
        elif wire_type == 0:
            length = _number(message, begin)[1] - begin
        elif wire_type in _FIXED:
            length = _FIXED[wire_type]
        else:
            raise ValueError("no field")
        end = begin + length
        if end > len(message):
            raise ValueError("cut off")
        yield key >> 3, message[start:end], message[begin:end]
        start = end


def _number(message: bytes, start: int) -> tuple[int, int]:
    """A varint and where it ends."""
    value = 0
    for index, part in enumerate(message[start : start + _VARINT_BYTES]):
        value |= (part & 127) << 7 * index
        if part < 128:
            return value, start + index + 1
    raise ValueError("no varint")


def count(records: Iterable[Encoded]) -> int:
    """What the ledger counts for these records."""
    return sum(map(_COUNT, records))


def size(records: Iterable[Encoded]) -> int:
    """Bytes of the records, without their envelope."""
    return sum(map(len, map(_FRAMES, records)))
