"""The optional scrape page: the same metrics and exemplars under the names that Prometheus gives to pushed ones."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeVar
from wsgiref.simple_server import WSGIServer

from opentelemetry.sdk.metrics.export import Metric, MetricReader, MetricsData
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from otel_ml import _guard
from otel_ml._telemetry.metrics._page_families import Labels, families, resource_labels
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


class PageReader(MetricReader):
    """Collects for the page when it is read.

    Args:
        store: Adds the cells.
        is_primary: Whether no other reader exports the metrics: then the page has their exemplars.
    """

    def __init__(self, store: CellStore, *, is_primary: bool) -> None:
        super().__init__(**limits())
        self._store = store
        self._view = store.view(is_primary=is_primary)
        self._request = threading.local()
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_Families(self.read))

    def read(self) -> Iterator[Family]:
        """Collects, and returns the families of the page."""
        self._request.data = MetricsData([])
        self.collect()
        return families(self._request.data, with_start=getattr(self._request, "with_start", False))

    def common_labels(self) -> Labels:
        """Returns the labels that every series of the page has."""
        return resource_labels(self._store.resource)

    def without_known_series(self, read: Callable[[], T], *, with_start: bool = False) -> tuple[T, list[Metric]]:
        """Calls a function that collects, without known series; returns its result and the metrics left out.

        Args:
            read: The function.
            with_start: Whether the page says when counters and histograms began.
        """
        left_out = self._request.left_out = list[Metric]()
        self._request.with_start = with_start
        try:
            return read(), left_out
        finally:
            del self._request.left_out, self._request.with_start

    def shutdown(self, timeout_millis: float = 30_000, **_kwargs: Any) -> None:
        """Does nothing: the page closes its server."""

    def _receive_metrics(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - the SDK gives it by name
        **_kwargs: Any,
    ) -> None:
        data = _guard.call("page.fold", self._view.merge, metrics_data) or metrics_data
        left_out = getattr(self._request, "left_out", None)
        self._request.data = data if left_out is None else _without_known_series(data, left_out)


class _Families(Collector):
    """What `prometheus_client` reads the page from."""

    def __init__(self, read: Callable[[], Iterator[Family]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Family]:
        """Returns the families of the page."""
        return self._read()


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
            server.set_app(PageApp(reader.registry, reader.without_known_series, reader.common_labels))
        except OSError as error:  # noqa: PERF203 - the next port may be free
            if port >= last or error.errno != errno.EADDRINUSE or not is_page_of(service, host, port):
                raise
            port += 1
        else:
            return server, thread
