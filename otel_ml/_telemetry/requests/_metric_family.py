"""The cells of HTTP requests as one family of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_ml._telemetry.requests import _points
from otel_ml._telemetry.requests.cells import RequestCellSet

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import ScopeMetrics

    from otel_ml._telemetry.metrics._points import Window


class RequestFamily:
    """The request metrics of this process.

    Attributes:
        cells: What the requests are counted in.
    """

    def __init__(self) -> None:
        self.cells = RequestCellSet()

    def collect(self, window: Window, *, is_primary: bool) -> ScopeMetrics | None:
        return _points.scope_metrics(self.cells.fold(take_exemplars=is_primary), window)

    def reset_after_fork(self) -> None:
        self.cells.reset_after_fork()
