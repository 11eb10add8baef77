"""The one figure by which a model is known, from labels and before them, of every model at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.performance import _estimated, _figures_so_far
from otel_ml.console.performance._counts import Counts, ModelVersion, by_identity
from otel_ml.console.storage._metric_points import Span, increases, latest

if TYPE_CHECKING:
    import duckdb

_FIGURES: Final = ("accuracy", "exact_match", "ndcg", "mae")
"""What is shown of a model of each task."""
_COUNTERS: Final = tuple(metric.name for room in (_figures_so_far, _estimated) for metric in room.COUNTERS)
_GAUGES: Final = (semconv.EVAL_REFERENCE.name, semconv.EVAL_REFERENCE_SIZE.name)


def summaries(cursor: duckdb.DuckDBPyConnection, span: Span) -> dict[ModelVersion, dict[str, Any]]:
    """Returns the realised and the estimated figure of each model, version and role that has one of them."""
    found = by_identity([*increases(cursor, _COUNTERS, span), *latest(cursor, _GAUGES, span)])
    made = {identity: _summary(counts) for identity, counts in found.items()}
    return {identity: each for identity, each in made.items() if each["realised"] or each["estimate"]}


def _summary(counts: Counts) -> dict[str, Any]:
    so_far = _figures_so_far.so_far(counts)
    reference = counts.gauges(semconv.EVAL_REFERENCE, semconv.EVAL_FIGURE)
    rows = max(counts.gauges(semconv.EVAL_REFERENCE_SIZE, "").values(), default=0.0)
    return {
        "realised": _first(so_far.rows(reference, rows)),
        "estimate": _first(_estimated.estimated(counts, so_far, reference, rows)),
    }


def _first(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    by_name = {row["figure"]: row for row in rows}
    return next((by_name[name] for name in _FIGURES if name in by_name), None)
