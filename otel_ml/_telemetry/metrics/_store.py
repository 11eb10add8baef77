"""The metrics that are counted in cells, added to those that the SDK has collected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import time_ns
from typing import TYPE_CHECKING, Protocol

from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

from otel_ml._telemetry.metrics._points import Deltas, Window

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

Merge = Callable[[MetricsData], MetricsData]


class Family(Protocol):
    """The metrics of one subject, such as predictions or HTTP requests."""

    def collect(self, window: Window, *, take_exemplars: bool) -> ScopeMetrics | None:
        """Folds the cells into cumulative points; None when nothing has been counted yet."""

    def reset_after_fork(self) -> None:
        """Starts at zero: earlier counts belong to the parent."""


class CellStore:
    """Every family of metrics in this process, and the resource that they are reported under."""

    def __init__(self, resource: Resource, families: Sequence[Family], now_ns: Callable[[], int] = time_ns) -> None:
        self.resource = resource
        self._families = families
        self._now_ns = now_ns
        self._start_ns = now_ns()

    def view(self, *, take_exemplars: bool = True, delta: bool = False) -> Merge:
        """Returns the function by which one reader adds our points to those that the SDK has collected.

        Args:
            take_exemplars: Whether this reader gets the exemplars; only one may.
            delta: Whether counters and histograms start from this view's last collection.
        """
        deltas = Deltas() if delta else None

        def merge(data: MetricsData) -> MetricsData:
            scopes = self._collect(take_exemplars=take_exemplars)
            entries = [replace(entry, resource=self.resource) for entry in data.resource_metrics]
            if not entries:
                entries = [ResourceMetrics(self.resource, [], self.resource.schema_url)]
            if scopes:
                ours = scopes if deltas is None else [deltas.convert(scope) for scope in scopes]
                entries[0] = replace(entries[0], scope_metrics=[*entries[0].scope_metrics, *ours])
            return MetricsData(entries)

        return merge

    def reset_after_fork(self, resource: Resource) -> None:
        """The child starts at zero, under its own instance id."""
        self.resource = resource
        self._start_ns = self._now_ns()
        for family in self._families:
            family.reset_after_fork()

    def _collect(self, *, take_exemplars: bool) -> list[ScopeMetrics]:
        window = Window(self._start_ns, self._now_ns())
        found = [family.collect(window, take_exemplars=take_exemplars) for family in self._families]
        return [scope for scope in found if scope is not None]
