"""Rows of one OTLP trace request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_ml import semconv
from otel_ml.console.receiving._batch import Batch, Origin, size_of, trace_identity
from otel_ml.console.receiving._values import ATTRIBUTES_LIMIT, Trimmer, dump, nanoseconds, scalar_text
from otel_ml.console.storage._rows import Span

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage


def trace_rows(request: ExportTraceServiceRequest, received_ns: int) -> Batch:
    """The spans of a request; a span without valid ids is refused."""
    batch, trimmer = Batch("traces"), Trimmer()
    for group in request.resource_spans:
        for scoped in group.scope_spans:
            origin = Origin.of(trimmer, group.resource, scoped.scope)
            for span in scoped.spans:
                ids = trace_identity(span.trace_id, span.span_id)
                if ids is None:
                    batch.refuse(1, "span without a valid trace id and span id")
                else:
                    batch.add("spans", _row(trimmer, span, ids, origin, received_ns=received_ns))
    batch.trimmed = trimmer.trimmed
    return batch


def _row(trimmer: Trimmer, span: SpanMessage, ids: tuple[str, str], origin: Origin, *, received_ns: int) -> Span:
    attributes = trimmer.attributes(span.attributes)
    name, attribute_text, events = trimmer.line(span.name), dump(attributes), _events(trimmer, span)
    return Span(
        trace_id=ids[0],
        span_id=ids[1],
        parent_span_id=span.parent_span_id.hex() if len(span.parent_span_id) == 8 else None,
        name=name,
        kind=span.kind,
        start_ns=nanoseconds(span.start_time_unix_nano),
        end_ns=nanoseconds(span.end_time_unix_nano),
        status=span.status.code,
        status_message=trimmer.optional_line(span.status.message),
        attributes=attribute_text,
        events=events,
        prediction_id=scalar_text(attributes.get(semconv.PREDICTION_ID)),
        service_name=origin.service_name,
        resource=origin.resource,
        scope=origin.scope,
        received_ns=received_ns,
        bytes=size_of((name, attribute_text, events, origin.resource)),
    )


def _events(trimmer: Trimmer, span: SpanMessage) -> str:
    events, room = [], ATTRIBUTES_LIMIT
    for event in span.events:
        plain = {
            "name": trimmer.line(event.name),
            "time_unix_nano": nanoseconds(event.time_unix_nano),
            "attributes": trimmer.attributes(event.attributes),
        }
        room -= len(dump(plain))
        if room < 0:
            trimmer.trimmed += 1
            break
        events.append(plain)
    return dump(events)
