"""The stored counts of one model in one version and role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_ml import semconv

if TYPE_CHECKING:
    from otel_ml.console.storage._metric_points import Point

_IDENTITY: Final = (semconv.MODEL_NAME, semconv.MODEL_VERSION, semconv.MODEL_ROLE)


class ModelVersion(NamedTuple):
    """What tells the models of one name apart."""

    model: str
    version: str
    role: str


class Counts:
    """Sums by metric and attributes."""

    def __init__(self) -> None:
        self._points: dict[str, list[Point]] = defaultdict(list)

    def add(self, point: Point) -> None:
        """Takes one sum or gauge."""
        self._points[point.name].append(point)

    def sums(self, metric: semconv.Metric, *keys: str) -> dict[tuple[str, ...], float]:
        """Returns the sums by the values of some attributes, without those that are 0."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for point in self._points[metric.name]:
            found[tuple(str(point.attributes.get(key, "")) for key in keys)] += point.value
        return {key: value for key, value in found.items() if value}

    def by(self, metric: semconv.Metric, key: str) -> dict[str, float]:
        """Returns the sums by the values of one attribute."""
        return {value: total for (value,), total in self.sums(metric, key).items()}

    def total(self, metric: semconv.Metric) -> float:
        """Returns the sum of all."""
        return self.sums(metric).get((), 0.0)

    def gauges(self, metric: semconv.Metric, key: str) -> dict[str, float]:
        """Returns the values of a gauge, which is the same in every process."""
        return {str(point.attributes.get(key, "")): point.value for point in self._points[metric.name]}


def by_identity(points: Iterable[Point]) -> dict[ModelVersion, Counts]:
    """Returns the counts of each model, version and role."""
    found: dict[ModelVersion, Counts] = defaultdict(Counts)
    for point in points:
        found[_identity(point)].add(point)
    return found


def by_period(points: Iterable[Point], periods: int) -> dict[ModelVersion, list[Counts]]:
    """Returns the counts of each model, version and role in each period."""
    found: dict[ModelVersion, list[Counts]] = defaultdict(lambda: [Counts() for _ in range(periods)])
    for point in points:
        found[_identity(point)][point.period].add(point)
    return found


def _identity(point: Point) -> ModelVersion:
    return ModelVersion(*(str(point.attributes.get(key, "")) for key in _IDENTITY))
