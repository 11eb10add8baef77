"""What one OTLP request becomes: rows for the store and the counts of what was refused or shortened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_ml import semconv
from otel_ml.console.receiving._values import Trimmer, dump, scalar_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    from otel_ml.console.storage._rows import Row


@dataclass
class Batch:
    """The rows of one request, by table, ready for the writer."""

    signal: str
    rows: dict[str, list[Row]] = field(default_factory=dict)
    refused: int = 0
    """Records that break the protocol; the sender learns their number in the answer."""
    reason: str = ""
    trimmed: int = 0
    """Texts that were cut at a limit."""
    size: int = 0
    """Bytes of the request, decompressed."""

    @property
    def records(self) -> int:
        """Rows that wait to be stored."""
        return sum(len(rows) for rows in self.rows.values())

    def add(self, table: str, row: Row) -> None:
        self.rows.setdefault(table, []).append(row)

    def refuse(self, count: int, reason: str) -> None:
        self.refused += count
        self.reason = reason


@dataclass(frozen=True)
class Origin:
    """Who sent a group of records: resource and scope as text, and the raw resource for the keys."""

    resource: str
    service_name: str | None
    scope: str | None
    identity: bytes

    @classmethod
    def of(cls, trimmer: Trimmer, resource: Resource, scope: InstrumentationScope) -> Origin:
        """The origin of the records below one resource and one scope."""
        attributes = trimmer.attributes(resource.attributes)
        return cls(
            resource=dump(attributes),
            service_name=scalar_text(attributes.get(semconv.SERVICE_NAME)),
            scope=trimmer.optional_line(scope.name),
            identity=resource.SerializeToString(deterministic=True) + b"\0" + scope.name.encode("utf-8"),
        )


def trace_identity(trace_id: bytes, span_id: bytes) -> tuple[str, str] | None:
    """Both ids as hex when they are valid (16 and 8 bytes, not all zero), else None."""
    if len(trace_id) != 16 or len(span_id) != 8 or not any(trace_id) or not any(span_id):
        return None
    return trace_id.hex(), span_id.hex()


def size_of(values: Sequence[str | None]) -> int:
    """Characters that a row brings along; the measure of the byte limit."""
    return sum(len(value) for value in values if value)
