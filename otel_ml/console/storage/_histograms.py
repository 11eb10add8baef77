"""What histograms counted in a time range, over all replicas and restarts, and quantiles of that and of points."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._queries import fetch, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

    from otel_ml.console.storage._metric_points import Span

_DELTA: Final = 1
_ROWS_LIMIT: Final = 50_000
SHARES: Final = (0.5, 0.95, 0.99)
_PERCENTILES: Final = dict(zip(("p50", "p95", "p99"), SHARES, strict=True))


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
        """Returns a quantile, even within a bucket, and no more than the mean allows; above the last bound, that bound.

        Of durations, which are never negative, a share above a value takes at least so much of the sum (Markov).
        """
        most = self.total / self.times / (1 - share) if self.times > 0 and self.total > 0 else math.inf
        rank, below = share * sum(self.buckets), 0.0
        edges = [0.0, *self.bounds]
        for place, times in enumerate(self.buckets[: len(self.bounds)]):
            if times and below + times >= rank:
                return min(most, edges[place] + (edges[place + 1] - edges[place]) * max(0.0, rank - below) / times)
            below += times
        return self.bounds[-1] if self.bounds and sum(self.buckets) else None


def histograms(cursor: duckdb.DuckDBPyConnection, name: str, span: Span, key: str) -> dict[str, Histogram]:
    """Returns what was counted for each value of an attribute; of other bounds than the first, nothing."""
    found = histograms_over_time(cursor, name, span, (key,))
    return {value: each for (value,), (each,) in found.items() if each is not None}


def histograms_over_time(
    cursor: duckdb.DuckDBPyConnection, name: str, span: Span, keys: Sequence[str], edges: Sequence[int] = ()
) -> dict[tuple[str, ...], list[Histogram | None]]:
    """Returns what was counted in each period for the values of some attributes; None in a period without anything.

    Args:
        cursor: Of the store.
        name: The metric.
        span: What is read.
        keys: The attributes.
        edges: The moments at which periods after the first one begin.
    """
    where, values = span.where((name,), "histogram")
    period = " + ".join(["0", *("(time_ns >= ?)::int" for _ in edges)])
    found = fetch(
        cursor,
        f"with point as (select *, {period} as period, case when temporality = ? then key::varchar else '' end as part "
        f"from points where {where} and observations is not null) "
        "select series, any_value(attributes) as attributes, start_ns, period, part, "
        "arg_max(observations, time_ns) as times, arg_max(sum, time_ns) as total, arg_max(detail, time_ns) as detail, "
        "arg_min(observations, time_ns) as first_times, arg_min(sum, time_ns) as first_total, "
        "arg_min(detail, time_ns) as first_detail from point group by series, start_ns, period, part "
        "order by series, start_ns, part, period limit ?",
        [*edges, _DELTA, *values, _ROWS_LIMIT],
    )
    sums: dict[tuple[str, ...], list[Histogram | None]] = {}
    for attributes, place, rise in _rises(found, span):
        parsed = parse(attributes) or {}
        periods = sums.setdefault(tuple(str(parsed.get(key, "")) for key in keys), [None] * (len(edges) + 1))
        known = next((each for each in periods if each is not None), rise)
        if rise.times > 0 and rise.bounds == known.bounds:
            before = periods[place]
            periods[place] = rise if before is None else before.plus(rise)
    return {values: periods for values, periods in sums.items() if any(periods)}


def quantiles(found: Histogram) -> list[float | None]:
    """Returns the median, 95 % and 99 % quantile."""
    return [found.quantile(share) for share in SHARES]


def _rises(rows: list[dict[str, Any]], span: Span) -> Iterator[tuple[str, int, Histogram]]:
    """Yields attributes, period and what came in it; of an older series, what came after its first point."""
    series, before = None, None
    for row in rows:
        level = _histogram(row["times"], row["total"], row["detail"])
        if row["part"]:
            yield row["attributes"], row["period"], level
            continue
        if series != (row["series"], row["start_ns"]):
            series, before = (row["series"], row["start_ns"]), None
            if row["start_ns"] < span.oldest_ns:
                before = _histogram(row["first_times"], row["first_total"], row["first_detail"])
        is_known = before is not None and before.bounds == level.bounds
        yield row["attributes"], row["period"], level.plus(before, -1) if before and is_known else level
        before = level


def _histogram(times: float, total: float | None, detail: str | None) -> Histogram:
    parsed = parse(detail) or {}
    return Histogram(times, total or 0.0, tuple(parsed.get("bounds") or ()), tuple(parsed.get("buckets") or ()))


def percentiles(details: Iterable[Any], without: Any = None) -> dict[str, float | None]:
    """Percentiles of some points together, less what was counted before; within a bucket by straight line.

    A summary states its quantiles, which are taken as they are.
    """
    counts: dict[float, int] = {}
    for detail in details:
        if isinstance(detail, dict) and "quantiles" in detail:
            return _stated(detail["quantiles"])
        for bound, count in _counts(detail).items():
            counts[bound] = counts.get(bound, 0) + count
    earlier = {bound: count for bound, count in _counts(without).items() if count}
    # with other bounds than before it is not known which observations are new
    if not counts.keys() >= earlier.keys():
        return {}
    found = sorted((bound, count - earlier.get(bound, 0)) for bound, count in counts.items())
    total = sum(count for _, count in found)
    if len(found) < 2 or total <= 0 or min(count for _, count in found) < 0:
        return {}
    return {name: _quantile(found, share * total) for name, share in _PERCENTILES.items()}


def _stated(quantiles: Iterable[Any]) -> dict[str, float | None]:
    # one without observations is not a number
    known = {share: value for share, value in quantiles if isinstance(value, (int, float))}
    return {name: known[share] for name, share in _PERCENTILES.items() if share in known}


def _counts(detail: Any) -> dict[float, int]:
    """How many observations each bucket has, by its upper bound; infinity is that of the last one."""
    if not isinstance(detail, dict):
        return {}
    if "scale" in detail:
        return _exponential(detail)
    bounds, buckets = detail.get("bounds") or (), detail.get("buckets") or ()
    return dict(zip((*bounds, math.inf), buckets, strict=True)) if len(buckets) == len(bounds) + 1 else {}


def _exponential(detail: dict[str, Any]) -> dict[float, int]:
    """A bucket of 0 stays between those of negative and positive observations, so that all points agree on it."""
    scale, negative, positive = detail["scale"], detail["negative"], detail["positive"]
    counts = {0.0: detail["zero_count"]}
    if positive["buckets"]:
        counts[_bound(scale, positive["offset"])] = 0
    for index, count in enumerate(positive["buckets"], positive["offset"]):
        counts[_bound(scale, index + 1)] = count
    for index, count in enumerate(negative["buckets"], negative["offset"]):
        counts[-_bound(scale, index)] = count
    if negative["buckets"]:
        counts[-_bound(scale, negative["offset"] + len(negative["buckets"]))] = 0
    return counts


def _bound(scale: int, index: int) -> float:
    try:
        return math.pow(2.0, math.ldexp(index, -scale))
    except OverflowError:
        return math.inf


def _quantile(found: list[tuple[float, int]], rank: float) -> float:
    below, low = 0, min(0.0, found[0][0])
    for bound, count in found:
        if count and below + count >= rank:
            return low if math.isinf(bound) else low + (bound - low) * (rank - below) / count
        below, low = below + count, bound
    return low
