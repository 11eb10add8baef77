"""Encodes spans and events of predictions as OTLP bytes, and SDK records with the SDK's encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from otel_ml import _guard, semconv
from otel_ml._telemetry import withholding
from otel_ml._telemetry.otlp import _framing
from otel_ml._telemetry.otlp._framing import Encoded
from otel_ml._telemetry.otlp._limits import keep_last, limit_attributes
from otel_ml._telemetry.records import AttributeValue, EventData, SpanData, SpanEvent, SpanLink
from otel_ml.config import DEFAULT_LIMITS, RecordLimits

R = TypeVar("R")

_KIND: Final = {"internal": Span.SPAN_KIND_INTERNAL, "server": Span.SPAN_KIND_SERVER}
_STATUS: Final = {"unset": Status.STATUS_CODE_UNSET, "ok": Status.STATUS_CODE_OK, "error": Status.STATUS_CODE_ERROR}
_SEVERITY: Final = {"INFO": SeverityNumber.SEVERITY_NUMBER_INFO, "ERROR": SeverityNumber.SEVERITY_NUMBER_ERROR}


def encode_scope(name: str, version: str = "", schema_url: str = "") -> bytes:
    """Encodes the fields of a scope that precede its records."""
    return _framing.scope_fields(InstrumentationScope(name=name, version=version).SerializeToString(), schema_url)


def encode_resource(attributes: Mapping[str, Any], schema_url: str = "") -> bytes:
    """Encodes the fields of a request that precede its scopes: the resource and its schema URL."""
    message = Resource(attributes=[_attribute(key, value) for key, value in attributes.items()])
    return _framing.resource_fields(message.SerializeToString(), schema_url)


def encode_span(data: SpanData, limits: RecordLimits = DEFAULT_LIMITS) -> bytes:
    """Encodes a `Span` message, field by field as the SDK's encoder does for the same span."""
    attributes, dropped = limit_attributes(data.attributes, limits.span_attributes, limits.span_value_length)
    events, links = keep_last(data.events, limits.span_events), keep_last(data.links, limits.span_links)
    return Span(
        trace_id=data.trace_id.to_bytes(16, "big"),
        span_id=data.span_id.to_bytes(8, "big"),
        trace_state=data.trace_state,
        parent_span_id=data.parent_span_id.to_bytes(8, "big") if data.parent_span_id else b"",
        name=data.name,
        kind=_KIND[data.kind],
        start_time_unix_nano=data.start_ns,
        end_time_unix_nano=data.end_ns,
        attributes=_attributes(attributes),
        dropped_attributes_count=data.dropped_attributes + dropped,
        events=[_event(event, limits) for event in events],
        dropped_events_count=data.dropped_events + len(data.events) - len(events),
        links=[_link(link, limits) for link in links],
        dropped_links_count=data.dropped_links + len(data.links) - len(links),
        status=Status(code=_STATUS[data.status], message=data.status_message),
        flags=_flags(parent_is_remote=data.parent_is_remote),
    ).SerializeToString()


def encode_event(data: EventData, limits: RecordLimits = DEFAULT_LIMITS) -> bytes:
    """Encodes a `LogRecord` message with an event name and a JSON text as body."""
    attributes, dropped = limit_attributes(data.attributes, limits.log_attributes, limits.log_value_length)
    return LogRecord(
        time_unix_nano=data.time_ns,
        observed_time_unix_nano=data.time_ns if data.observed_ns is None else data.observed_ns,
        severity_number=_SEVERITY[data.severity],
        severity_text=data.severity,
        body=AnyValue(string_value=data.body),
        attributes=_attributes(attributes),
        dropped_attributes_count=dropped,
        flags=data.trace_flags,
        trace_id=data.trace_id.to_bytes(16, "big") if data.trace_id else b"",
        span_id=data.span_id.to_bytes(8, "big") if data.span_id else b"",
        event_name=data.name,
    ).SerializeToString()


def _event(event: SpanEvent, limits: RecordLimits) -> Span.Event:
    attributes, dropped = limit_attributes(event.attributes, limits.event_attributes, limits.value_length)
    return Span.Event(
        name=event.name,
        time_unix_nano=event.time_ns,
        attributes=_attributes(attributes),
        dropped_attributes_count=event.dropped + dropped,
    )


def _link(link: SpanLink, limits: RecordLimits) -> Span.Link:
    attributes, dropped = limit_attributes(link.attributes, limits.link_attributes, limits.value_length)
    return Span.Link(
        trace_id=link.trace_id.to_bytes(16, "big"),
        span_id=link.span_id.to_bytes(8, "big"),
        attributes=_attributes(attributes),
        dropped_attributes_count=link.dropped + dropped,
        flags=SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK,
    )


def encode_sdk_spans(spans: Sequence[ReadableSpan]) -> list[Encoded]:
    """Encodes spans of other instrumentation."""
    encoded = []
    for of_resource in encode_spans(spans).resource_spans:
        for of_scope in of_resource.scope_spans:
            head = _framing.scope_fields(of_scope.scope.SerializeToString(), of_scope.schema_url)
            if withholding.withholds_exceptions():
                for record in of_scope.spans:
                    for event in record.events:
                        _withhold(event.attributes)
                    if record.status.message:
                        record.status.message = withholding.WITHHELD
            encoded += [_framing.frame(head, record.SerializeToString()) for record in of_scope.spans]
    return encoded


def encode_sdk_logs(records: Sequence[ReadableLogRecord]) -> list[Encoded]:
    """Encodes log records of other instrumentation."""
    encoded = []
    for of_resource in encode_logs(records).resource_logs:
        for of_scope in of_resource.scope_logs:
            head = _framing.scope_fields(of_scope.scope.SerializeToString(), of_scope.schema_url)
            if withholding.withholds_exceptions():
                for record in of_scope.log_records:
                    _withhold(record.attributes)
            encoded += [_framing.frame(head, record.SerializeToString()) for record in of_scope.log_records]
    return encoded


def encode_sdk_metrics(data: MetricsData) -> list[Encoded]:
    """Encodes metrics; each counts its data points."""
    encoded = []
    for of_resource in encode_metrics(data).resource_metrics:
        for of_scope in of_resource.scope_metrics:
            head = _framing.scope_fields(of_scope.scope.SerializeToString(), of_scope.schema_url)
            encoded += [
                _framing.frame(head, record.SerializeToString(), count_points(record)) for record in of_scope.metrics
            ]
    return encoded


def count_points(metric: metrics_pb2.Metric) -> int:
    """Returns the number of data points of one metric."""
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def encode_each(
    encode: Callable[[Sequence[R]], list[Encoded]], records: Sequence[R], where: str
) -> tuple[list[Encoded], int]:
    """Encodes records together; if that fails, one by one, so that one bad record costs no other.

    Returns:
        What could be encoded, and how many records could not.
    """
    whole = _guard.call(where, encode, records)
    if whole is not None:
        return whole, 0
    if len(records) == 1:
        return [], 1
    encoded: list[Encoded] = []
    invalid = 0
    for record in records:
        one, bad = encode_each(encode, [record], where)
        encoded += one
        invalid += bad
    return encoded, invalid


def _withhold(attributes: Iterable[KeyValue]) -> None:
    """Removes message and stack trace of an exception; its type stays."""
    for attribute in attributes:
        if attribute.key in (semconv.EXCEPTION_MESSAGE, semconv.EXCEPTION_STACKTRACE):
            attribute.value.string_value = withholding.WITHHELD


def _flags(*, parent_is_remote: bool) -> int:
    flags = int(SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
    if parent_is_remote:
        flags |= SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    return flags


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[KeyValue]:
    return [_attribute(key, value) for key, value in attributes.items()]


def _attribute(key: str, value: Any) -> KeyValue:
    return KeyValue(key=key, value=_any_value(value))


def _any_value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return _structure(value)


def _structure(value: Any) -> AnyValue:
    message = AnyValue()
    if isinstance(value, list | tuple):
        message.array_value.SetInParent()  # an empty one is a list too
        message.array_value.values.extend(_any_value(item) for item in value)
    elif isinstance(value, dict):
        message.kvlist_value.SetInParent()
        message.kvlist_value.values.extend(_attributes(value))
    elif value is not None:
        raise TypeError(f"attribute value of type {type(value).__name__}")
    return message
