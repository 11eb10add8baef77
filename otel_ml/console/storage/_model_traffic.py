"""What one model did in a time range: from its events, or from its metrics if most predictions have no event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from otel_ml.console.storage import _counted, _counted_model, _traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from otel_ml.console.storage._metric_points import Span
    from otel_ml.console.storage._time_range import TimeRange

    Rows = list[dict[str, Any]]


class ModelTraffic(NamedTuple):
    """Rows by version and role, by kind of error, by step, and by band, bin or class in each step."""

    is_sample: bool
    """Whether the events are a sample, so that all of this is from metrics."""
    total: dict[str, Any] | None
    versions: Rows
    errors: Rows
    over_time: Rows
    latency: Rows
    durations: Rows
    band_start: Callable[[int], float]
    scores: Rows
    classes: Rows


def model_traffic(cursor: duckdb.DuckDBPyConnection, window: TimeRange, span: Span) -> ModelTraffic:
    """Returns what the model of a span did."""
    name = span.model or ""
    total, versions = _traffic.by_version(cursor, window, name)
    counters = _counted.counted(cursor, window, span).get(name)
    if counters is None or not _counted.is_sample(total, counters):
        return ModelTraffic(
            is_sample=False,
            total=total,
            versions=versions,
            errors=_traffic.errors(cursor, window, name),
            over_time=_traffic.versions_over_time(cursor, window, name),
            latency=_traffic.latency_over_time(cursor, window, name),
            durations=_traffic.durations(cursor, window, name),
            band_start=_traffic.band_start,
            scores=_traffic.scores(cursor, window, name),
            classes=_traffic.classes(cursor, window, name),
        )
    found = _counted_model.CountedModel(cursor, window, span)
    newest = {row["error_type"]: row["newest_id"] for row in _traffic.errors(cursor, window, name)}
    return ModelTraffic(
        is_sample=True,
        total=counters,
        versions=found.versions(),
        errors=[row | {"newest_id": newest.get(row["error_type"])} for row in found.errors()],
        over_time=found.over_time(),
        latency=found.latency(),
        durations=found.durations(),
        band_start=found.band_start,
        scores=found.scores(),
        classes=found.classes(),
    )
