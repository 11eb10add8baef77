"""Data points of series whose attributes never change: the SDK's type for its readers, rows for our own encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from opentelemetry.sdk.metrics.export import NumberDataPoint

from otel_ml._telemetry._yielding import in_steps

if TYPE_CHECKING:
    from otel_ml._observed_series import ObservedSeries

Row: TypeAlias = "tuple[ObservedSeries, int, int, float]"
"""A series, start and time in nanoseconds, and the value."""


class SeriesPoints(Sequence[NumberDataPoint]):
    """A sequence of `NumberDataPoint`, each of which is made when it is read.

    Args:
        rows: The points. Those of a cumulative metric have the same start.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> NumberDataPoint: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NumberDataPoint]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return SeriesPoints(self.rows[index])
        return _point(self.rows[index])

    def __iter__(self) -> Iterator[NumberDataPoint]:
        for step in in_steps(self.rows):
            yield from map(_point, step)


def _point(row: Row) -> NumberDataPoint:
    series, start_ns, time_ns, value = row
    return NumberDataPoint(series.attributes, start_ns, time_ns, value)
