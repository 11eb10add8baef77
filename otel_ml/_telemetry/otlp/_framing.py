"""OTLP requests from encoded records: in protobuf's wire format, repeated fields are concatenated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import repeat
from operator import itemgetter
from typing import Final, TypeAlias

from otel_ml._protobuf import field, fields, varint
from otel_ml._telemetry._yielding import yield_to_service

Encoded: TypeAlias = tuple[bytes, bytes, int]
"""Spans, log records or metrics of one scope: its fields, the records with their frames, and what the ledger counts.

The scope is the fields of the Scope* message other than its records. The records follow each other as in that message.
The count is 1 for each, or the data points of a metric.
Plain tuples, since the garbage collector stops tracking those that hold no containers.
"""

RUN_BYTES: Final = 1 << 20
"""Longer runs are not joined: what a receiver finds too large must be split."""
_STEP_BYTES: Final = 1 << 16
"""Copying them into new memory takes up to 0.1 ms, in which no other thread runs."""
_KINDS: Final = frozenset({5, 7, 9, 10, 11})
"""Gauge, Sum, Histogram, ExponentialHistogram and Summary in a Metric."""
_FRAMES, _COUNT = itemgetter(1), itemgetter(2)


class _Frames(dict[int, bytes]):
    """Tag and length that precede a record in a Scope* message, by its length: field 2, length-delimited."""

    def __missing__(self, length: int) -> bytes:
        frame = _RECORD + varint(length)
        if len(self) < _FRAMES_KEPT:
            self[length] = frame
        return frame


_RECORD: Final = b"\x12"
_FRAMES_KEPT: Final = 4096
FRAMES: Final = _Frames()


def frame(scope: bytes, record: bytes, count: int = 1) -> Encoded:
    """Frames one record."""
    return scope, FRAMES[len(record)] + record, count


def join(scope: bytes, frames: Sequence[bytes]) -> list[Encoded]:
    """Joins framed records that count 1 each; those that are too long together stay single."""
    if not frames:
        return []
    run = b"".join(frames)
    if len(run) <= RUN_BYTES:
        return [(scope, run, len(frames))]
    return list(zip(repeat(scope), frames, repeat(1), strict=False))


def join_in_steps(chunks: Iterable[bytes]) -> bytes:
    """Joins chunks of any length, and yields to the service between two steps."""
    joined = BytesIO()
    for chunk in chunks:
        if len(chunk) <= _STEP_BYTES:
            joined.write(chunk)
        else:
            view = memoryview(chunk)
            for start in range(0, len(chunk), _STEP_BYTES):
                joined.write(view[start : start + _STEP_BYTES])
                yield_to_service()
        yield_to_service()
    return joined.getvalue()  # without a copy


def split(run: Encoded) -> list[Encoded]:
    """Splits a run into its records."""
    scope, frames, count = run
    records = [record for _, record, _ in fields(frames)]
    if len(records) == 1:  # a metric counts its points
        return [run]
    return list(zip(repeat(scope), records, repeat(count // len(records)), strict=False))


def scope_fields(scope: bytes, schema_url: str = "") -> bytes:
    """Encodes the fields of ScopeSpans, ScopeLogs and ScopeMetrics other than the records."""
    return field(1, scope) + (field(3, schema_url.encode()) if schema_url else b"")


def resource_fields(resource: bytes, schema_url: str = "") -> bytes:
    """Encodes the fields of ResourceSpans, ResourceLogs and ResourceMetrics other than the scopes."""
    return field(1, resource) + (field(3, schema_url.encode()) if schema_url else b"")


def encode_request(resource: bytes, records: Sequence[Encoded]) -> bytes:
    """Encodes an Export*ServiceRequest; see `request_chunks`."""
    return b"".join(request_chunks(resource, records))


def request_chunks(resource: bytes, records: Sequence[Encoded]) -> list[bytes]:
    """Encodes an Export*ServiceRequest in chunks that are still to be joined.

    The three signals share its shape: one resource with scopes with records. Joining is left to the caller, since
    copying half a megabyte once costs more than all that is done here.

    Args:
        resource: What `resource_fields` gave.
        records: Encoded records of one signal, any scopes.
    """
    by_scope: dict[bytes, list[bytes]] = {}
    for scope, frames, _ in records:
        by_scope.setdefault(scope, []).append(frames)
    chunks = [resource]
    length = len(resource)
    for scope, runs in by_scope.items():
        volume = len(scope) + sum(map(len, runs))
        head = b"\x12" + varint(volume)
        chunks += (head, scope)
        chunks += runs
        length += len(head) + volume
    chunks.insert(0, b"\x0a" + varint(length))
    return chunks


def parse_request(body: bytes, *, points: bool) -> tuple[bytes, list[Encoded]]:
    """Reads the resource's fields and the records, one by one, of what `encode_request` has made.

    Args:
        body: An Export*ServiceRequest of one resource.
        points: Whether the ledger counts the data points of a record (metrics).

    Raises:
        ValueError: It is something else.
    """
    resources = list(fields(body))
    if [number for number, _, _ in resources] != [1]:
        raise ValueError("not the request of one resource")
    resource = b""
    records: list[Encoded] = []
    for number, whole, payload in fields(resources[0][2]):
        if number != 2:
            resource += whole
            continue
        inner = list(fields(payload))
        scope = b"".join(whole for number, whole, _ in inner if number != 2)
        records += [(scope, whole, _points(record) if points else 1) for number, whole, record in inner if number == 2]
    return resource, records


def _points(metric: bytes) -> int:
    """The data points of a metric: field 1 of each of its five kinds."""
    kinds = [payload for number, _, payload in fields(metric) if number in _KINDS]
    return sum(number == 1 for kind in kinds for number, _, _ in fields(kind))


def count(records: Iterable[Encoded]) -> int:
    """Returns what the ledger counts for these records."""
    return sum(map(_COUNT, records))


def size(records: Iterable[Encoded]) -> int:
    """Returns the bytes of the records, without their envelope."""
    return sum(map(len, map(_FRAMES, records)))
