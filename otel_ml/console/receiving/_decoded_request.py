"""One OTLP request after decoding: its rows for the store, and the counts of refused and shortened records."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_ml import semconv
from otel_ml.console.receiving._values import SCOPE_LIMIT, Trimmer, digest, dump, scalar_text
from otel_ml.console.storage._tables import Provenance

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    from otel_ml.console.storage._tables import Key, Row

_OF_SCOPE = "otel.scope."
"""How the names of attributes of a scope begin where there is no place for a scope, as the specification has it."""
_UNKNOWN_SERVICE = "unknown_service"
"""What the specification calls a service that has no name."""


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
    _moments: Counter[int] = field(default_factory=Counter)
    """How many records of each moment came before."""
    _keys: Counter[Key] = field(default_factory=Counter)
    """How many equal records came before."""

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

    def place(self, time_ns: int) -> int:
        """The place in lists of a record of this moment: behind those of the same moment that came before it.

        Clocks of many senders have milliseconds, and lines of one would be in any order.
        """
        self._moments[time_ns] += 1
        return time_ns + self._moments[time_ns] - 1

    def distinct(self, key: Key) -> Key:
        """The key of a record, another one for each that is equal to an earlier one of this request.

        A service can write a line twice within a millisecond; a second delivery has the same keys again.
        """
        self._keys[key] += 1
        times = self._keys[key]
        return key if times == 1 else digest(key, str(times))

    def origin(self, resource: Resource, scope: InstrumentationScope) -> Origin:
        """The origin of the records below one resource and one scope."""
        attributes = self.trimmer.attributes(resource.attributes)
        # metrics of machines and devices belong to no service
        unnamed = None if self.signal == "metrics" else _UNKNOWN_SERVICE
        return Origin(
            resource=dump(attributes),
            service_name=scalar_text(attributes.get(semconv.SERVICE_NAME)) or unnamed,
            scope=self.trimmer.optional_line(scope.name),
            scope_attributes=self.trimmer.attributes(scope.attributes, SCOPE_LIMIT),
            received_ns=self.received_ns,
            identity=digest(
                resource.SerializeToString(deterministic=True), scope.SerializeToString(deterministic=True)
            ),
        )


@dataclass(frozen=True)
class Origin:
    """Where a group of records comes from: resource and scope as text, and what distinguishes it in keys."""

    resource: str
    service_name: str | None
    scope: str | None
    scope_attributes: dict[str, Any]
    received_ns: int
    identity: Key

    @property
    def scope_facts(self) -> dict[str, Any]:
        """The attributes of the scope as attributes of its spans and log records, distinct from their own."""
        return {f"{_OF_SCOPE}{name}": value for name, value in self.scope_attributes.items()}

    def provenance(self, *texts: str | None) -> Provenance:
        """The columns that every row has; the row's size is that of its texts and the resource."""
        size = len(self.resource) + sum(len(text) for text in texts if text)
        return Provenance(self.service_name, self.resource, self.scope, self.received_ns, size)
