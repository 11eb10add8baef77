"""Folded cells of predictions as OpenTelemetry data points."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint, ScopeMetrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_ml import semconv
from otel_ml._telemetry._yielding import yield_to_service
from otel_ml._telemetry.metrics._points import Window, histogram_metric, sum_metric
from otel_ml._values import line

if TYPE_CHECKING:
    from otel_ml._telemetry.histograms import Folded, HistogramCell
    from otel_ml._telemetry.predictions.cells import CellSet
    from otel_ml._telemetry.predictions.model_cells import ModelCells
    from otel_ml._telemetry.predictions.segment_cells import Segment

SCOPE: Final = InstrumentationScope(f"{semconv.SCOPE}.predictions")
"""A scope of its own: the encoder keeps only the last of several equal scopes."""

Attributes = dict[str, str]


def scope_metrics(
    folded: Iterable[tuple[CellSet, Folded[ModelCells]]], process: Window, *, is_last: bool = False
) -> ScopeMetrics | None:
    """Returns all prediction metrics of all models in one scope; None when there is no model yet."""
    counters: dict[semconv.Metric, list[NumberDataPoint]] = {}
    histograms: dict[semconv.Metric, list[HistogramDataPoint]] = {}
    for cell_set, sums in folded:
        window = process.since(cell_set.start_ns)
        base = {name: line(value) for name, value in cell_set.identity.attributes().items()}
        for metric, attributes, value in _numbers(base, sums):
            counters.setdefault(metric, []).append(window.number(attributes, value))
        held = int(cell_set.is_used and not is_last)
        counters.setdefault(semconv.MODEL_PROCESSES, []).append(window.number(base, held))
        for metric, attributes, value in _segment_numbers(base, sums, cell_set):
            counters.setdefault(metric, []).append(window.number(attributes, value))
        for metric, attributes, key, cell in _cells(base, sums):
            if any(cell.counts):
                point = window.histogram(attributes, cell, sums.exemplars.get(key))
                histograms.setdefault(metric, []).append(point)
        yield_to_service()
    metrics = [sum_metric(metric, points) for metric, points in counters.items()]
    metrics += [histogram_metric(metric, points) for metric, points in histograms.items()]
    return ScopeMetrics(SCOPE, metrics, "") if metrics else None


def _numbers(base: Attributes, sums: Folded[ModelCells]) -> Iterable[tuple[semconv.Metric, Attributes, int]]:
    cells = sums.cells
    for name, count in cells.classes.items():
        labelled = base if name is None else {**base, semconv.PREDICTION_CLASS: line(name)}
        yield semconv.PREDICTIONS, labelled, count
    yield semconv.PREDICTION_ERRORS, base, 0
    untimed = [(base, cells.durations)]
    for error_type, cell in cells.failures.items():
        failed = {**base, semconv.ERROR_TYPE: line(error_type)}
        yield semconv.PREDICTION_ERRORS, failed, sum(cell.counts) + cell.unmeasured
        untimed.append((failed, cell))
    for attributes, cell in untimed:
        if cell.unmeasured:
            yield semconv.PREDICTION_UNTIMED, attributes, cell.unmeasured
    for reason, count in cells.omissions.items():
        yield semconv.OMISSIONS, {**base, semconv.OMISSION_REASON: reason}, count
    yield semconv.PREDICTION_ACTIVE, base, max(0, cells.started - cells.finished)
    yield semconv.UNRECOGNISED_OUTPUTS, base, cells.unrecognised


def _segment_numbers(
    base: Attributes, sums: Folded[ModelCells], cell_set: CellSet
) -> Iterable[tuple[semconv.Metric, Attributes, int]]:
    for segment, cells in sums.cells.segments.items():
        attributes = {**base, **_segment_attributes(segment)}
        classes: dict[str | None, int] = dict.fromkeys(cell_set.segment_classes, 0)
        for name, count in {**classes, **cells.classes}.items():
            labelled = attributes if name is None else {**attributes, semconv.PREDICTION_CLASS: line(name)}
            yield semconv.SEGMENT_PREDICTIONS, labelled, count
        yield semconv.SEGMENT_ERRORS, attributes, cells.errors
        if cell_set.counts_missing:
            yield semconv.SEGMENT_MISSING, attributes, cells.missing


def _segment_attributes(segment: Segment) -> Attributes:
    column, value = segment
    return {semconv.SEGMENT_NAME: line(column), semconv.SEGMENT_VALUE: value}


def _cells(
    base: Attributes, sums: Folded[ModelCells]
) -> Iterable[tuple[semconv.Metric, Attributes, str, HistogramCell]]:
    cells = sums.cells
    yield semconv.PREDICTION_DURATION, base, "durations", cells.durations
    for error_type, cell in cells.failures.items():
        failed = {**base, semconv.ERROR_TYPE: line(error_type)}
        yield semconv.PREDICTION_DURATION, failed, f"failures/{error_type}", cell
    yield semconv.PREDICTION_SCORE, base, "scores", cells.scores
    yield semconv.PREDICTION_BATCH_SIZE, base, "batch_sizes", cells.batch_sizes
    yield semconv.PREDICTION_FIRST_ITEM_DURATION, base, "first_items", cells.first_items
    for stage, cell in cells.stages.items():
        yield semconv.PREDICTION_STAGE_DURATION, {**base, semconv.STAGE_NAME: line(stage)}, f"stages/{stage}", cell
    for segment, segment_cells in cells.segments.items():
        attributes = {**base, **_segment_attributes(segment)}
        yield semconv.SEGMENT_DURATION, attributes, "", segment_cells.durations
        yield semconv.SEGMENT_SCORE, attributes, "", segment_cells.scores
