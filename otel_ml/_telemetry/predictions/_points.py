"""Folded cells as OpenTelemetry data points, cumulative or delta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_ml import semconv
from otel_ml._telemetry.predictions.cells import Exemplar, Folded, HistogramCell, Identity
from otel_ml._telemetry.records import AttributeValue

SCOPE: Final = InstrumentationScope(f"{semconv.SCOPE}.predictions")
"""A scope that nobody else uses: the encoder keeps only the last one of equal scopes."""

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE

Attributes = dict[str, str]


class Window:
    """The start and end of the points, on the wall clock in nanoseconds."""

    def __init__(self, start_ns: int, now_ns: int) -> None:
        self.start_ns = start_ns
        self.now_ns = max(now_ns, start_ns)

    def number(self, attributes: Mapping[str, AttributeValue], value: int) -> NumberDataPoint:
        return NumberDataPoint(attributes, self.start_ns, self.now_ns, value)

    def histogram(
        self, attributes: Mapping[str, AttributeValue], cell: HistogramCell, exemplars: dict[int, Exemplar] | None
    ) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self.start_ns,
            time_unix_nano=self.now_ns,
            count=sum(cell.counts),
            sum=cell.total,
            bucket_counts=list(cell.counts),
            explicit_bounds=[float(bound) for bound in cell.bounds],
            min=cell.minimum,
            max=cell.maximum,
            exemplars=[
                SdkExemplar({}, kept.value, kept.time_ns, kept.span_id, kept.trace_id)
                for kept in (exemplars or {}).values()
            ],
        )


def scope_metrics(folded: Iterable[tuple[Identity, Folded]], window: Window) -> ScopeMetrics | None:
    """All prediction metrics of all models in one scope; None when there is no model yet."""
    counters: dict[semconv.Metric, list[NumberDataPoint]] = {}
    histograms: dict[semconv.Metric, list[HistogramDataPoint]] = {}
    for identity, sums in folded:
        base = {name: clean(value) for name, value in identity.attributes().items()}
        for metric, attributes, value in _numbers(base, sums):
            counters.setdefault(metric, []).append(window.number(attributes, value))
        for metric, attributes, key, cell in _cells(base, sums):
            if any(cell.counts):
                point = window.histogram(attributes, cell, sums.exemplars.get(key))
                histograms.setdefault(metric, []).append(point)
    metrics = [
        _metric(metric, Sum(points, _CUMULATIVE, metric.instrument == "counter")) for metric, points in counters.items()
    ]
    metrics += [_metric(metric, Histogram(points, _CUMULATIVE)) for metric, points in histograms.items()]
    return ScopeMetrics(SCOPE, metrics, "") if metrics else None


def clean(text: str) -> str:
    """Text that UTF-8 can carry: a lone surrogate becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _numbers(base: Attributes, sums: Folded) -> Iterable[tuple[semconv.Metric, Attributes, int]]:
    cells = sums.cells
    for name, count in cells.classes.items():
        labelled = base if name is None else {**base, semconv.PREDICTION_CLASS: clean(name)}
        yield semconv.PREDICTIONS, labelled, count
    yield semconv.PREDICTION_ERRORS, base, 0
    for error_type, cell in cells.failures.items():
        yield semconv.PREDICTION_ERRORS, {**base, semconv.ERROR_TYPE: clean(error_type)}, sum(cell.counts)
    yield semconv.PREDICTION_ACTIVE, base, max(0, cells.started - cells.finished)
    yield semconv.UNRECOGNISED_OUTPUTS, base, cells.unrecognised


def _cells(base: Attributes, sums: Folded) -> Iterable[tuple[semconv.Metric, Attributes, str, HistogramCell]]:
    cells = sums.cells
    yield semconv.PREDICTION_DURATION, base, "durations", cells.durations
    for error_type, cell in cells.failures.items():
        failed = {**base, semconv.ERROR_TYPE: clean(error_type)}
        yield semconv.PREDICTION_DURATION, failed, f"failures/{error_type}", cell
    yield semconv.PREDICTION_SCORE, base, "scores", cells.scores
    yield semconv.PREDICTION_BATCH_SIZE, base, "batch_sizes", cells.batch_sizes
    yield semconv.PREDICTION_FIRST_ITEM_DURATION, base, "first_items", cells.first_items
    for stage, cell in cells.stages.items():
        yield semconv.PREDICTION_STAGE_DURATION, {**base, semconv.STAGE_NAME: clean(stage)}, f"stages/{stage}", cell


def _metric(metric: semconv.Metric, data: Sum | Histogram) -> Metric:
    return Metric(metric.name, metric.description, metric.unit, data)


class Deltas:
    """Turns the cumulative points of one reader into what has been added since the last collection.

    Up-down counters stay cumulative, as the specification's delta preference has it.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts anew."""
        self._numbers: dict[tuple[str, frozenset[tuple[str, str]]], NumberDataPoint] = {}
        self._histograms: dict[tuple[str, frozenset[tuple[str, str]]], HistogramDataPoint] = {}

    def of(self, scope: ScopeMetrics) -> ScopeMetrics:
        """The scope's metrics with counters and histograms as deltas."""
        return replace(scope, metrics=[self._metric(metric) for metric in scope.metrics])

    def _metric(self, metric: Metric) -> Metric:
        data = metric.data
        if isinstance(data, Sum) and data.is_monotonic:
            numbers = [self._number(metric.name, point) for point in data.data_points]
            return replace(metric, data=replace(data, data_points=numbers, aggregation_temporality=_DELTA))
        if isinstance(data, Histogram):
            points = [self._histogram(metric.name, point) for point in data.data_points]
            return replace(metric, data=replace(data, data_points=points, aggregation_temporality=_DELTA))
        return metric

    def _number(self, name: str, point: NumberDataPoint) -> NumberDataPoint:
        key = (name, frozenset(_pairs(point)))
        last = self._numbers.get(key)
        self._numbers[key] = point
        if last is None:
            return point
        return replace(point, start_time_unix_nano=last.time_unix_nano, value=point.value - last.value)

    def _histogram(self, name: str, point: HistogramDataPoint) -> HistogramDataPoint:
        key = (name, frozenset(_pairs(point)))
        last = self._histograms.get(key)
        self._histograms[key] = point
        if last is None:
            return point
        counts = [now - before for now, before in zip(point.bucket_counts, last.bucket_counts, strict=True)]
        return HistogramDataPoint(
            attributes=point.attributes,
            start_time_unix_nano=last.time_unix_nano,
            time_unix_nano=point.time_unix_nano,
            count=point.count - last.count,
            sum=point.sum - last.sum,
            bucket_counts=counts,
            explicit_bounds=point.explicit_bounds,
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
            exemplars=point.exemplars,
        )


_DELTA: Final = AggregationTemporality.DELTA


def _pairs(point: NumberDataPoint | HistogramDataPoint) -> Iterable[tuple[str, str]]:
    return ((key, str(value)) for key, value in (point.attributes or {}).items())
