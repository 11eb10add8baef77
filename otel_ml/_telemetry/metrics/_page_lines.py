"""The lines of known series on the scrape page: `prometheus_client` renders each once, then only its value changes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias

from opentelemetry.sdk.metrics.export import Metric
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from otel_ml import _guard
from otel_ml._observed_series import ObservedSeries
from otel_ml._telemetry._yielding import in_steps
from otel_ml._telemetry.metrics._page_families import Labels, add_samples, number
from otel_ml._telemetry.otlp._framing import join_in_steps
from otel_ml._telemetry.series_points import Row, SeriesPoints

Environ: TypeAlias = dict[str, Any]
Parts: TypeAlias = tuple[str, str]
"""What a page has of a series before its value, and after it."""


class Collect(Protocol):
    """`PageReader.without_known_series`."""

    def __call__(self, read: Callable[[], bytes], *, with_start: bool) -> tuple[bytes, list[Metric]]:
        """Calls a function that collects, without known series; returns its result and the metrics left out."""


_PROTOBUF, _OPENMETRICS = "application/vnd.google.protobuf", "application/openmetrics-text"
_END: Final = b"# EOF\n"
"""Last line of the OpenMetrics format."""
_GZIP_LEVEL: Final = 1
_TYPES_KEPT: Final = 4
"""Formats of the page whose lines are kept; a Prometheus server always asks for the same one."""


class PageApp:
    """The WSGI application of `prometheus_client` for a registry, with the lines of known series added.

    Args:
        registry: The registry.
        collect: See `Collect`.
        common: Returns the labels of every series.
    """

    def __init__(self, registry: CollectorRegistry, collect: Collect, common: Callable[[], Labels]) -> None:
        self._app = make_wsgi_app(registry)
        self._collect = collect
        self._common = common
        self._lines: dict[tuple[str, bool], SeriesLines] = {}
        """By content type, with and without starts."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        page = _Answer(self._app, environ)
        body, metrics = self._collect(page.body, with_start=page.with_start)
        status, headers = page.started
        if metrics:
            body = _guard.call("page.lines", self._add, page, body, metrics) or body
        if _takes_gzip(environ):
            body = gzip.compress(body, _GZIP_LEVEL)
            headers = [*headers, ("Content-Encoding", "gzip")]
        start_response(status, headers)
        return [body]

    def _add(self, page: _Answer, body: bytes, metrics: list[Metric]) -> bytes:
        content_type = dict(page.started[1]).get("Content-Type", "")
        if len(self._lines) > _TYPES_KEPT:
            self._lines.clear()
        key = content_type, page.with_start
        if key not in self._lines:
            self._lines[key] = SeriesLines(self._common(), with_start=page.with_start)
        end = _END if body.endswith(_END) else b""
        added = [piece for metric in metrics for piece in self._lines[key].render(metric, page.environ)]
        return join_in_steps([body.removesuffix(end), *added, end])


class _Answer:
    """The uncompressed answer of an application."""

    def __init__(self, app: Callable[..., Any], environ: Environ) -> None:
        self._app = app
        self.environ = {key: value for key, value in environ.items() if key != "HTTP_ACCEPT_ENCODING"}
        self.started: tuple[str, list[tuple[str, str]]] = ("", [])
        """Status and headers."""
        accepted = environ.get("HTTP_ACCEPT", "")
        self.with_start = _PROTOBUF in accepted and _OPENMETRICS in accepted
        """Whether the answer says when counters began: a Prometheus that asks for the protobuf format, in which starts
        are part of a series, reads them from lines of the text format too; another one would keep each as a series."""

    def body(self) -> bytes:
        return b"".join(self._app(self.environ, self._start))

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        self.started = (status, headers)


class SeriesLines:
    """The lines of known series in one format.

    Args:
        common: The labels of every series.
    """

    def __init__(self, common: Labels, *, with_start: bool = False) -> None:
        self._common = common
        self._with_start = with_start
        self._heads: dict[str, bytes] = {}
        """The lines about each metric."""
        self._lines: dict[str, dict[ObservedSeries, Parts]] = {}
        """By metric, what each series has before its value and after it."""
        self._format = _Format()

    def render(self, metric: Metric, environ: Environ) -> list[bytes]:
        """Returns the lines of a metric whose points are `SeriesPoints`."""
        data: Any = metric.data
        former, lines = self._lines.get(metric.name, {}), dict[ObservedSeries, Parts]()
        pieces = []
        for step in in_steps(data.data_points.rows):
            new = [row for row in step if row[0] not in former]
            if new:
                lines.update(self._render(metric, new, environ))
            lines.update((row[0], former[row[0]]) for row in step if row[0] in former)
            pieces.append("".join([number(row[3]).join(lines[row[0]]) for row in step]).encode())
        self._lines[metric.name] = lines
        return [self._heads[metric.name], *pieces]

    def _render(self, metric: Metric, rows: list[Row], environ: Environ) -> Iterator[tuple[ObservedSeries, Parts]]:
        """Renders series as `prometheus_client` does."""
        data: Any = replace(metric.data, data_points=SeriesPoints(rows))  # type: ignore[arg-type]
        family = add_samples(replace(metric, data=data), self._common, {}, with_start=self._with_start)
        # not splitlines: labels may hold other ends of lines
        lines = [f"{line}\n" for line in self._format.render(family, environ).split("\n")[:-1]] if family else []
        head = [line for line in lines if line.startswith("#") and line != _END.decode()]
        self._heads[metric.name] = "".join(head).encode()
        found = [line for line in lines if not line.startswith("#")]
        each = len(found) // len(rows)
        for at, row in enumerate(rows):
            line, *start = found[at * each : (at + 1) * each]
            yield row[0], (line[: line.rindex(" ") + 1], "".join(["\n", *start]))


class _Format(Collector):
    """Renders one family with the application of `prometheus_client`."""

    def __init__(self) -> None:
        self._families: list[Family] = []
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        self._app = make_wsgi_app(registry)

    def collect(self) -> list[Family]:
        """Returns the family to render."""
        return self._families

    def render(self, family: Family, environ: Environ) -> str:
        """Returns the page of this family."""
        self._families = [family]
        return _Answer(self._app, environ).body().decode()


def _takes_gzip(environ: Environ) -> bool:
    names = environ.get("HTTP_ACCEPT_ENCODING", "").split(",")
    return "gzip" in {name.partition(";")[0].strip().lower() for name in names}
