"""The metrics that are counted in cells, added to those that the SDK has collected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Protocol

from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics

from otel_ml._telemetry.metrics import _older_counters
from otel_ml._telemetry.metrics._points import Deltas, Window
from otel_ml._telemetry.metrics._zero_points import ZeroPoints

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource


class Family(Protocol):
    """The metrics of one subject, such as predictions or HTTP requests."""

    def collect(self, window: Window, *, is_primary: bool) -> ScopeMetrics | None:
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

    def view(
        self, *, is_primary: bool = True, delta: bool = False, from_zero: Callable[[str], bool] | None = None
    ) -> View:
        """Returns what one reader adds to the points that the SDK has collected.

        Args:
            is_primary: Whether this reader takes the exemplars, and unused series may be forgotten after it. Only one
                reader may be primary.
            delta: Whether counters and histograms start from this view's last collection.
            from_zero: Returns whether a metric of the SDK, given by its name, counts from the start of this process.
                Then new series are preceded by a point at zero; without it, none are.
        """
        zero_points = None
        if from_zero is not None:
            zero_points = (
                ZeroPoints(self._start_ns, includes=from_zero),
                ZeroPoints(self._start_ns, forgets=True),
            )
        return View(self, lambda: self._collect(is_primary=is_primary), Deltas() if delta else None, zero_points)

    def reset_after_fork(self, resource: Resource) -> None:
        """The child starts at zero, under its own instance id."""
        self.resource = resource
        self._start_ns = self._now_ns()
        for family in self._families:
            family.reset_after_fork()

    def _collect(self, *, is_primary: bool) -> list[ScopeMetrics]:
        window = Window(self._start_ns, self._now_ns())
        found = [family.collect(window, is_primary=is_primary) for family in self._families]
        return [scope for scope in found if scope is not None]


class View:
    """Adds our points to those that the SDK has collected, for one reader.

    Args:
        store: The cells and the resource of this process.
        collect: Folds our families.
        deltas: Makes differences of our points, if the reader wants them.
        zero_points: Those of the SDK's series and those of ours, if the reader exports them.
    """

    def __init__(
        self,
        store: CellStore,
        collect: Callable[[], list[ScopeMetrics]],
        deltas: Deltas | None,
        zero_points: tuple[ZeroPoints, ZeroPoints] | None,
    ) -> None:
        self._store = store
        self._collect = collect
        self._deltas = deltas
        self._zero_points = zero_points

    def merge(self, data: MetricsData) -> MetricsData:
        """Returns the SDK's points and ours, under the resource of this process."""
        ours = self._collect()
        if self._deltas is not None:
            ours = [self._deltas.convert(scope) for scope in ours]
        theirs = [scope for entry in data.resource_metrics for scope in entry.scope_metrics]
        if self._deltas is None:
            theirs = _older_counters.without_start(theirs)
        if self._zero_points is not None:
            of_sdk, of_cells = self._zero_points
            theirs, ours = of_sdk.add(theirs), of_cells.add(ours)
        resource = self._store.resource
        return MetricsData([ResourceMetrics(resource, [*theirs, *ours], resource.schema_url)])

    def confirm(self) -> None:
        """Records that the receiver has given a final answer to the last collection."""
        for zero_points in self._zero_points or ():
            zero_points.confirm()
