"""Every metric that arrived, and one of them: its series over time, with labels as filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import QueryParams

from otel_ml.console.storage import _metric_names
from otel_ml.console.storage._charts import ChartFilter
from otel_ml.console.storage.details._exemplars import exemplars
from otel_ml.console.web import _parameters
from otel_ml.console.web._list_address import ListAddress
from otel_ml.console.web._series_charts import SHOWN, Line, over_time, series_names, table, unit

if TYPE_CHECKING:
    import duckdb
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.storage._time_range import TimeRange
    from otel_ml.console.web._frame import Frame

_NAME: Final = _parameters.text("name", "name of the metric that is drawn")
_TEXT: Final = _parameters.text("text", "text in the names of the metrics")
_PARAMETERS: Final = (_NAME, _TEXT, _parameters.SERVICE, _parameters.LABEL)
_ROWS: Final = 40
"""Series of the table below the charts."""
_VALUES: Final = 60
"""Values of a label to choose from."""
_VALUE_LENGTH: Final = 120
_TITLES: Final = {
    "value": ("Value", "mean of each step"),
    "rate": ("Rate", "a second"),
    "p95": ("95th percentile", "of each step"),
    "p99": ("99th percentile", "of each step"),
    "p50": ("Median", "of each step"),
    "mean": ("Mean", "of each step"),
}
_PERCENTILES: Final = ("p50", "p95", "p99")


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of both pages."""

    async def shown(request: Request) -> Response:
        view = await frame.view(request, [one.name for one in _PARAMETERS], ("label",))
        address = ListAddress.of(request, view)
        given = _parameters.read(QueryParams(address.own), _PARAMETERS)
        wanted = ChartFilter(
            name=given["name"], service=given["service"], model=view.model, labels=given["labels"],
            since_ns=view.window.since_ns, until_ns=view.window.until_ns,
        )  # fmt: skip
        common = {"filter": dict(address.own)}
        if given["name"] is None:
            found = await frame.reader.read(_metric_names.names, wanted, given["text"])
            return await frame.render(request, "metrics.html", view, title="Metrics", kind=kind, rows=found, **common)
        drawn = await frame.reader.read(_read, wanted, view.window)
        return await frame.render(
            request, "metric.html", view, title=given["name"], name=given["name"], shown=SHOWN, **common, **drawn,
            labels=given["labels"], active=address.active({"label", "service"}),
            back=address.link({}, ("name", "label")),
            links=[_link(address, each["attributes"]) for each in drawn["series"][:_ROWS]],
        )  # fmt: skip

    return [frame.route("/metrics", shown)]


def kind(name: str, *, is_counted: bool) -> str:
    """What a kind of metric is called."""
    if name == "sum":
        return "counter" if is_counted else "up-down counter"
    return "histogram" if name == "exponential_histogram" else name


def _read(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter, window: TimeRange) -> dict[str, Any]:
    found = over_time(cursor, wanted, window)
    metric = next(iter(found["metrics"]), None)
    bare = ChartFilter(
        name=wanted.name, service=wanted.service, model=wanted.model, since_ns=wanted.since_ns, until_ns=wanted.until_ns
    )
    choices = _metric_names.labels(cursor, bare)
    series = metric["series"] if metric else []
    names = series_names(series)
    figures = _figures(metric) if metric else []
    order = sorted(range(len(series)), key=lambda at: -_line(names[at], series[at], figures[0]).mean) if figures else []
    return {
        "metric": metric,
        "kind": kind(metric["kind"], is_counted="value" not in figures) if metric else "",
        "figures": figures,
        "charts": _charts(metric, figures, names, found["times"]) if metric else [],
        "series": [series[at] for at in order],
        "lines": [_line(names[at], series[at], figures[0]) for at in order[:_ROWS]],
        "main_unit": unit(metric, figures[0]) if metric and figures else "figure",
        "total": len(series) + found["series_omitted"],
        "exemplars": exemplars(cursor, wanted),
        "value_unit": unit(metric, "value") if metric else "figure",
        "choices": {
            key: [value for value in values if len(value) <= _VALUE_LENGTH][:_VALUES] for key, values in choices.items()
        },
        "services": _metric_names.services(cursor, ChartFilter(
            name=wanted.name, model=wanted.model, since_ns=wanted.since_ns, until_ns=wanted.until_ns,
        )),
    }  # fmt: skip


def _figures(metric: dict[str, Any]) -> list[str]:
    """The figures that are drawn, the main one first."""
    known = {name for series in metric["series"] for name in series["figures"]}
    # a summary has the percentiles that its sender chose
    main = next((name for name in ("p95", "p99", "p50") if name in known), "mean")
    order = ("value",) if "value" in known else (main, "rate")
    return [name for name in order if name in known]


def _charts(metric: dict[str, Any], figures: list[str], names: list[str], times: list[str]) -> list[dict[str, Any]]:
    """One chart for each figure; of a single histogram all percentiles are in one."""
    found = []
    for figure in figures:
        title, note = _TITLES[figure]
        lines = [_line(name, series, figure) for name, series in zip(names, metric["series"], strict=True)]
        if figure in _PERCENTILES and len(lines) == 1:
            title, lines = "Percentiles", [_line(each, metric["series"][0], each) for each in _PERCENTILES]
        shown = table(times, lines)
        unit_ = unit(metric, figure)
        if shown.has_values:
            found.append({"title": title, "note": note, "unit": unit_, "table": shown})
    return found


def _line(name: str, series: dict[str, Any], figure: str) -> Line:
    return Line(name, series["figures"].get(figure, []))


def _link(address: ListAddress, attributes: Any) -> str:
    """The address of one series alone."""
    pairs = attributes.items() if isinstance(attributes, dict) else ()
    own = [(name, text) for name, text in address.own if name != "label"]
    own += [("label", f"{name}={_metric_names.plain(value)}") for name, value in pairs]
    return ListAddress(address.page, address.view, own).link({})
