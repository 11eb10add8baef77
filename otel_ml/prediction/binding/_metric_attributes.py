"""Attribute values with a bounded number of different ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_ml import _guard, semconv
from otel_ml._telemetry.predictions.model_cells import CLASSES_KEPT, ERROR_TYPES_KEPT, STAGES_KEPT
from otel_ml._values import few_names
from otel_ml._values.equality import find_equal
from otel_ml.semconv import SEGMENT_VALUES

DECLARED_KEPT = 100
"""Classes that a model can declare; further ones are counted as `semconv.OTHER`."""
DECLARATIONS_KEPT = 4
"""Different declarations of one model's classes."""


class BoundedLabels:
    """Admits the first few values that come; all others become `semconv.OTHER`.

    Threads may admit a last value each, so the bound can be exceeded by the number of threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._admitted: set[str] = set()

    def admit(self, value: str) -> str:
        """Returns the value itself if it is admitted, else `semconv.OTHER`."""
        if value in self._admitted:
            return value
        if len(self._admitted) >= self._limit:
            return semconv.OTHER
        self._admitted.add(value)
        return value


class DeclaredLabels:
    """Admits the declared classes of a model, in whatever spelling; all others become `semconv.OTHER`."""

    def __init__(self, model: str, classes: Sequence[str]) -> None:
        self._model, self._names = model, few_names(classes)
        self._admitted = frozenset(classes[:DECLARED_KEPT])
        self._declared = frozenset(classes)
        self._has_warned = False

    def admit(self, value: str) -> str:
        """Returns the declared class that a predicted one equals as a text, a number or a boolean."""
        if value in self._admitted:
            return value
        if value in self._declared:  # beyond the bound
            return semconv.OTHER
        found = find_equal(value, self._admitted)
        if found is not None:
            return found
        if not self._has_warned and find_equal(value, self._declared) is None:
            self._has_warned = True
            _guard.warn_once(
                f"prediction.classes.{self._model}",
                f"otel-ml: the predicted class {value!r} is not a declared class of model {self._model!r} "
                f"({self._names}): such predictions are counted as {semconv.OTHER}; add it to classes= of the "
                "model, or return one of these",
            )
        return semconv.OTHER


class LearnedSegments(BoundedLabels):
    """Admits the first values of a segment column; one that equals an admitted number or boolean becomes that one.

    Args:
        column: Its name, for the line that is logged once if there are more values.
    """

    def __init__(self, column: str) -> None:
        super().__init__(SEGMENT_VALUES)
        self._column = column

    def admit(self, value: str) -> str:
        admitted = super().admit(find_equal(value, self._admitted) or value)
        if admitted == semconv.OTHER != value:
            _guard.warn_once(
                f"segments:{self._column}",
                f"otel-ml: segment column {self._column!r} has more than {SEGMENT_VALUES} values: further ones are "
                f"counted as {semconv.OTHER}; pass segments={{{self._column!r}: (...)}} with those that matter, and "
                "put numbers into groups first",
            )
        return admitted


class ModelLabels:
    """The labels of one model, shared by all of its handles, so that a second handle does not double the limits."""

    def __init__(self) -> None:
        self.errors = BoundedLabels(ERROR_TYPES_KEPT)
        self.stages = BoundedLabels(STAGES_KEPT)
        self._first_seen = BoundedLabels(CLASSES_KEPT)
        self._declared: dict[tuple[str, ...], DeclaredLabels] = {}
        self._segments: dict[str, LearnedSegments] = {}

    def segments(self, column: str) -> LearnedSegments:
        """Returns the values of a segment column without a closed set."""
        return self._segments.setdefault(column, LearnedSegments(column))

    def classes(self, model: str, declared: Iterable[str] | None) -> BoundedLabels | DeclaredLabels:
        """Returns the classes of a handle: its declared ones, or the first that come to any handle."""
        if declared is None:
            return self._first_seen
        key = tuple(declared)
        if key not in self._declared and len(self._declared) >= DECLARATIONS_KEPT:
            return self._first_seen
        return self._declared.setdefault(key, DeclaredLabels(model, key))
