"""The optional scrape page: the same metrics under the same names, on loopback by default."""

from __future__ import annotations

import errno
import threading
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricsData
from prometheus_client import CollectorRegistry, start_http_server

from otel_ml import _guard
from otel_ml._telemetry.metrics._reader import limits
from otel_ml._telemetry.metrics._store import CellStore
from otel_ml._telemetry.metrics.page_probe import is_page_of, page_address
from otel_ml._values import line
from otel_ml.config import ENV_PROMETHEUS_HOST, ConfigError

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
        super().__init__(scope_info_enabled=False, registry=self.registry, **limits())

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        merged = _guard.call("page.fold", self._view.merge, metrics_data)
        super()._receive_metrics(metrics_data if merged is None else merged, timeout_millis=timeout_millis, **kwargs)


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
        except OSError as error:  # noqa: PERF203 - the next port may be free
            if port >= last or error.errno != errno.EADDRINUSE or not is_page_of(service, host, port):
                raise
            port += 1
        else:
            return server, thread
