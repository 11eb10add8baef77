"""Replaces texts, embeddings and images in what a model is called with by their descriptors, on the caller's thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from otel_ml._guard import attempt
from otel_ml._values.kinds import FRAMES, builtin, kind, pairs, sequence
from otel_ml.prediction.boundary._batch_readers import has_default_names
from otel_ml.prediction.boundary._feature_rows import is_row
from otel_ml.prediction.boundary._records import FEATURE_LIMIT, find_nested, find_record
from otel_ml.quality import ColumnNames, DescribedColumn

_ROWS: Final = 1 << 40
_NESTED_DEPTH: Final = 3
_SCALARS: Final = frozenset((str, int, float, bool, list, type(None)))


class InputDescriber:
    """Describes the columns of one model, so that their values are neither copied nor kept.

    Args:
        described: The columns that are described.
        columns: Finds the columns under other spellings of their names.
        names: All columns in the order of the training data, for values without names.
    """

    def __init__(self, described: Sequence[DescribedColumn], columns: ColumnNames, names: Sequence[str]) -> None:
        self._described = {one.column: one for one in described}
        self._columns = columns
        self._names = tuple(names)

    def describe(self, given: Any) -> Any:
        """Returns a row or a batch with descriptors in place of the described columns; anything else as it is."""
        items = attempt(self._frame_items, given) if kind(given) in FRAMES else find_record(given, self._columns)
        if items is not None:
            return self._describe_items(items)
        if len(self._names) == 1 and not self._is_list_of_rows(given):
            return self._describe_items([(self._names[0], given)])
        listed = sequence(given, _ROWS)
        if listed is None or not listed[0]:
            return given
        if is_row(listed[0][0]):
            return [self._describe_row(row) for row in listed[0]]
        named = self._by_position(listed[0])
        return given if named is None else self._describe_items(named)

    def _is_list_of_rows(self, given: Any) -> bool:
        """Whether the only column has a name in each row, or is in a list of one value."""
        first = (sequence(given, 1) or ([], 0))[0][:1] if type(given) in (list, tuple) else []
        if not first or find_record(first[0]) is not None:
            return bool(first)
        inner = sequence(first[0], 1)
        return inner is not None and inner[1] == 1 and not self._described[self._names[0]].is_column(inner[0][0])

    def _frame_items(self, frame: Any) -> list[tuple[Any, Any]] | None:
        """Returns the columns of a frame by name. May raise, as its methods may."""
        family = kind(frame)
        if family == "pandas":
            items = [(name, frame.iloc[:, place]) for place, name in enumerate(frame.columns[:FEATURE_LIMIT].tolist())]
        elif family == "polars":
            items = [(column.name, column) for column in frame.get_columns()[:FEATURE_LIMIT]]
        else:
            items = list(zip(frame.schema.names, frame.columns, strict=True))[:FEATURE_LIMIT]
        if family != "arrow" and has_default_names(frame, family):
            return self._by_position([values for _, values in items])
        return items

    def _by_position(self, values: Sequence[Any]) -> list[tuple[Any, Any]] | None:
        return list(zip(self._names, values, strict=True)) if len(values) == len(self._names) else None

    def _describe_row(self, row: Any) -> Any:
        items = find_record(row, self._columns)
        if items is None:
            listed = sequence(row, FEATURE_LIMIT)
            items = None if listed is None else self._by_position(listed[0])
        return row if items is None else self._describe_items(items, is_row=True)

    def _describe_items(self, items: Iterable[tuple[Any, Any]], *, is_row: bool = False) -> dict[Any, Any]:
        """Returns named values, those of one row or columns of many."""
        taken: dict[str, Any] = {}
        found = self._take(items, taken, _NESTED_DEPTH)
        described = [(self._described[column], value) for column, value in taken.items()]
        is_batch = not (is_row or self._has_scalar(found, taken)) and any(
            one.is_column(value) for one, value in described
        )
        for one, value in described:
            values = one.describe(value if is_batch else [value])
            found.update(values if is_batch else {name: only for name, (only,) in values.items()})
        return found

    def _has_scalar(self, found: Mapping[Any, Any], taken: Mapping[str, Any]) -> bool:
        """Whether a column has a single value, so that all of them have the values of one row."""
        declared = (value for name, value in found.items() if type(name) is str and self._columns.find(name))
        return any(builtin(value) is not None for value in chain(declared, taken.values()))

    def _take(self, items: Iterable[tuple[Any, Any]], taken: dict[str, Any], depth: int) -> dict[Any, Any]:
        """Moves described columns from named values, nested ones too, and returns the others."""
        found: dict[Any, Any] = {}
        for name, value in items:
            column = self._columns.find(name) if type(name) is str else None
            if column is not None and column in self._described:
                taken.setdefault(column, value)
                continue
            inner = None
            if depth and type(value) not in _SCALARS:
                nested = pairs(value, FEATURE_LIMIT)
                inner = find_nested(value, self._columns) if nested is None else nested[0]
            found[name] = value if inner is None else self._take(inner, taken, depth - 1)
        return found
