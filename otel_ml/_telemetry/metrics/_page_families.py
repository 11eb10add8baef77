"""Metrics of the SDK as families of `prometheus_client`, named and labelled as Prometheus does with pushed ones."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final, TypeAlias

from opentelemetry.sdk.metrics.export import Gauge, Histogram, HistogramDataPoint, Metric, MetricsData, Sum
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import format_span_id, format_trace_id
from prometheus_client import Metric as Family
from prometheus_client import utils
from prometheus_client.samples import Exemplar

from otel_ml import _guard, semconv
from otel_ml._values import line
from otel_ml.semconv import Instrument
from otel_ml.semconv.prometheus_names import label_name, metric_name

Labels: TypeAlias = "dict[str, str]"

Families: TypeAlias = "dict[tuple[str, str], Family]"
"""By name and type."""

number: Final[Callable[[float], str]] = utils.floatToGoString
"""A number as the page writes it."""
_TOTAL: Final = "_total"
"""The samples of a counter have it, its family has not."""
_OWN_NAME: Final = "__name__"
NANOSECONDS: Final = 1e9
_LEFT_OUT: Final = "not on the scrape page, because its text format has no such metric"
_REST: Final = "otel-ml: further metrics are not on the scrape page either; push them over OTLP"


def families(data: MetricsData, *, with_start: bool = False) -> Iterator[Family]:
    """Yields `target_info` and each metric; one that no page can show is left out, with a warning.

    Args:
        data: The metrics.
        with_start: Whether counters and histograms say when they began, in `_created` samples.
    """
    found: Families = {}
    for entry in data.resource_metrics:
        yield _target_info(entry.resource)
        common = resource_labels(entry.resource)
        for scope in entry.scope_metrics:
            for metric in scope.metrics:
                if add_samples(metric, common, found, with_start=with_start) is None:
                    _guard.warn_few("page.metrics", metric.name, f"otel-ml: {_LEFT_OUT}: {line(metric.name)}", _REST)
    yield from found.values()


def add_samples(metric: Metric, common: Labels, to: Families, *, with_start: bool = False) -> Family | None:
    """Adds the samples of a metric to the family of its name and type; returns that, or None if there can be none.

    Args:
        metric: A sum, gauge or histogram with explicit bounds.
        common: Labels of every sample; those of the points win.
        to: The families so far.
        with_start: See `families`.
    """
    instrument = _instrument(metric)
    name = metric_name(metric.name, metric.unit or "", instrument) if instrument else ""
    if not instrument or not name.strip("_"):
        return None
    suffix = _TOTAL if instrument == "counter" else ""
    kind = "gauge" if instrument == "updowncounter" else instrument
    family = to.setdefault((name, kind), Family(name.removesuffix(suffix), _encodable(metric.description or ""), kind))
    points: Any = metric.data.data_points
    for point in points:
        labels = {**common, **labels_of(point.attributes)}
        if isinstance(point, HistogramDataPoint):
            _add_histogram(family, labels, point)
        else:
            family.add_sample(name, labels, float(point.value))
        if with_start and kind != "gauge" and point.start_time_unix_nano:
            family.add_sample(f"{family.name}_created", labels, point.start_time_unix_nano / NANOSECONDS)
    return family


def resource_labels(resource: Resource) -> Labels:
    """Returns the labels that every series has: of `semconv.PROMOTED_RESOURCE_ATTRIBUTES` those that are set."""
    attributes = resource.attributes
    return labels_of({key: attributes[key] for key in semconv.PROMOTED_RESOURCE_ATTRIBUTES if key in attributes})


def labels_of(attributes: Mapping[str, Any] | None) -> Labels:
    """Returns attributes as labels; values of attributes that become one label are joined, as Prometheus does.

    An attribute with the label of the metric's own name is left out: Prometheus would refuse the page for it.
    """
    labels: Labels = {}
    for key in sorted({*(attributes or ())} - {_OWN_NAME}):
        label, value = label_name(key), _text((attributes or {})[key])
        labels[label] = f"{labels[label]};{value}" if label in labels else value
    return labels


def _encodable(text: str) -> str:
    """Returns a text with `?` for each half of a character, as it is pushed: one of them would cost the whole page."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _text(value: Any) -> str:
    """A value of an attribute as OTLP's data model writes it: `true`, `1`, `0.5`, `["a"]`."""
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, default=str, separators=(",", ":"))


def _target_info(resource: Resource) -> Family:
    family = Family("target", "Attributes of the resource.", "info")
    family.add_sample("target_info", labels_of(resource.attributes), 1)
    return family


def _instrument(metric: Metric) -> Instrument | None:
    data: Any = metric.data
    if isinstance(data, Sum):
        return "counter" if data.is_monotonic else "updowncounter"
    if isinstance(data, Gauge):
        return "gauge"
    return "histogram" if isinstance(data, Histogram) else None


def _add_histogram(family: Family, labels: Labels, point: HistogramDataPoint) -> None:
    bounds = [*map(float, point.explicit_bounds), float("inf")]
    counts = point.bucket_counts if len(point.bucket_counts) == len(bounds) else [*[0] * (len(bounds) - 1), point.count]
    exemplars = {bisect_left(bounds, each.value): _exemplar(each) for each in point.exemplars if each.trace_id}
    for bucket, (bound, count) in enumerate(zip(bounds, accumulate(counts), strict=True)):
        labelled = {**labels, "le": number(bound)}
        family.add_sample(f"{family.name}_bucket", labelled, count, exemplar=exemplars.get(bucket))
    family.add_sample(f"{family.name}_count", labels, point.count)
    if point.sum is not None:
        family.add_sample(f"{family.name}_sum", labels, point.sum)


def _exemplar(exemplar: Any) -> Exemplar:
    """Returns an exemplar with the ids of its trace and span; other attributes could exceed what Prometheus takes."""
    ids = {"trace_id": format_trace_id(exemplar.trace_id), "span_id": format_span_id(exemplar.span_id)}
    return Exemplar(ids, exemplar.value, exemplar.time_unix_nano / NANOSECONDS)
