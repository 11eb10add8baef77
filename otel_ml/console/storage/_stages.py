"""Durations of the stages of a model, from the histograms that its services export."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from otel_ml.console.storage._metric_points import Span

_DELTA: Final = 1
_POINTS_LIMIT: Final = 5000
_SHARES: Final = (0.5, 0.95, 0.99)


class _Level(NamedTuple):
    """Count, sum and buckets of a histogram."""

    times: float
    total: float
    buckets: tuple[float, ...]

    def plus(self, other: _Level, sign: int = 1) -> _Level:
        return _Level(
            self.times + sign * other.times,
            self.total + sign * other.total,
            tuple(mine + sign * others for mine, others in zip(self.buckets, other.buckets, strict=True)),
        )


def stages(cursor: duckdb.DuckDBPyConnection, span: Span) -> list[dict[str, Any]]:
    """Returns count, mean and the median, 95 % and 99 % duration of each stage, the one with the most time first."""
    where, values = span.where((semconv.PREDICTION_STAGE_DURATION.name,), "histogram")
    found = fetch(
        cursor,
        "with point as (select *, case when temporality = ? then key else '' end as part from points "
        f"where {where} and observations is not null) "
        "select any_value(attributes) as attributes, start_ns, arg_max(observations, time_ns) as observations, "
        "arg_max(sum, time_ns) as total, arg_max(detail, time_ns) as detail, "
        "arg_min(observations, time_ns) as first_observations, arg_min(sum, time_ns) as first_total, "
        "arg_min(detail, time_ns) as first_detail, any_value(temporality) as temporality "
        "from point group by series, start_ns, part limit ?",
        [_DELTA, *values, _POINTS_LIMIT],
    )
    sums: dict[tuple[str, tuple[float, ...]], _Level] = {}
    for row in found:
        name = str((parse(row["attributes"]) or {}).get(semconv.STAGE_NAME, ""))
        bounds, rise = _rise(row, span)
        before = sums.get((name, bounds))
        sums[name, bounds] = rise if before is None else before.plus(rise)
    rows = [_row(name, bounds, level) for (name, bounds), level in sums.items() if level.times > 0]
    return sorted(rows, key=lambda row: -row["calls"] * row["mean"])


def _rise(row: dict[str, Any], span: Span) -> tuple[tuple[float, ...], _Level]:
    """Returns the bounds of a histogram, and what it counted in the range."""
    detail = parse(row["detail"]) or {}
    level = _Level(row["observations"], row["total"] or 0.0, tuple(detail.get("buckets") or ()))
    if row["temporality"] != _DELTA and row["start_ns"] < span.oldest_ns:
        first = parse(row["first_detail"]) or {}
        before = _Level(row["first_observations"], row["first_total"] or 0.0, tuple(first.get("buckets") or ()))
        level = level.plus(before, -1)
    return tuple(detail.get("bounds") or ()), level


def _row(name: str, bounds: tuple[float, ...], level: _Level) -> dict[str, Any]:
    return {
        "stage": name,
        "calls": level.times,
        "mean": level.total / level.times,
        "latency": [quantile(bounds, level.buckets, share) for share in _SHARES],
    }


def quantile(bounds: Sequence[float], buckets: Sequence[float], share: float) -> float | None:
    """Returns a quantile of a histogram, even within a bucket; above the last bound, that bound."""
    rank, below = share * sum(buckets), 0.0
    edges = [0.0, *bounds]
    for place, times in enumerate(buckets[: len(bounds)]):
        if times and below + times >= rank:
            return edges[place] + (edges[place + 1] - edges[place]) * max(0.0, rank - below) / times
        below += times
    return float(bounds[-1]) if bounds and sum(buckets) else None
