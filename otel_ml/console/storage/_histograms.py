"""What histograms counted in a time range, over all replicas and restarts, and the quantiles of that."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._metric_points import Span

_DELTA: Final = 1
_SERIES_LIMIT: Final = 5000
SHARES: Final = (0.5, 0.95, 0.99)


class Histogram(NamedTuple):
    """Observations with their sum, and how many are in each bucket."""

    times: float
    total: float
    bounds: tuple[float, ...]
    buckets: tuple[float, ...]

    def plus(self, other: Histogram, sign: int = 1) -> Histogram:
        """Returns both together, or with -1 what this one has more."""
        return Histogram(
            self.times + sign * other.times,
            self.total + sign * other.total,
            self.bounds,
            tuple(mine + sign * others for mine, others in zip(self.buckets, other.buckets, strict=True)),
        )

    def quantile(self, share: float) -> float | None:
        """Returns a quantile, even within a bucket; above the last bound, that bound."""
        rank, below = share * sum(self.buckets), 0.0
        edges = [0.0, *self.bounds]
        for place, times in enumerate(self.buckets[: len(self.bounds)]):
            if times and below + times >= rank:
                return edges[place] + (edges[place + 1] - edges[place]) * max(0.0, rank - below) / times
            below += times
        return self.bounds[-1] if self.bounds and sum(self.buckets) else None


def histograms(cursor: duckdb.DuckDBPyConnection, name: str, span: Span, key: str) -> dict[str, Histogram]:
    """Returns what was counted for each value of an attribute; of other bounds than the first, nothing."""
    where, values = span.where((name,), "histogram")
    found = fetch(
        cursor,
        f"with point as (select *, case when temporality = ? then key::varchar else '' end as part from points "
        f"where {where} and observations is not null) "
        "select any_value(attributes) as attributes, start_ns, any_value(temporality) as temporality, "
        "arg_max(observations, time_ns) as times, arg_max(sum, time_ns) as total, arg_max(detail, time_ns) as detail, "
        "arg_min(observations, time_ns) as first_times, arg_min(sum, time_ns) as first_total, "
        "arg_min(detail, time_ns) as first_detail from point group by series, start_ns, part limit ?",
        [_DELTA, *values, _SERIES_LIMIT],
    )
    sums: dict[str, Histogram] = {}
    for row in found:
        value = str((parse(row["attributes"]) or {}).get(key, ""))
        rise = _rise(row, span)
        before = sums.get(value)
        if before is None or before.bounds == rise.bounds:
            sums[value] = rise if before is None else before.plus(rise)
    return {value: each for value, each in sums.items() if each.times > 0}


def quantiles(found: Histogram) -> list[float | None]:
    """Returns the median, 95 % and 99 % quantile."""
    return [found.quantile(share) for share in SHARES]


def _rise(row: dict[str, Any], span: Span) -> Histogram:
    level = _histogram(row["times"], row["total"], row["detail"])
    if row["temporality"] == _DELTA or row["start_ns"] >= span.oldest_ns:
        return level
    first = _histogram(row["first_times"], row["first_total"], row["first_detail"])
    return level.plus(first, -1) if first.bounds == level.bounds else level


def _histogram(times: float, total: float | None, detail: str | None) -> Histogram:
    parsed = parse(detail) or {}
    return Histogram(times, total or 0.0, tuple(parsed.get("bounds") or ()), tuple(parsed.get("buckets") or ()))
