"""Checks what the user says about columns of the training data, and returns it by column."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml._values import number
from otel_ml._values.kinds import kind, sequence
from otel_ml.quality._feature import BINS, ProfileError
from otel_ml.quality._named_columns import ColumnLookup
from otel_ml.quality.training._fit import ColumnOptions

MOST_BINS: Final = 50
"""Bins that a user may ask for."""

Bins = int | Mapping[Any, Any]


class Overrides:
    """The options of each column.

    Args:
        frame: Finds the columns of the training data.
        bins: Number of bins, or number or inner edges by column.
        columns: The columns that the user named, by option: ``categorical``, ``numeric``, ``keep``, ``periodic``,
            ``sensitive``.
    """

    def __init__(self, frame: ColumnLookup, bins: Bins, **columns: Collection[Any]) -> None:
        self._sets = {option: frame.names(given) for option, given in columns.items()}
        self.sensitive = self._sets["sensitive"]
        self._most = BINS if isinstance(bins, Mapping) else _count(bins)
        self._bins: dict[str, int | tuple[float, ...]] = {}
        if isinstance(bins, Mapping):
            self._bins = {frame.name(given): _bins(frame.name(given), wanted) for given, wanted in bins.items()}
        numeric = self._sets["numeric"].union(self._bins)
        both = sorted(self._sets["categorical"] & numeric)
        if both:
            raise ProfileError(f"a category has no bins of numbers: {', '.join(both)} cannot be both")
        self._sets["numeric"] = numeric

    @property
    def columns(self) -> dict[str, frozenset[str]]:
        """The columns that the user named, by option."""
        return dict(self._sets)

    @property
    def bins(self) -> int | dict[str, int | tuple[float, ...]]:
        """Number of bins, or number or inner edges by column."""
        return dict(self._bins) or self._most

    def options(self, name: str) -> ColumnOptions:
        """Returns the options of one column."""
        options = {option: name in names for option, names in self._sets.items()}
        return ColumnOptions(**options, bins=self._bins.get(name, self._most))


def read_importance(frame: ColumnLookup, importance: Any) -> dict[str, float]:
    """Returns the weights by column of a mapping or a Series."""
    if kind(importance) == "series":
        items: Iterable[tuple[Any, Any]] = zip(importance.index.tolist(), importance.tolist(), strict=True)
    elif isinstance(importance, Mapping):
        items = importance.items()
    else:
        raise ProfileError("importance is a mapping, or a Series, of column to weight")
    weights = {frame.name(given): weight for given, weight in items}
    known = {name: number(weight) for name, weight in weights.items()}
    wrong = [name for name, weight in known.items() if weight is None]
    if wrong:
        raise ProfileError(f"importance of {', '.join(wrong)} is not a finite number")
    return {name: weight for name, weight in known.items() if weight is not None}


def _bins(name: str, wanted: Any) -> int | tuple[float, ...]:
    listed = sequence(wanted, MOST_BINS)
    if listed is None:
        return _count(wanted, f" of {name}")
    edges = [number(edge) for edge in listed[0]]
    known = [edge for edge in edges if edge is not None]
    if not known or listed[1] >= MOST_BINS or len(known) < len(edges) or known != sorted(set(known)):
        raise ProfileError(f"bins of {name}: 1 to {MOST_BINS - 1} edges, finite numbers in ascending order")
    return tuple(known)


def _count(wanted: Any, where: str = "") -> int:
    found = attempt(int, wanted) if number(wanted) == attempt(int, wanted) else None
    if found is None or not 1 < found <= MOST_BINS:
        raise ProfileError(f"bins{where}: a number from 2 to {MOST_BINS}, or edges by column")
    return found
