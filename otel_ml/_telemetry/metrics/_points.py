"""OpenTelemetry data points of folded cells, cumulative or delta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ScopeMetrics,
    Sum,
)

from otel_ml._telemetry._yielding import in_steps
from otel_ml._telemetry.series_points import Row, SeriesPoints

if TYPE_CHECKING:
    from otel_ml import semconv
    from otel_ml._observed_series import ObservedBuckets, ObservedSeries
    from otel_ml._telemetry.histograms import Exemplar, HistogramCell
    from otel_ml._telemetry.records import AttributeValue

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE
_DELTA: Final = AggregationTemporality.DELTA


class Window:
    """The start and end of the points, on the wall clock in nanoseconds."""

    def __init__(self, start_ns: int, now_ns: int) -> None:
        self.start_ns = start_ns
        self.now_ns = max(now_ns, start_ns)

    def since(self, start_ns: int | None) -> Window:
        """Returns the same window for series that began later."""
        return self if start_ns is None else Window(start_ns, self.now_ns)

    def number(self, attributes: Mapping[str, AttributeValue], value: float) -> NumberDataPoint:
        return NumberDataPoint(attributes, self.start_ns, self.now_ns, value)

    def histogram(
        self,
        attributes: Mapping[str, AttributeValue],
        cell: HistogramCell | ObservedBuckets,
        exemplars: dict[int, Exemplar] | None,
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


def sum_metric(metric: semconv.Metric, points: Sequence[NumberDataPoint]) -> Metric:
    """Returns the points as a cumulative sum, monotonic for a counter."""
    data = Sum(points, _CUMULATIVE, metric.instrument == "counter")
    return Metric(metric.name, metric.description, metric.unit, data)


def gauge_metric(metric: semconv.Metric, points: Sequence[NumberDataPoint]) -> Metric:
    """Returns the points as a gauge."""
    return Metric(metric.name, metric.description, metric.unit, Gauge(points))


def histogram_metric(metric: semconv.Metric, points: list[HistogramDataPoint]) -> Metric:
    """Returns the points as a cumulative histogram."""
    return Metric(metric.name, metric.description, metric.unit, Histogram(points, _CUMULATIVE))


class Deltas:
    """Turns the cumulative points of one reader into those added since its last collection.

    Up-down counters stay cumulative, as the specification's delta preference demands.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ObservedSeries], Row] = {}
        self._numbers: dict[tuple[str, frozenset[tuple[str, str]]], NumberDataPoint] = {}
        self._histograms: dict[tuple[str, frozenset[tuple[str, str]]], HistogramDataPoint] = {}

    def convert(self, scope: ScopeMetrics) -> ScopeMetrics:
        """Returns the scope's metrics with counters and histograms as deltas."""
        return replace(scope, metrics=[self._metric(metric) for metric in scope.metrics])

    def _metric(self, metric: Metric) -> Metric:
        data = metric.data
        if isinstance(data, Sum) and data.is_monotonic:
            given = data.data_points
            if isinstance(given, SeriesPoints):
                numbers: Sequence[NumberDataPoint] = self._series(metric.name, given)
            else:
                numbers = [self._number(metric.name, point) for point in given]
            return replace(metric, data=replace(data, data_points=numbers, aggregation_temporality=_DELTA))
        if isinstance(data, Histogram):
            points = [self._histogram(metric.name, point) for point in data.data_points]
            return replace(metric, data=replace(data, data_points=points, aggregation_temporality=_DELTA))
        return metric

    def _series(self, name: str, points: SeriesPoints) -> SeriesPoints:
        rows: list[Row] = []
        for step in in_steps(points.rows):
            for row in step:
                series, start_ns, time_ns, value = row
                _, last_start_ns, last_ns, last = self._rows.get((name, series), row)
                known = (name, series) in self._rows
                self._rows[name, series] = row
                if known and last_start_ns == start_ns and value >= last:
                    rows.append((series, last_ns, time_ns, value - last))
                else:
                    rows.append(row)
        return SeriesPoints(rows)

    def _number(self, name: str, point: NumberDataPoint) -> NumberDataPoint:
        key = (name, frozenset(_pairs(point)))
        last = self._numbers.get(key)
        self._numbers[key] = point
        began_again = last is None or last.start_time_unix_nano != point.start_time_unix_nano
        if last is None or began_again or point.value < last.value:  # a sum that was forgotten starts at 0 too
            return point
        return replace(point, start_time_unix_nano=last.time_unix_nano, value=point.value - last.value)

    def _histogram(self, name: str, point: HistogramDataPoint) -> HistogramDataPoint:
        key = (name, frozenset(_pairs(point)))
        last = self._histograms.get(key)
        self._histograms[key] = point
        if last is None or last.start_time_unix_nano != point.start_time_unix_nano:  # the series began again
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


def _pairs(point: NumberDataPoint | HistogramDataPoint) -> Iterable[tuple[str, str]]:
    return ((key, str(value)) for key, value in (point.attributes or {}).items())
