"""The lines of known series on the scrape page: `prometheus_client` renders each once, then only its value changes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, TypeAlias

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, make_wsgi_app, utils

from otel_ml import _guard
from otel_ml._observed_series import ObservedSeries
from otel_ml._telemetry._yielding import in_steps
from otel_ml._telemetry.otlp._framing import join_in_steps
from otel_ml._telemetry.series_points import Row, SeriesPoints

Environ: TypeAlias = dict[str, Any]
Collect: TypeAlias = Callable[[Callable[[], bytes]], tuple[bytes, list[Metric]]]
"""Calls a function that collects, without known series; returns its result and the metrics that were left out."""
_number: Final[Callable[[float], str]] = utils.floatToGoString
_END: Final = b"# EOF\n"
"""Last line of the OpenMetrics format."""
_GZIP_LEVEL: Final = 1
_SCOPE, _RESOURCE = InstrumentationScope(""), Resource({})
_TYPES_KEPT: Final = 4
"""Formats of the page whose lines are kept; a Prometheus server always asks for the same one."""


class PageApp:
    """The WSGI application of `prometheus_client` for a registry, with the lines of known series added.

    Args:
        registry: The registry.
        collect: See `Collect`.
    """

    def __init__(self, registry: CollectorRegistry, collect: Collect) -> None:
        self._app = make_wsgi_app(registry)
        self._collect = collect
        self._lines: dict[str, SeriesLines] = {}
        """By content type."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        page = _Answer(self._app, environ)
        body, metrics = self._collect(page.body)
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
        if content_type not in self._lines and len(self._lines) >= _TYPES_KEPT:
            self._lines.clear()
        lines = self._lines.setdefault(content_type, SeriesLines())
        end = _END if body.endswith(_END) else b""
        added = [piece for metric in metrics for piece in lines.render(metric, page.environ)]
        return join_in_steps([body.removesuffix(end), *added, end])


class _Answer:
    """The uncompressed answer of an application."""

    def __init__(self, app: Callable[..., Any], environ: Environ) -> None:
        self._app = app
        self.environ = {key: value for key, value in environ.items() if key != "HTTP_ACCEPT_ENCODING"}
        self.started: tuple[str, list[tuple[str, str]]] = ("", [])
        """Status and headers."""

    def body(self) -> bytes:
        return b"".join(self._app(self.environ, self._start))

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        self.started = (status, headers)


class SeriesLines:
    """The lines of known series in one format."""

    def __init__(self) -> None:
        self._heads: dict[str, bytes] = {}
        """The lines about each metric."""
        self._lines: dict[str, dict[ObservedSeries, str]] = {}
        """By metric, the line of each series up to its value."""
        self._translator = _Translator()

    def render(self, metric: Metric, environ: Environ) -> list[bytes]:
        """Returns the lines of a metric whose points are `SeriesPoints`."""
        data: Any = metric.data
        former, lines = self._lines.get(metric.name, {}), dict[ObservedSeries, str]()
        pieces = []
        for step in in_steps(data.data_points.rows):
            new = [row for row in step if row[0] not in former]
            for _, alike in groupby(new, lambda row: tuple(row[0].attributes)):
                lines.update(self._render(metric, list(alike), environ))
            lines.update((row[0], former[row[0]]) for row in step if row[0] in former)
            pieces.append("".join([f"{lines[row[0]]}{_number(row[3])}\n" for row in step]).encode())
        self._lines[metric.name] = lines
        return [self._heads[metric.name], *pieces]

    def _render(self, metric: Metric, rows: list[Row], environ: Environ) -> Iterator[tuple[ObservedSeries, str]]:
        """Renders series that have the same labels, as `prometheus_client` does."""
        data: Any = replace(metric.data, data_points=SeriesPoints(rows))  # type: ignore[arg-type]
        text = self._translator.render(replace(metric, data=data), environ)
        lines = text.splitlines()
        head = [line for line in lines if line.startswith("#") and f"{line}\n" != _END.decode()]
        self._heads[metric.name] = "".join(f"{line}\n" for line in head).encode()
        found = [line[: line.rindex(" ") + 1] for line in lines if not line.startswith("#")]
        return zip([row[0] for row in rows], found, strict=True)


class _Translator(PrometheusMetricReader):  # type: ignore[misc, unused-ignore]
    """Translates metrics as the SDK's reader does, without a provider."""

    def __init__(self) -> None:
        self._families = CollectorRegistry(auto_describe=False)
        super().__init__(disable_target_info=True, scope_info_enabled=False, registry=self._families)
        self._app = make_wsgi_app(self._families)

    def collect(self, timeout_millis: float = 10_000) -> None:  # type: ignore[misc]
        """Collects nothing: `render` gives the metrics."""

    def render(self, metric: Metric, environ: Environ) -> str:
        """Returns the page of this metric."""
        scope = ScopeMetrics(_SCOPE, [metric], "")
        self._receive_metrics(MetricsData([ResourceMetrics(_RESOURCE, [scope], "")]))
        return _Answer(self._app, environ).body().decode()


def _takes_gzip(environ: Environ) -> bool:
    names = environ.get("HTTP_ACCEPT_ENCODING", "").split(",")
    return "gzip" in {name.partition(";")[0].strip().lower() for name in names}
