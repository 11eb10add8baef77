"""The optional scrape page: the same metrics under the same names, on loopback by default."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar
from wsgiref.simple_server import WSGIServer

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import Metric, MetricsData
from prometheus_client import CollectorRegistry, start_http_server

from otel_ml import _guard
from otel_ml._telemetry.metrics._page_lines import PageApp
from otel_ml._telemetry.metrics._reader import limits
from otel_ml._telemetry.metrics._store import CellStore
from otel_ml._telemetry.metrics.page_probe import is_page_of, page_address
from otel_ml._telemetry.series_points import SeriesPoints
from otel_ml._values import line
from otel_ml.config import ENV_PROMETHEUS_HOST, ConfigError

T = TypeVar("T")

_PORTS_TRIED: Final = 64
"""Ports to try for further workers of one service."""
_HIGHEST_PORT: Final = 65535


class PageReader(PrometheusMetricReader):  # type: ignore[misc, unused-ignore]
    """The SDK's Prometheus reader with the folded cells added; its page has no exemplars.

    Args:
        store: Adds the cells.
        is_primary: Whether no other reader exports the metrics.
    """

    def __init__(self, store: CellStore, *, is_primary: bool) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._view = store.view(is_primary=is_primary)
        self._request = threading.local()
        super().__init__(scope_info_enabled=False, registry=self.registry, **limits())

    def without_known_series(self, read: Callable[[], T]) -> tuple[T, list[Metric]]:
        """Calls a function that collects, without known series; returns its result and the metrics left out."""
        left_out = self._request.left_out = list[Metric]()
        try:
            return read(), left_out
        finally:
            del self._request.left_out

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        data = _guard.call("page.fold", self._view.merge, metrics_data) or metrics_data
        left_out = getattr(self._request, "left_out", None)
        if left_out is not None:
            data = _without_known_series(data, left_out)
        super()._receive_metrics(data, timeout_millis=timeout_millis, **kwargs)


def _without_known_series(data: MetricsData, left_out: list[Metric]) -> MetricsData:
    """Returns the data without the metrics of known series, which are added to a list."""
    entries = []
    for entry in data.resource_metrics:
        scopes = []
        for scope in entry.scope_metrics:
            left_out += filter(_is_known, scope.metrics)
            scopes.append(replace(scope, metrics=[metric for metric in scope.metrics if not _is_known(metric)]))
        entries.append(replace(entry, scope_metrics=scopes))
    return MetricsData(entries)


def _is_known(metric: Metric) -> bool:
    return isinstance(metric.data.data_points, SeriesPoints)


class Page:
    """The HTTP server of the scrape page. Port 0 takes a free one.

    Args:
        reader: Collects what the page shows.
        host: The address, or a name of it.
        port: The port. If it serves a page of this service already, such as another worker's, the next is tried.
        service: The `service.name`.

    Raises:
        ConfigError: The port cannot be opened.
    """

    def __init__(self, reader: PageReader, host: str, port: int, service: str) -> None:
        self._server: WSGIServer | None
        self._host = host
        try:
            self._server, self._thread = _serve(reader, host, port, service)
        except OSError as error:
            raise ConfigError(
                f"prometheus_port {port} on {line(host)} cannot be opened ({error.strerror}): choose a free port, and "
                f"an address of this machine ({ENV_PROMETHEUS_HOST})"
            ) from None
        self.port: int = self._server.server_port
        if port not in {0, self.port}:
            _guard.warn(
                f"otel-ml: another process of this service has port {port}: the scrape page of this one is at "
                f"{self.address}"
            )

    @property
    def address(self) -> str:
        """The URL of the page."""
        return page_address(self._host, self.port)

    def close(self) -> None:
        """Stops the server; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._thread.join(1.0)

    def reset_after_fork(self) -> None:
        """Closes the child's copy of the socket: the port belongs to the parent."""
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()


def _serve(reader: PageReader, host: str, port: int, service: str) -> tuple[WSGIServer, threading.Thread]:
    last = min(port + _PORTS_TRIED, _HIGHEST_PORT)
    while True:
        try:
            server, thread = start_http_server(port, addr=host, registry=reader.registry)
            server.set_app(PageApp(reader.registry, reader.without_known_series))
        except OSError as error:  # noqa: PERF203 - the next port may be free
            if port >= last or error.errno != errno.EADDRINUSE or not is_page_of(service, host, port):
                raise
            port += 1
        else:
            return server, thread
