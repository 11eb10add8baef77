"""The tables of the file, one class for the rows of each: a field is a column, its annotation the column's type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, NewType, TypeAlias, get_args, get_type_hints

Key = NewType("Key", str)
"""What identifies a record, 32 hex digits: a column of 16 bytes, whose index costs a fifth of that of a text."""


class Provenance(NamedTuple):
    """Columns of every table: who sent the record, when it arrived and how many characters its row has."""

    service_name: str | None
    resource: str
    scope: str | None
    received_ns: int
    bytes: int


class SpanRow(NamedTuple):
    """One finished span; times in nanoseconds since the epoch, attributes, events and links as JSON text.

    `is_entry` marks a span with which a trace enters a process: it has no parent there.
    """

    key: Key
    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    status_message: str | None
    attributes: str
    events: str
    links: str
    prediction_id: str | None
    place_ns: int
    is_entry: bool
    provenance: Provenance


class LogRow(NamedTuple):
    """One log record that is neither a prediction nor a label.

    `place_ns` is its place in lists: its time, or that of its arrival if the sender's clock runs ahead. Without that a
    record from the future would stay on top. Records of one moment follow each other by a nanosecond, as they came.
    """

    key: Key
    time_ns: int
    severity_number: int
    severity_text: str | None
    event_name: str | None
    body: str
    attributes: str
    prediction_id: str | None
    trace_id: str | None
    span_id: str | None
    place_ns: int
    provenance: Provenance


class PredictionRow(NamedTuple):
    """One prediction event: a call, whose body lists the rows if it was a batch."""

    log: LogRow
    model: str | None
    version: str | None
    role: str | None
    predicted_class: str | None
    value: float | None
    score: float | None
    duration: float | None
    batch_size: int | None
    error_type: str | None
    failed: bool


class LabelRow(NamedTuple):
    """One label event, with the trace and span of its prediction."""

    log: LogRow
    model: str | None
    version: str | None
    role: str | None
    label: str | None
    correct: bool | None


class PointRow(NamedTuple):
    """One metric point: a number, or count and sum of a distribution with its buckets in `detail`."""

    key: Key
    series: str
    name: str
    kind: str
    unit: str
    temporality: int
    monotonic: bool
    start_ns: int
    time_ns: int
    value: float | None
    observations: int | None
    sum: float | None
    min: float | None
    max: float | None
    detail: str | None
    attributes: str
    model: str | None
    provenance: Provenance


Row: TypeAlias = SpanRow | LogRow | PredictionRow | LabelRow | PointRow

TABLES: dict[str, type[Row]] = {
    "spans": SpanRow,
    "logs": LogRow,
    "predictions": PredictionRow,
    "labels": LabelRow,
    "points": PointRow,
}
SIGNALS = {"spans": "traces", "logs": "logs", "predictions": "logs", "labels": "logs", "points": "metrics"}

_SQL_TYPES = {Key: "UUID", str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}


def columns(table: str) -> dict[str, str]:
    """The table's columns with their SQL types, in order."""
    return dict(_columns(TABLES[table]))


def cells(row: tuple[Any, ...]) -> list[Any]:
    """The values of a row in the order of its columns."""
    found: list[Any] = []
    for value in row:
        if isinstance(value, tuple):
            found += cells(value)
        else:
            found.append(value)
    return found


def _columns(row: type[tuple[Any, ...]]) -> Iterator[tuple[str, str]]:
    for name, hint in get_type_hints(row).items():
        if hint in (Provenance, LogRow):
            yield from _columns(hint)
        else:
            yield name, _SQL_TYPES[(get_args(hint) or (hint,))[0]]
