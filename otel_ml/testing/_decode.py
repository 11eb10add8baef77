"""OTLP requests as plain dictionaries, for the test kit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def spans(requests: Iterable[bytes]) -> list[dict[str, Any]]:
    """Spans by start time, parents before their children."""
    found = [
        _span(span, of_scope.scope.name)
        for body in requests
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]
    parents = {span["span_id"]: span["parent_span_id"] for span in found}
    return sorted(found, key=lambda span: (span["start_ns"], _depth(span["span_id"], parents)))


def logs(requests: Iterable[bytes]) -> list[dict[str, Any]]:
    """Log records by time."""
    found = [
        {
            "event_name": record.event_name,
            "time_ns": record.time_unix_nano,
            "severity": record.severity_text,
            "severity_number": int(record.severity_number),
            "body": _value(record.body),
            "attributes": _attributes(record.attributes),
            "trace_id": record.trace_id.hex(),
            "span_id": record.span_id.hex(),
            "flags": record.flags,
            "scope": of_scope.scope.name,
        }
        for body in requests
        for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for of_scope in of_resource.scope_logs
        for record in of_scope.log_records
    ]
    return sorted(found, key=lambda record: int(record["time_ns"]))


def metrics(requests: Iterable[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The points of every metric, in the order of their attributes.

    A series that is new comes with a point at zero before it; only the last point of a series in a request counts.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for metric in _metrics(requests):
        kind = metric.WhichOneof("data")
        read = _histogram_point if kind == "histogram" else _number_point
        points = [read(point) for point in getattr(metric, kind).data_points] if kind else []
        found.setdefault(metric.name, []).extend({str(point["attributes"]): point for point in points}.values())
    return {name: sorted(points, key=lambda point: str(point["attributes"])) for name, points in sorted(found.items())}


def instruments(requests: Iterable[bytes]) -> dict[str, dict[str, str]]:
    """Kind, unit and description of every metric."""
    return {
        metric.name: {"kind": _kind(metric), "unit": metric.unit, "description": metric.description}
        for metric in _metrics(requests)
    }


def resource(requests: Sequence[bytes]) -> dict[str, Any]:
    """The resource of the last metrics request."""
    message = ExportMetricsServiceRequest.FromString(requests[-1])
    return _attributes(message.resource_metrics[0].resource.attributes)


def _metrics(requests: Iterable[bytes]) -> Iterable[Metric]:
    for body in requests:
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for of_scope in of_resource.scope_metrics:
                yield from of_scope.metrics


def _span(span: Span, scope: str) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "attributes": _attributes(span.attributes),
        "events": [
            {"name": event.name, "time_ns": event.time_unix_nano, "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
        "status": Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        "status_message": span.status.message,
        "trace_state": span.trace_state,
        "flags": span.flags,
        "scope": scope,
    }


def _depth(span_id: str, parents: dict[str, str]) -> int:
    depth = 0
    while depth <= len(parents) and (span_id := parents.get(span_id, "")):
        depth += 1
    return depth


def _kind(metric: Metric) -> str:
    kind = metric.WhichOneof("data") or ""
    if kind != "sum":
        return kind
    return "counter" if metric.sum.is_monotonic else "updowncounter"


def _number_point(point: NumberDataPoint) -> dict[str, Any]:
    value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    return {"attributes": _attributes(point.attributes), "value": value}


def _histogram_point(point: HistogramDataPoint) -> dict[str, Any]:
    return {
        "attributes": _attributes(point.attributes),
        "count": point.count,
        "sum": point.sum,
        "min": point.min if point.HasField("min") else None,
        "max": point.max if point.HasField("max") else None,
        "bounds": list(point.explicit_bounds),
        "counts": list(point.bucket_counts),
        "exemplars": [
            {"value": exemplar.as_double, "trace_id": exemplar.trace_id.hex(), "span_id": exemplar.span_id.hex()}
            for exemplar in point.exemplars
        ],
    }


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in sorted(attributes, key=lambda item: item.key)}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)
