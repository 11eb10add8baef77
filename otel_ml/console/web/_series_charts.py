"""The tables that charts of metrics are drawn from: the largest series of a metric over time."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.console.storage._charts import ChartFilter, charts
from otel_ml.console.storage._metric_names import interval_ns, plain
from otel_ml.console.storage._time_range import TimeRange
from otel_ml.console.web._view import STEPS
from otel_ml.console.web.charts._model_charts import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

SHOWN: Final = 6
"""Series of one chart."""
_UNITS: Final = {"s": "seconds", "By": "bytes"}
_NAME: Final = 100
"""Characters of the name of a series."""
_APART: Final = 1.5
"""Steps are longer than the points are apart, so that each step has one."""


class Line(NamedTuple):
    """One series of a chart."""

    name: str
    values: list[float | None]

    @property
    def mean(self) -> float:
        """What the largest series are chosen by."""
        known = [abs(value) for value in self.values if value is not None]
        return fmean(known) if known else -1.0

    @property
    def latest(self) -> float | None:
        """The newest value."""
        return next((value for value in reversed(self.values) if value is not None), None)


def over_time(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter, window: TimeRange) -> dict[str, Any]:
    """Returns the series in steps that are at least as long as the points are apart."""
    bounded = replace(wanted, since_ns=window.since_ns, until_ns=window.until_ns)
    least = interval_ns(cursor, bounded, window) * _APART
    step = next((each * 10**9 for each in STEPS if each * 10**9 >= max(least, window.step_ns)), window.step_ns)
    fitted = TimeRange.of(window.since_ns, window.until_ns, step)
    count = -(-(fitted.until_ns - fitted.since_ns) // step)
    return charts(
        cursor, replace(wanted, since_ns=fitted.since_ns, until_ns=fitted.since_ns + count * step, steps=count)
    )


def table(times: Sequence[str], lines: Iterable[Line], most: int = SHOWN) -> Table:
    """Returns the largest series as columns."""
    shown = sorted((line for line in lines if line.latest is not None), key=lambda line: -line.mean)[:most]
    keys = [f"{time[:19]}Z" for time in times]
    return Table(
        [line.name for line in shown], [(key, [line.values[at] for line in shown]) for at, key in enumerate(keys)]
    )


def unit(metric: dict[str, Any], figure: str) -> str:
    """How the values of a figure of a metric read."""
    if figure == "rate":
        return "bytes" if metric["unit"] == "By" and metric["kind"] == "sum" else "figure"
    if metric["unit"] == "1" and metric["name"].endswith(("utilization", "share", "ratio", "activity", "occupancy")):
        return "share"
    return _UNITS.get(metric["unit"], "figure")


def series_names(found: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the name of each series: what differs between them."""
    described = [_description(series) for series in found]
    same = {
        item for item in (described[0].items() if described else ()) if all(item in each.items() for each in described)
    }
    return [
        ", ".join(value for name, value in each.items() if (name, value) not in same)[:_NAME] or "all"
        for each in described
    ]


def _description(series: dict[str, Any]) -> dict[str, str]:
    attributes = series["attributes"] if isinstance(series["attributes"], dict) else {}
    found = {name: plain(value) for name, value in attributes.items()}
    return found | {" service": series["service_name"] or "", " instance": str(series["instance"] or "")[:8]}
