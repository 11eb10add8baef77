"""One OTLP request after decoding: its rows for the store, and the counts of refused and shortened records."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_ml import semconv
from otel_ml.console.receiving._values import Trimmer, dump, scalar_text
from otel_ml.console.storage._tables import Provenance

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    from otel_ml.console.storage._tables import Row


@dataclass
class DecodedRequest:
    """The rows of one request, by table, ready for the writer."""

    signal: str
    received_ns: int
    rows: dict[str, list[Row]] = field(default_factory=dict)
    trimmer: Trimmer = field(default_factory=Trimmer)
    refused: int = 0
    """Records that break the protocol; the response reports their number."""
    reason: str = ""
    size: int = 0
    """Bytes of the request, decompressed."""
    written: Future[bool] = field(default_factory=Future)
    """Done when the writer has had the rows; True if all of them are in the file."""

    @property
    def records(self) -> int:
        """Rows that wait to be stored."""
        return sum(len(rows) for rows in self.rows.values())

    @property
    def trimmed(self) -> int:
        """Texts that were cut at a limit."""
        return self.trimmer.trimmed

    def add(self, table: str, row: Row) -> None:
        self.rows.setdefault(table, []).append(row)

    def refuse(self, count: int, reason: str) -> None:
        self.refused += count
        self.reason = reason

    def origin(self, resource: Resource, scope: InstrumentationScope) -> Origin:
        """The origin of the records below one resource and one scope."""
        attributes = self.trimmer.attributes(resource.attributes)
        return Origin(
            resource=dump(attributes),
            service_name=scalar_text(attributes.get(semconv.SERVICE_NAME)),
            scope=self.trimmer.optional_line(scope.name),
            received_ns=self.received_ns,
            identity=resource.SerializeToString(deterministic=True) + b"\0" + scope.name.encode("utf-8"),
        )


@dataclass(frozen=True)
class Origin:
    """Where a group of records comes from: resource and scope as text, and the raw resource for the keys."""

    resource: str
    service_name: str | None
    scope: str | None
    received_ns: int
    identity: bytes

    def provenance(self, *texts: str | None) -> Provenance:
        """The columns that every row has; the row's size is that of its texts and the resource."""
        size = len(self.resource) + sum(len(text) for text in texts if text)
        return Provenance(self.service_name, self.resource, self.scope, self.received_ns, size)
