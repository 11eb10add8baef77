"""Calls, errors and durations of models from their counters: complete, also of predictions without an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.storage._histograms import histograms, quantiles
from otel_ml.console.storage._metric_points import increases

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._metric_points import Span
    from otel_ml.console.storage._time_range import TimeRange


_SAMPLE: Final = 2
"""With more predictions for each event than this, the events are a sample."""


def is_sample(events: dict[str, Any] | None, counters: dict[str, Any]) -> bool:
    """Whether most predictions of a model have no event, so that its counters are the truth."""
    return bool(counters["rows"] > _SAMPLE * (events["rows"] if events else 0))


def counted(cursor: duckdb.DuckDBPyConnection, window: TimeRange, span: Span) -> dict[str, dict[str, Any]]:
    """Returns counts and durations of each model, and its predicted rows a second in each step."""
    starts = window.starts
    found: dict[str, dict[str, Any]] = {}
    names = (semconv.PREDICTIONS.name, semconv.PREDICTION_ERRORS.name)
    for name, attributes, value, period in increases(cursor, names, span, starts[1:]):
        row = found.setdefault(
            str(attributes.get(semconv.MODEL_NAME, "")), {"rows": 0, "errors": 0, "steps": [0.0] * len(starts)}
        )
        if name == semconv.PREDICTIONS.name:
            row["rows"] += round(value)
            row["steps"][period] += value / window.seconds(starts[period])
        elif attributes.get(semconv.ERROR_TYPE) != semconv.CANCELLED:
            row["errors"] += round(value)
    durations = histograms(cursor, semconv.PREDICTION_DURATION.name, span, semconv.MODEL_NAME)
    for model, row in found.items():
        timed = durations.get(model)
        row |= {"calls": round(timed.times) if timed else row["rows"], "latency": quantiles(timed) if timed else None}
    return found


def stages(cursor: duckdb.DuckDBPyConnection, span: Span) -> list[dict[str, Any]]:
    """Returns calls, mean and quantiles of the duration of each stage, the one with the most time first."""
    found = histograms(cursor, semconv.PREDICTION_STAGE_DURATION.name, span, semconv.STAGE_NAME)
    return [
        {"stage": name, "calls": each.times, "mean": each.total / each.times, "latency": quantiles(each)}
        for name, each in sorted(found.items(), key=lambda item: -item[1].total)
    ]
