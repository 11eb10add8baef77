"""CPU, memory, disk, network, pressure and GPUs on the time axis of the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.datastructures import QueryParams

from otel_ml import semconv
from otel_ml.console.storage import _metric_names, _traffic
from otel_ml.console.storage._charts import RESOURCES, ChartFilter
from otel_ml.console.storage._metric_names import plain
from otel_ml.console.storage._time_range import TimeRange
from otel_ml.console.storage.lists import _services
from otel_ml.console.web import _parameters
from otel_ml.console.web._list_address import ListAddress
from otel_ml.console.web._series_charts import Line, over_time, table
from otel_ml.console.web.charts._model_charts import Table, step_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import duckdb
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_ml.console.web._frame import Frame


class Part(NamedTuple):
    """The series of a metric in a chart: one for each value of the attributes in `by`."""

    metric: str
    name: str = ""
    by: tuple[str, ...] = ()
    only: tuple[str, frozenset[str]] | None = None
    is_mean: bool = False
    """Whether series of equal name are averaged instead of added."""


class Panel(NamedTuple):
    """One chart."""

    title: str
    note: str
    unit: str
    parts: tuple[Part, ...]
    draw: str = "line"


_BUSY: Final = (semconv.CPU_MODE, frozenset({"user", "system", "nice", "iowait", "steal", "interrupt", "softirq"}))
_SOME: Final = (semconv.PRESSURE_STALL_TYPE, frozenset({"some"}))
_PANELS: Final = (
    Panel(
        "CPU of the machine", "share of all CPUs", "share",
        (Part("system.cpu.utilization", by=(semconv.CPU_MODE,), only=_BUSY, is_mean=True),), "stack-area",
    ),
    Panel("CPU of services", "CPUs in use", "figure", (
        Part("process.cpu.time", "process"), Part("otelml.process.children.cpu.time", "children"),
        Part("container.cpu.time", "container"),
    )),
    Panel("Throttled by the CPU quota", "share of the time", "share", (Part("otelml.container.cpu.throttled.time"),)),
    Panel("Memory of the machine", "by state", "bytes", (
        Part("system.memory.usage", by=(semconv.SYSTEM_MEMORY_STATE,)),
    )),
    Panel("Memory of services", "", "bytes", (
        Part("process.memory.usage", "process"), Part("otelml.process.children.memory.usage", "children"),
        Part("container.memory.working_set", "container"), Part("otelml.container.memory.limit", "container's limit"),
    )),
    Panel("Pressure", "share of the time in which some task waited", "share", (
        Part("otelml.pressure.stall.time", by=(semconv.PRESSURE_SCOPE, semconv.PRESSURE_RESOURCE), only=_SOME),
    )),
    Panel("Disk", "a second", "bytes", (
        Part("system.disk.io", "machine", (semconv.DISK_IO_DIRECTION,)),
        Part("process.disk.io", "process", (semconv.DISK_IO_DIRECTION,)),
        Part("container.disk.io", "container", (semconv.DISK_IO_DIRECTION,)),
    )),
    Panel("File systems", "used share", "share", (
        Part("system.filesystem.utilization", by=(semconv.SYSTEM_FILESYSTEM_MOUNTPOINT,), is_mean=True),
    )),
    Panel("Network", "a second", "bytes", (Part("system.network.io", by=(semconv.NETWORK_IO_DIRECTION,)),)),
    Panel("GPU", "share of the time in which a kernel ran", "share", (
        Part("hw.gpu.utilization", by=(semconv.HW_ID,), is_mean=True),
    )),
    Panel("GPU memory", "used share", "share", (Part("hw.gpu.memory.utilization", by=(semconv.HW_ID,), is_mean=True),)),
    Panel("GPU power", "watts", "figure", (Part("hw.power", by=(semconv.HW_ID,)),)),
    Panel("GPU temperature", "°C", "figure", (Part("hw.temperature", by=(semconv.HW_ID,), is_mean=True),)),
    Panel("Threads and open files", "", "figure", (
        Part("process.thread.count", "threads"), Part("process.unix.file_descriptor.count", "open files"),
    )),
)  # fmt: skip
_INSTANCE: Final = 8
"""Characters of the id of an instance."""
_LIMIT: Final = 1000
"""Series that are read."""
_SHOWN: Final = 4
"""Series of one chart, of which the page has many."""
_COARSER: Final = 2
"""How many steps of other pages are one here."""


def routes(frame: Frame) -> list[BaseRoute]:
    """The route of the page."""

    async def resources(request: Request) -> Response:
        view = await frame.view(request, ("service",))
        address = ListAddress.of(request, view)
        service = _parameters.read(QueryParams(address.own), (_parameters.SERVICE,))["service"]
        wanted = ChartFilter(
            prefixes=tuple(part.metric for panel in _PANELS for part in panel.parts), service=service, limit=_LIMIT
        )
        found = await frame.reader.read(_read, wanted, view.window)
        return await frame.render(
            request, "resources.html", view, title="Resources", service=service,
            traffic=await frame.reader.read(_traffic_table, view.window, view.model, service),
            **found,
        )  # fmt: skip

    return [frame.route("/resources", resources)]


def _read(cursor: duckdb.DuckDBPyConnection, wanted: ChartFilter, window: TimeRange) -> dict[str, Any]:
    found = over_time(cursor, wanted, TimeRange.of(window.since_ns, window.until_ns, window.step_ns * _COARSER))
    metrics = {metric["name"]: metric for metric in found["metrics"]}
    everything = [series for metric in metrics.values() for series in metric["series"]]
    senders = len({_sender(series) for series in everything})
    charts = []
    for panel in _PANELS:
        shown = table(found["times"], _lines(panel, metrics, with_sender=senders > 1), _SHOWN)
        if shown.has_values:
            charts.append({"panel": panel, "table": shown})
    bare = ChartFilter(prefixes=RESOURCES, since_ns=window.since_ns, until_ns=window.until_ns)
    return {"charts": charts, "services": _metric_names.services(cursor, bare), "omitted": found["series_omitted"]}


def _lines(panel: Panel, metrics: dict[str, Any], *, with_sender: bool) -> Iterable[Line]:
    for part in panel.parts:
        groups: dict[str, list[list[float | None]]] = {}
        for series in metrics.get(part.metric, {"series": ()})["series"]:
            attributes = series["attributes"] if isinstance(series["attributes"], dict) else {}
            if part.only and plain(attributes.get(part.only[0], "")) not in part.only[1]:
                continue
            words = [part.name, *(plain(attributes[name]) for name in part.by if name in attributes)]
            words += [_sender(series)] if with_sender else []
            values = series["figures"].get("value") or series["figures"].get("rate")
            name = " ".join(word for word in words if word) or part.metric
            if values:
                groups.setdefault(name, []).append(values)
        combine: Callable[[list[float]], float] = _mean if part.is_mean else sum
        for name, rows in groups.items():
            yield Line(name, [_combined(values, combine) for values in zip(*rows, strict=True)])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _combined(values: Iterable[float | None], combine: Callable[[list[float]], float]) -> float | None:
    known = [value for value in values if value is not None]
    return combine(known) if known else None


def _sender(series: dict[str, Any]) -> str:
    return " ".join(part for part in (series["service_name"], str(series["instance"] or "")[:_INSTANCE]) if part)


def _traffic_table(
    cursor: duckdb.DuckDBPyConnection, window: TimeRange, model: str | None, service: str | None
) -> Table:
    """Requests and predictions a second, on the axis of the other charts."""
    starts = window.starts
    rates = [[0.0, 0.0] for _ in starts]
    rows = [(0, row["step"], row["requests"]) for row in _services.requests_over_time(cursor, window)
            if service in {None, row["service"]}]  # fmt: skip
    rows += [
        (1, row["step"], row["rows"]) for row in _traffic.over_time(cursor, window) if model in {None, row["model"]}
    ]
    for column, step, count in rows:
        if 0 <= step < len(starts):
            rates[step][column] += count / window.seconds(starts[step])
    return Table(
        ["requests", "predictions"], [(key, [*each]) for key, each in zip(step_keys(window), rates, strict=True)]
    )
