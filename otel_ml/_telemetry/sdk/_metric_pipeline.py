"""The metrics of own mode: the meter provider with its readers and the scrape page."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from otel_ml import _guard, semconv
from otel_ml._telemetry.metrics import _self_metrics
from otel_ml._telemetry.metrics._meters import Meters
from otel_ml._telemetry.sdk import _providers

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader

    from otel_ml._telemetry.delivery._outbox import Outbox
    from otel_ml._telemetry.metrics._scrape_page import Page
    from otel_ml._telemetry.metrics._store import CellStore
    from otel_ml.config import Config

_LAST_WAIT: Final = 0.5
"""Seconds for a reader to count its records after its connection was closed at the end of a shutdown."""


class MetricPipeline:
    """Everything that collects and exports metrics.

    Args:
        config: The settings in force.
        outbox: Delivers what the readers collect.
        store: Adds the folded cells to a collection.
        count: Returns the predictions so far.
        periodic: False collects on `flush` only; for tests.

    Raises:
        ConfigError: The scrape page's port cannot be opened.
    """

    def __init__(
        self, config: Config, outbox: Outbox, store: CellStore, *, count: Callable[[], int], periodic: bool
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._store = store
        self._count = count if periodic else lambda: 0  # the reader's thread runs from the first flush on
        self._periodic = periodic
        self.page: Page | None = None
        self.provider = Meters(self._make_provider)

    def start(self) -> None:
        """Starts the periodic collection."""
        for reader in self.readers if self._periodic else ():
            reader.start()

    def flush(self, deadline: float) -> bool:
        """Collects and exports once; returns False when the monotonic deadline passes first."""
        flushed = [reader.flush(deadline) for reader in self.readers]
        return all(flushed)

    def stop(self, deadline: float) -> None:
        """Collects and exports a last time."""
        for reader in self.readers:
            reader.stop(deadline)

    def close(self) -> None:
        """Waits for readers whose connection has just been closed, ends the callbacks' threads and stops the page."""
        for reader in self.readers:
            reader.stop(monotonic() + _LAST_WAIT)
        self.provider.close_callbacks()
        if self.page is not None:
            _guard.call("engine.page", self.page.close)

    def reset_after_fork(self) -> None:
        """Makes a provider for the child, without the parent's page."""
        if self.page is not None:
            self.page.reset_after_fork()
        for reader in self.readers:
            reader.abandon()
        self.provider.reset_after_fork()
        self.start()

    def _make_provider(self) -> MeterProvider:
        """Makes an SDK provider with readers of its own; only the first one has the page."""
        self.readers = _providers.readers(
            self._config, self._outbox, self._store, count=self._count, from_zero=self._is_from_zero
        )
        readers: list[MetricReader] = list(self.readers)
        if self._config.prometheus_port is not None and self.page is None:
            from otel_ml._telemetry.metrics._scrape_page import Page, PageReader

            page_reader = PageReader(self._store, is_primary=not self.readers)
            service = str(self._store.resource.attributes.get(semconv.SERVICE_NAME, ""))
            self.page = Page(page_reader, self._config.prometheus_host, self._config.prometheus_port, service)
            readers.append(page_reader)
        return _providers.meter_provider(self._store.resource, readers)

    def _is_from_zero(self, name: str) -> bool:
        """Returns whether this metric counts from our start; an observable counter may count from the host's."""
        return name in _self_metrics.COUNTERS or not self.provider.is_observable_counter(name)
