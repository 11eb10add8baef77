"""Calls, errors and durations of models from their events: in all of a time range, and in each of its steps."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.storage._queries import fetch
from otel_ml.console.storage._time_range import WHERE

if TYPE_CHECKING:
    import duckdb

    from otel_ml.console.storage._time_range import TimeRange

_ERROR: Final = f"failed and error_type is distinct from '{semconv.CANCELLED}'"
_COUNTS: Final = (
    "count(*) as calls, coalesce(sum(coalesce(batch_size, 1)) filter (not failed), 0)::bigint as rows, "
    f"count(*) filter ({_ERROR}) as errors"
)
_LATENCY: Final = "quantile_cont(duration, [0.5, 0.95, 0.99]) filter (isfinite(duration)) as latency"
VERSIONS_LIMIT: Final = 300
CLASSES_SHOWN: Final = 5
"""Classes with a series of their own; the others are one."""
ERRORS_SHOWN: Final = 10
SCORE_BINS: Final = 20
_DECADE: Final = 4
"""Bands of the heat map in each power of ten of a duration."""


def by_model(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    """Returns counts and the median, 95 % and 99 % duration of each model."""
    return fetch(
        cursor,
        f"select model, {_COUNTS}, {_LATENCY} from predictions where model is not null and {WHERE} group by model",
        window.values,
    )


def versions(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    """Returns the versions and roles of all models with their calls, the busiest first."""
    return fetch(
        cursor,
        "select model, version, role, count(*) as calls from predictions "
        f"where model is not null and {WHERE} group by model, version, role order by calls desc, version limit ?",
        [*window.values, VERSIONS_LIMIT],
    )


def by_version(
    cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Returns the same of all of a model, and of each version and role, the one that was seen first first."""
    found = fetch(
        cursor,
        f"select version, role, grouping(version) as is_total, {_COUNTS}, {_LATENCY}, "
        "avg(score) filter (isfinite(score)) as score, min(place_ns) as first_ns, max(place_ns) as newest_ns "
        f"from predictions where model = ? and {WHERE} group by grouping sets ((), (version, role)) "
        "order by is_total desc, first_ns limit ?",
        [model, *window.values, VERSIONS_LIMIT],
    )
    total, versions = found[0], found[1:]
    return (total, versions) if total["calls"] else (None, [])


def over_time(cursor: duckdb.DuckDBPyConnection, window: TimeRange) -> list[dict[str, Any]]:
    """Returns the counts of each model in each step that has calls."""
    return fetch(
        cursor,
        f"select model, {window.step} as step, {_COUNTS} from predictions "
        f"where model is not null and {WHERE} group by model, step",
        window.values,
    )


def versions_over_time(cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str) -> list[dict[str, Any]]:
    """Returns the counts of each version and role in each step that has calls."""
    return _of_model(cursor, window, model, f"version, role, {window.step} as step, {_COUNTS}")


def latency_over_time(cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str) -> list[dict[str, Any]]:
    """Returns the median, 95 % and 99 % duration, and the batch size, in each step."""
    figures = f"{_LATENCY}, avg(batch_size) as batch_mean, max(batch_size) as batch_max"
    return _of_model(cursor, window, model, f"{window.step} as step, {figures}")


def durations(cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str) -> list[dict[str, Any]]:
    """Returns the calls in each step and band of durations; bands are equal on a logarithmic scale."""
    band = f"floor(log10(greatest(duration, 1e-6)) * {_DECADE})::int as band"
    return _of_model(cursor, window, model, f"{window.step} as step, {band}, count(*) as calls", "isfinite(duration)")


def band_start(band: int) -> float:
    """The shortest duration in a band, in seconds."""
    return float(10 ** (band / _DECADE))


def scores(cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str) -> list[dict[str, Any]]:
    """Returns the predictions in each of equal bins of the score from 0 to 1, by version and role."""
    place = f"least(floor(score * {SCORE_BINS}), {SCORE_BINS - 1})::int as bin"
    return _of_model(cursor, window, model, f"version, role, {place}, count(*) as calls", "score between 0 and 1")


def classes(cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str) -> list[dict[str, Any]]:
    """Returns the predictions of each class in each step; of the rarest classes together, under None."""
    return fetch(
        cursor,
        f"with call as (select predicted_class as class, {window.step} as step from predictions "
        f"where model = ? and predicted_class is not null and {WHERE}), "
        "top as (select class from call group by class order by count(*) desc, class limit ?) "
        "select case when class in (select class from top) then class end as class, step, count(*) as calls "
        "from call group by all",
        [model, *window.values, CLASSES_SHOWN],
    )


def errors(cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str) -> list[dict[str, Any]]:
    """Returns the kinds of errors, the most frequent first, each with its first moment and newest prediction."""
    figures = (
        "count(*) as calls, min(place_ns) as first_ns, max(place_ns) as newest_ns, "
        "arg_max(prediction_id, place_ns) as newest_id"
    )
    found = _of_model(cursor, window, model, f"error_type, {figures}", _ERROR)
    return sorted(found, key=lambda row: -row["calls"])[:ERRORS_SHOWN]


def _of_model(
    cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str, columns: str, condition: str = "true"
) -> list[dict[str, Any]]:
    """Returns columns of a model's events, grouped by those that are no figure."""
    return fetch(
        cursor,
        f"select {columns} from predictions where model = ? and {condition} and {WHERE} group by all",
        [model, *window.values],
    )
