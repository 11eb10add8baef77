"""The series of one model: their values are kept here, and read when they are exported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Protocol, TypeVar

from otel_ml._observed_series import Observed, ObservedSeries
from otel_ml.semconv import Metric

Attributes = Mapping[str, str]
_T = TypeVar("_T", bound="_Readable")


class _Readable(Protocol):
    def read(self) -> Iterable[Observed]: ...


class Count:
    """One series that counts."""

    __slots__ = ("_series", "_value")

    def __init__(self, series: ObservedSeries) -> None:
        self._series = series
        self._value = 0

    def add(self, times: int = 1) -> None:
        self._value += times

    def read(self) -> Iterable[Observed]:
        return ((self._series, self._value),)


class Sum:
    """One series that adds up numbers, without losing small ones beside a large total.

    Source: Neumaier 1974, the compensated sum.
    """

    __slots__ = ("_lost", "_series", "_total")

    def __init__(self, series: ObservedSeries) -> None:
        self._series = series
        self._total = 0.0
        self._lost = 0.0
        """What rounding has taken from the total."""

    def add(self, amount: float) -> None:
        former = self._total
        total = self._total = former + amount
        self._lost += (former - total) + amount if abs(former) >= abs(amount) else (amount - total) + former

    def read(self) -> Iterable[Observed]:
        return ((self._series, self._total + self._lost),)


class Bins:
    """One series for each bin."""

    __slots__ = ("_counts", "_series")

    def __init__(self, series: Sequence[ObservedSeries]) -> None:
        self._series = series
        self._counts = [0] * len(series)

    def add(self, position: int) -> None:
        self._counts[position] += 1

    def read(self) -> Iterable[Observed]:
        return zip(self._series, self._counts, strict=True)


class CumulativeBins(Bins):
    """Bins that also count what is in those before them, as the buckets of a histogram in Prometheus do."""

    __slots__ = ()

    def read(self) -> Iterable[Observed]:
        return zip(self._series, accumulate(self._counts), strict=True)


class SumBins:
    """One sum for each bin."""

    __slots__ = ("_sums",)

    def __init__(self, series: Sequence[ObservedSeries]) -> None:
        self._sums = [Sum(each) for each in series]

    def add(self, position: int, amount: float) -> None:
        self._sums[position].add(amount)

    def read(self) -> Iterable[Observed]:
        for each in self._sums:
            yield from each.read()


class LabelSeries:
    """All series of one model, by metric.

    Args:
        attributes: What all of them have in common.
        has_room: Takes room for a number of new series of a metric; False if there is none.
    """

    def __init__(self, attributes: Attributes, has_room: Callable[[Metric, int], bool]) -> None:
        self.attributes = attributes
        self.has_room = has_room
        self._by_metric: dict[str, list[_Readable]] = {}

    def count(self, metric: Metric, more: Attributes | None = None) -> Count:
        """Starts a count at 0."""
        return self._keep(metric, Count(self._series(more or {})))

    def sum(self, metric: Metric, more: Attributes | None = None) -> Sum:
        """Starts a sum at 0."""
        return self._keep(metric, Sum(self._series(more or {})))

    def bins(
        self,
        metric: Metric,
        bins: tuple[str, Iterable[str]],
        more: Attributes | None = None,
        kind: Callable[[Sequence[ObservedSeries]], _T] = Bins,  # type: ignore[assignment]
    ) -> _T:
        """Starts all bins of a metric at 0.

        Args:
            metric: The metric.
            bins: The attribute that names a bin, and its value for each bin.
            more: Attributes of all of them.
            kind: What keeps their values.
        """
        name, labels = bins
        return self._keep(metric, kind([self._series({**(more or {}), name: label}) for label in labels]))

    def read(self, metric: Metric) -> Iterator[Observed]:
        """Yields the series of a metric with their values now."""
        for each in self._by_metric.get(metric.name, ()):
            yield from each.read()

    def _series(self, more: Attributes) -> ObservedSeries:
        return ObservedSeries({**self.attributes, **more})

    def _keep(self, metric: Metric, made: _T) -> _T:
        self._by_metric.setdefault(metric.name, []).append(made)
        return made
