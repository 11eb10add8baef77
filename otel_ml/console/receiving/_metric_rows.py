"""Rows of one OTLP metrics request: one for each point, the buckets of a distribution as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from otel_ml import semconv
from otel_ml.console.receiving._decoded_request import DecodedRequest, Origin
from otel_ml.console.receiving._ids import SPAN_ID, TRACE_ID, valid_id
from otel_ml.console.receiving._values import Trimmer, digest, dump, nanoseconds, scalar_text
from otel_ml.console.storage._tables import PointRow

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

_NO_RECORDED_VALUE = 1
"""Data point flag: the series has ended. Such a point is stored without a figure, never as 0."""
_CUMULATIVE = 2
"""Temporality of a point that counts since its start; a summary does, and has no field that says so."""
_DETAIL_LIMIT = 4096
"""Buckets or quantiles kept of one point."""
_EXEMPLAR_LIMIT = 64


def metric_rows(request: ExportMetricsServiceRequest, received_ns: int) -> DecodedRequest:
    """The points of a request; a metric without a name or without data is refused."""
    decoded = DecodedRequest("metrics", received_ns)
    for group in request.resource_metrics:
        for scoped in group.scope_metrics:
            origin = decoded.origin(group.resource, scoped.scope)
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                if kind is None or not metric.name:
                    decoded.refuse(1, "metric without a name or without data")
                else:
                    _add(decoded, metric, origin)
    return decoded


def _add(decoded: DecodedRequest, metric: Metric, origin: Origin) -> None:
    trimmer = decoded.trimmer
    kind = str(metric.WhichOneof("data"))
    data = getattr(metric, kind)
    name, unit = trimmer.line(metric.name), trimmer.line(metric.unit)
    for point in data.data_points:
        # attributes of the meter are labels of all its points
        attributes = origin.scope_attributes | trimmer.attributes(point.attributes)
        attribute_text, detail = dump(attributes), _detail(trimmer, kind, point)
        series = digest(name, kind, unit, *_sorted_attributes(point.attributes), origin.identity)
        start_ns = nanoseconds(point.start_time_unix_nano)
        time_ns = nanoseconds(point.time_unix_nano or origin.received_ns)
        row = PointRow(
            key=digest(series, str(start_ns), str(time_ns)),
            series=series,
            name=name,
            kind=kind,
            unit=unit,
            temporality=_CUMULATIVE if kind == "summary" else getattr(data, "aggregation_temporality", 0),
            monotonic=getattr(data, "is_monotonic", False),
            start_ns=start_ns,
            time_ns=time_ns,
            **_figures(kind, point),
            detail=detail,
            attributes=attribute_text,
            model=scalar_text(attributes.get(semconv.MODEL_NAME)),
            provenance=origin.provenance(name, attribute_text, detail),
        )
        decoded.add("points", row)


def _figures(kind: str, point: Any) -> dict[str, Any]:
    figures: dict[str, Any] = dict.fromkeys(("value", "observations", "sum", "min", "max"))
    if point.flags & _NO_RECORDED_VALUE:
        return figures
    if kind in {"sum", "gauge"}:
        which = point.WhichOneof("value")
        return figures if which is None else figures | {"value": float(getattr(point, which))}
    figures["observations"] = nanoseconds(point.count)
    for part in ("sum", "min", "max"):
        # sum, min and max of a histogram are optional; a summary has a plain sum and neither of the others
        if hasattr(point, part) and (kind == "summary" or point.HasField(part)):
            figures[part] = float(getattr(point, part))
    return figures


def _detail(trimmer: Trimmer, kind: str, point: Any) -> str | None:
    detail: dict[str, Any] = {}
    if kind == "histogram":
        detail = {
            "bounds": trimmer.first(point.explicit_bounds, _DETAIL_LIMIT),
            "buckets": trimmer.first(point.bucket_counts, _DETAIL_LIMIT),
        }
    elif kind == "exponential_histogram":
        detail = {"scale": point.scale, "zero_count": point.zero_count}
        for side in ("positive", "negative"):
            buckets = getattr(point, side)
            detail[side] = {"offset": buckets.offset, "buckets": trimmer.first(buckets.bucket_counts, _DETAIL_LIMIT)}
    elif kind == "summary":
        quantiles = trimmer.first(point.quantile_values, _DETAIL_LIMIT)
        detail = {"quantiles": [[item.quantile, item.value] for item in quantiles]}
    exemplars = [_exemplar(trimmer, item) for item in trimmer.first(getattr(point, "exemplars", ()), _EXEMPLAR_LIMIT)]
    if exemplars:
        detail["exemplars"] = exemplars
    return dump(detail) if detail else None


def _exemplar(trimmer: Trimmer, item: Any) -> dict[str, Any]:
    which = item.WhichOneof("value")
    return {
        "value": None if which is None else getattr(item, which),
        "time_unix_nano": nanoseconds(item.time_unix_nano),
        "trace_id": valid_id(item.trace_id, TRACE_ID) or "",
        "span_id": valid_id(item.span_id, SPAN_ID) or "",
        "attributes": trimmer.attributes(item.filtered_attributes),
    }


def _sorted_attributes(pairs: Iterable[Any]) -> list[bytes]:
    # the order of attributes does not make another series
    return sorted(pair.SerializeToString(deterministic=True) for pair in pairs)
