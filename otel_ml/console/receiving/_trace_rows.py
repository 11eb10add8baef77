"""Rows of one OTLP trace request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from otel_ml import semconv
from otel_ml.console.receiving._decoded_request import DecodedRequest, Origin
from otel_ml.console.receiving._ids import SPAN_ID, TRACE_ID, valid_id
from otel_ml.console.receiving._values import (
    ATTRIBUTES_LIMIT,
    TEXT_LIMIT,
    Trimmer,
    digest,
    dump,
    nanoseconds,
    scalar_text,
)
from otel_ml.console.storage._tables import SpanRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_ENTRY_KINDS = frozenset({SpanMessage.SPAN_KIND_SERVER, SpanMessage.SPAN_KIND_CONSUMER})
_REMOTE_PARENT = 0x200
"""Span flag: the parent is in another process."""


def trace_rows(request: ExportTraceServiceRequest, received_ns: int) -> DecodedRequest:
    """The spans of a request; a span without valid ids is refused."""
    decoded = DecodedRequest("traces", received_ns)
    for group in request.resource_spans:
        for scoped in group.scope_spans:
            origin = decoded.origin(group.resource, scoped.scope)
            for span in scoped.spans:
                ids = _valid_ids(span.trace_id, span.span_id)
                if ids is None:
                    decoded.refuse(1, "span without a valid trace id and span id")
                else:
                    decoded.add("spans", _row(decoded.trimmer, span, ids, origin))
    return decoded


def _row(trimmer: Trimmer, span: SpanMessage, ids: tuple[str, str], origin: Origin) -> SpanRow:
    attributes = trimmer.attributes(span.attributes)
    name, attribute_text = trimmer.line(span.name), dump(attributes | origin.scope_facts)
    events, links = _events(trimmer, span), _links(trimmer, span)
    parent = valid_id(span.parent_span_id, SPAN_ID)
    start_ns = nanoseconds(span.start_time_unix_nano or span.end_time_unix_nano or origin.received_ns)
    return SpanRow(
        # by the rule of Zipkin a server takes over the id of its caller's span
        key=digest(*ids, "served") if span.kind in _ENTRY_KINDS else digest(*ids),
        trace_id=ids[0],
        span_id=ids[1],
        parent_span_id=parent,
        name=name,
        kind=span.kind,
        start_ns=start_ns,
        end_ns=nanoseconds(span.end_time_unix_nano),
        status=span.status.code,
        status_message=trimmer.line(trimmer.printed(span.status.message, TEXT_LIMIT)) or None,
        attributes=attribute_text,
        events=events,
        links=links,
        prediction_id=scalar_text(attributes.get(semconv.PREDICTION_ID)),
        place_ns=min(start_ns, origin.received_ns),
        is_entry=parent is None or span.kind in _ENTRY_KINDS or bool(span.flags & _REMOTE_PARENT),
        provenance=origin.provenance(name, attribute_text, events, links),
    )


def _valid_ids(trace_id: bytes, span_id: bytes) -> tuple[str, str] | None:
    """Both ids as hex if they are valid, else None."""
    trace, span = valid_id(trace_id, TRACE_ID), valid_id(span_id, SPAN_ID)
    return None if trace is None or span is None else (trace, span)


def _events(trimmer: Trimmer, span: SpanMessage) -> str:
    return _within_limit(
        trimmer,
        (
            {
                "name": trimmer.line(event.name),
                "time_unix_nano": nanoseconds(event.time_unix_nano),
                "attributes": trimmer.attributes(event.attributes),
            }
            for event in span.events
        ),
    )


def _links(trimmer: Trimmer, span: SpanMessage) -> str:
    return _within_limit(
        trimmer,
        (
            {"trace_id": ids[0], "span_id": ids[1], "attributes": trimmer.attributes(link.attributes)}
            for link in span.links
            if (ids := _valid_ids(link.trace_id, link.span_id)) is not None
        ),
    )


def _within_limit(trimmer: Trimmer, parts: Iterable[dict[str, Any]]) -> str:
    """The first parts as JSON, as many as the limit has room for."""
    kept, remaining = [], ATTRIBUTES_LIMIT
    for part in parts:
        remaining -= len(dump(part))
        if remaining < 0:
            trimmer.trimmed += 1
            break
        kept.append(part)
    return dump(kept)
