"""All that the page shows of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.performance import _distributions, _estimated, _figures_so_far, _segments, _versions
from otel_ml.console.performance._counts import Counts, by_identity, by_period
from otel_ml.console.storage._metric_points import Span, extent, increases, latest
from otel_ml.console.storage._queries import moment

if TYPE_CHECKING:
    import duckdb

HOURS: Final = 72
"""Length of the range of the API: what the console keeps by default."""
PERIODS: Final = 30
"""The most that are shown."""
_COUNTERS: Final = tuple(
    metric.name
    for room in (_figures_so_far, _estimated, _segments, _versions)
    for metric in room.COUNTERS
)  # fmt: skip
_OVER_TIME: Final = tuple(metric.name for metric in _estimated.OVER_TIME)
_GAUGES: Final = (semconv.EVAL_REFERENCE.name, semconv.EVAL_REFERENCE_SIZE.name)


def performance(cursor: duckdb.DuckDBPyConnection, span: Span) -> dict[str, Any]:
    """Returns the figures of each version and role of the span's model, and the comparisons of versions."""
    found = by_identity([*increases(cursor, _COUNTERS, span), *latest(cursor, _GAUGES, span)])
    edges, periods = _periods(cursor, span)
    versions = [
        {"version": identity.version, "role": identity.role, **_version(counts, periods.get(identity, []))}
        for identity, counts in sorted(found.items())
    ]
    return {
        "model": span.model,
        "versions": [each for each in versions if any(each[part] for part in ("figures", "estimate", "segments"))],
        "period_edges": [moment(each) for each in edges],
        "comparisons": [
            row for identity, counts in sorted(found.items()) for row in _versions.version_rows(identity, counts)
        ],
    }


def _version(counts: Counts, periods: list[Counts]) -> dict[str, Any]:
    found = _figures_so_far.so_far(counts)
    reference = counts.gauges(semconv.EVAL_REFERENCE, semconv.EVAL_FIGURE)
    rows = max(counts.gauges(semconv.EVAL_REFERENCE_SIZE, "").values(), default=0.0)
    return {
        "figures": found.rows(reference, rows),
        "confusion": _distributions.confusion(counts),
        "calibration": _distributions.calibration(_figures_so_far.class_scores(counts)),
        "errors": _distributions.errors(counts),
        "estimate": _estimated.estimated(counts, found, reference, rows),
        "periods": _estimated.over_time(periods, rows),
        "segments": _segments.segment_rows(counts),
        "fairness": _segments.fairness_rows(counts),
    }


def _periods(cursor: duckdb.DuckDBPyConnection, span: Span) -> tuple[list[int], dict[Any, list[Counts]]]:
    """Returns the edges of equal periods of what is stored, and the counts in each of them."""
    found = extent(cursor, _OVER_TIME, span)
    if found is None:
        return [], {}
    # two exports a period: one without an export would look as if there were no predictions
    periods = min(PERIODS, max(1, found.exports // 2))
    length = found.last_ns - found.first_ns
    edges = [found.first_ns + length * place // periods for place in range(periods + 1)]
    return edges, by_period(increases(cursor, _OVER_TIME, span, edges[1:-1]), periods)
