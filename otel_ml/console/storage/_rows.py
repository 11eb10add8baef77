"""The rows that the console keeps, one class a table: a field is a column, its annotation the column's type."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, get_args, get_type_hints


class Span(NamedTuple):
    """One finished span; times in nanoseconds since the epoch, attributes and events as JSON text."""

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
    prediction_id: str | None
    service_name: str | None
    resource: str
    scope: str | None
    received_ns: int
    bytes: int


class Log(NamedTuple):
    """One log record that is neither a prediction nor a label."""

    key: str
    time_ns: int
    severity_number: int
    severity_text: str | None
    event_name: str | None
    body: str
    attributes: str
    prediction_id: str | None
    trace_id: str | None
    span_id: str | None
    service_name: str | None
    resource: str
    scope: str | None
    received_ns: int
    bytes: int


class Prediction(NamedTuple):
    """One prediction event: a call, whose body lists the rows when it was a batch."""

    key: str
    time_ns: int
    severity_number: int
    severity_text: str | None
    event_name: str | None
    body: str
    attributes: str
    prediction_id: str
    trace_id: str | None
    span_id: str | None
    service_name: str | None
    resource: str
    scope: str | None
    received_ns: int
    bytes: int
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


class Label(NamedTuple):
    """One label event, with the trace and span of the prediction that it is about."""

    key: str
    time_ns: int
    severity_number: int
    severity_text: str | None
    event_name: str | None
    body: str
    attributes: str
    prediction_id: str
    trace_id: str | None
    span_id: str | None
    service_name: str | None
    resource: str
    scope: str | None
    received_ns: int
    bytes: int
    model: str | None
    version: str | None
    role: str | None
    label: str | None
    correct: bool | None


class Point(NamedTuple):
    """One metric point: a number, or count and sum of a distribution with its buckets in `detail`."""

    key: str
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
    service_name: str | None
    resource: str
    scope: str | None
    received_ns: int
    bytes: int


Row: TypeAlias = Span | Log | Prediction | Label | Point

TABLES: dict[str, type[Row]] = {
    "spans": Span,
    "logs": Log,
    "predictions": Prediction,
    "labels": Label,
    "points": Point,
}
KEYS: dict[str, tuple[str, ...]] = {
    "spans": ("trace_id", "span_id"),
    "logs": ("key",),
    "predictions": ("key",),
    "labels": ("key",),
    "points": ("key",),
}
"""What makes a row the same record when it is delivered again."""
SIGNALS = {"spans": "traces", "logs": "logs", "predictions": "logs", "labels": "logs", "points": "metrics"}

_SQL_TYPES = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}


def columns(table: str) -> dict[str, str]:
    """The table's columns with their SQL types, in order."""
    hints = get_type_hints(TABLES[table])
    return {name: _SQL_TYPES[(get_args(hint) or (hint,))[0]] for name, hint in hints.items()}
