"""Metrics over time: the points of each series in equal steps, counters as rates, distributions with percentiles."""

# ruff: noqa: S608 - names of tables and columns are ours, everything from outside is a parameter
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.console.storage._histograms import percentiles
from otel_ml.console.storage._queries import fetch, moment, parse, stream
from otel_ml.console.storage.lists._conditions import Conditions

if TYPE_CHECKING:
    import duckdb

SERIES_LIMIT: Final = 200
"""Series of one answer."""
RESOURCES: Final = (
    *("system.", "process.", "container.", "hw.", "cpython."),
    *("otelml.container.", "otelml.gpu.", "otelml.process.", "otelml.pressure."),
)
"""How the names of the metrics of machines, processes and GPUs begin."""
_CUMULATIVE: Final = 2
_MOST: Final = 1e300
"""The largest figure of a chart. A gauge that knows no limit has the largest float."""
IS_COUNTED: Final = "(monotonic or temporality = 1)"
"""Whether a sum is drawn as a rate, as SQL: a counter, and each one that says how much it changed, not where it is."""
_SECOND: Final = 10**9


@dataclass(frozen=True)
class ChartFilter:
    """Selects series; without a window all that is stored of them."""

    name: str | None = None
    prefixes: tuple[str, ...] = ()
    service: str | None = None
    model: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    steps: int = 120
    limit: int = SERIES_LIMIT

    def conditions(self) -> Conditions:
        """The SQL condition on the series."""
        found = Conditions()
        found.add("name = ?", self.name)
        if self.prefixes:
            found.add("(" + " or ".join("starts_with(name, ?)" for _ in self.prefixes) + ")", *self.prefixes)
        found.add("service_name = ?", self.service)
        found.add("model = ?", self.model)
        for name, value in self.labels:
            path = "/" + name.replace("~", "~0").replace("/", "~1")
            found.add("json_extract_string(attributes, ?) = ?", path, value)
        return found


def charts(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter) -> dict[str, Any]:
    """The metrics with their series; every list of figures has one entry for each of `times`, None without a point."""
    window = _window(cursor, wanted)
    if window is None:
        return {"times": [], "step": None, "metrics": [], "series_omitted": 0}
    since, until = window
    step = max(1, -(-(until - since) // wanted.steps))
    whole = (since - step, until)
    known = _known(cursor, wanted, whole)
    length = -(-(until - since) // step)
    figures = {
        series: _figures(list(rows), known[series], length, since - step)
        for series, rows in groupby(_levels(cursor, [*known], whole, step), key=lambda row: str(row["series"]))
    }
    metrics: dict[str, dict[str, Any]] = {}
    for series, facts in known.items():
        metric = {"name": facts["name"], "kind": facts["kind"], "unit": facts["unit"], "series": []}
        metrics.setdefault(facts["name"], metric)["series"].append(_series(facts, figures[series]))
    total = next((facts["total"] for facts in known.values()), 0)
    return {
        "times": [moment(since + step * index) for index in range(length)],
        "step": step / _SECOND,
        "metrics": list(metrics.values()),
        "series_omitted": total - len(known),
    }


def _window(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter) -> tuple[int, int] | None:
    conditions = wanted.conditions()
    found = fetch(
        cursor,
        f"select min(time_ns) as oldest, max(time_ns) + 1 as newest from points where {conditions.where}",
        conditions.values,
    )[0]
    if found["oldest"] is None:
        return None
    since = found["oldest"] if wanted.since_ns is None else wanted.since_ns
    until = found["newest"] if wanted.until_ns is None else wanted.until_ns
    return (since, until) if since < until else None


def _in_window(conditions: Conditions, window: tuple[int, int]) -> Conditions:
    conditions.add("time_ns >= ?", window[0])
    conditions.add("time_ns < ?", window[1])
    return conditions


def _known(
    cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter, window: tuple[int, int]
) -> dict[str, dict[str, Any]]:
    """The series by name, of each metric the largest first; `total` also counts those beyond the limit."""
    conditions = _in_window(wanted.conditions(), window)
    found = fetch(
        cursor,
        f"select series, name, any_value(kind) as kind, any_value(unit) as unit, any_value({IS_COUNTED}) as counted, "
        "any_value(attributes) as attributes, any_value(resource) as resource, "
        f"any_value(service_name) as service_name, count(*) over () as total from points where {conditions.where} "
        "group by name, series order by name, "
        "max(coalesce(abs(value), observations)) filter (coalesce(isfinite(value), true)) desc nulls last, series "
        "limit ?",
        [*conditions.values, wanted.limit],
    )
    return {row["series"]: row for row in found}


def _levels(
    cursor: duckdb.DuckDBPyConnection, series: Sequence[str], window: tuple[int, int], step: int
) -> Iterator[dict[str, Any]]:
    """What each series says in each step; the first step of the window is numbered -1."""
    conditions = Conditions()
    conditions.add("series in (select unnest(?::varchar[]))", series)
    _in_window(conditions, window)
    return stream(
        cursor,
        # the points of one run of a process; each delta has a start of its own
        f"with point as (select *, case when temporality = {_CUMULATIVE} then start_ns else 0 end as run from points "
        f"where {conditions.where}) "
        "select series, min(start_ns) as start_ns, (time_ns - ?) // ? - 1 as step, "
        "any_value(temporality) as temporality, max(time_ns) as time_ns, "
        "avg(value) filter (isfinite(value)) as mean, min(value) filter (isfinite(value)) as low, "
        "max(value) filter (isfinite(value)) as high, "
        "arg_max(value, time_ns) as value, sum(value) as total, arg_max(observations, time_ns) as observations, "
        "sum(observations) as all_observations, arg_max(sum, time_ns) as sum, sum(sum) as total_sum, "
        "arg_max(detail, time_ns) as detail, "
        f"list(detail) filter (temporality <> {_CUMULATIVE} and detail is not null) as details from point "
        "group by series, run, step order by series, run, step",
        [*conditions.values, window[0], step],
    )


def _figures(
    rows: Sequence[dict[str, Any]], facts: dict[str, Any], length: int, oldest_ns: int
) -> dict[str, list[float | None]]:
    is_number = facts["kind"] in {"sum", "gauge"}
    is_level = is_number and not (facts["kind"] == "sum" and facts["counted"])
    figures: dict[str, list[float | None]] = {}
    for step, found in _level_figures(rows) if is_level else _rate_figures(rows, oldest_ns):
        for name, value in found.items():
            if 0 <= step < length:
                figures.setdefault(name, [None] * length)[step] = _finite(value)
    return figures


def _series(facts: dict[str, Any], figures: dict[str, list[float | None]]) -> dict[str, Any]:
    resource = parse(facts["resource"])
    return {
        "attributes": parse(facts["attributes"]),
        "service_name": facts["service_name"],
        "instance": resource.get(semconv.SERVICE_INSTANCE_ID) if isinstance(resource, dict) else None,
        "figures": figures,
    }


def _finite(value: float | None) -> float | None:
    """A chart and JSON have no place for not-a-number and infinities, nor for what soon becomes one in a sum."""
    return value if value is not None and abs(value) <= _MOST else None


def _level_figures(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[int, dict[str, float | None]]]:
    for row in rows:
        yield row["step"], {"value": row["mean"], "min": row["low"], "max": row["high"]}


def _rate_figures(rows: Sequence[dict[str, Any]], oldest_ns: int) -> Iterator[tuple[int, dict[str, float | None]]]:
    before: dict[str, Any] | None = None
    for row in rows:
        if row["temporality"] != _CUMULATIVE:
            begin = before["time_ns"] if before else row["start_ns"]
            seconds = (row["time_ns"] - begin) / _SECOND if begin else 0.0
            found = _of_increase(row["total"], row["all_observations"], row["total_sum"], seconds)
            yield row["step"], found | percentiles(map(parse, row["details"] or ()))
        else:
            if before is None or before["start_ns"] != row["start_ns"]:
                before = _start(row, oldest_ns)
            if before is not None:
                yield row["step"], _increase(before, row)
        before = row


def _start(row: dict[str, Any], oldest_ns: int) -> dict[str, Any] | None:
    """A series that began in the window began at 0; of an older one the first point says nothing of its rate."""
    if row["start_ns"] < oldest_ns:
        return None
    zero = {"value": 0.0, "observations": 0, "sum": 0.0, "detail": None}
    return {"time_ns": row["start_ns"], "start_ns": row["start_ns"], **zero}


def _increase(before: dict[str, Any], row: dict[str, Any]) -> dict[str, float | None]:
    seconds = (row["time_ns"] - before["time_ns"]) / _SECOND
    if before["time_ns"] == before["start_ns"] and seconds < 1:
        seconds = 0.0  # a counter may begin with what its process did before: too much for so short a time
    value, observations, total = (
        None if row[name] is None or before[name] is None else row[name] - before[name]
        for name in ("value", "observations", "sum")
    )
    value, observations = (None if each is not None and each < 0 else each for each in (value, observations))
    return _of_increase(value, observations, total, seconds) | percentiles(
        [parse(row["detail"])], without=parse(before["detail"])
    )


def _of_increase(
    value: float | None, observations: int | None, total: float | None, seconds: float
) -> dict[str, float | None]:
    rise = value if observations is None else observations
    rate = None if rise is None or seconds <= 0 else rise / seconds
    if observations is None:
        return {"rate": rate}
    return {"rate": rate, "mean": total / observations if total is not None and observations > 0 else None}
