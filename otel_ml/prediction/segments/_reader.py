"""Reads the segments of rows from features that are plain values already."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from sys import getsizeof
from typing import Any

from otel_ml import semconv
from otel_ml._guard import attempt, warn_once
from otel_ml._values.kinds import sequence
from otel_ml.prediction._outcome import Segments
from otel_ml.prediction.boundary._feature_batch import FeatureBatch, Features
from otel_ml.prediction.boundary._feature_rows import PartialRow
from otel_ml.prediction.segments._columns import SegmentColumn
from otel_ml.quality import ColumnNames

REMEMBERED = 1024
"""Combinations of values whose segments are kept."""


class SegmentReader:
    """Finds the segments of rows.

    Args:
        columns: The segment columns.
        names: The names under which a row has them.
        admit: For each column, what admits a value to a set that is learned.
    """

    def __init__(
        self, columns: Sequence[SegmentColumn], names: ColumnNames, admit: Sequence[Callable[[str], str]]
    ) -> None:
        self.columns = tuple(column.name for column in columns)
        self.keys = tuple(names.find(name) or name for name in self.columns)
        """The names of the columns in a row that the policy has read."""
        self.missing: Segments = (semconv.SEGMENT_MISSING_VALUE,) * len(self.columns)
        """Of a row that has none of the columns."""
        self._segment_of = [(column.segment, one) for column, one in zip(columns, admit, strict=True)]
        self._known: dict[tuple[Any, ...], Segments] = {}
        self._has_looked = False

    def read(self, features: Features | None) -> list[Segments]:
        """Returns the segments of each row; those of one row if there are none."""
        if isinstance(features, FeatureBatch):
            return self._read_batch(features)
        return [self.missing if features is None else self.read_row(features)]

    def read_row(self, row: dict[str, object]) -> Segments:
        """Returns the segments of one row."""
        if not self._has_looked:
            self._look(row)
        found = self._find(tuple(map(row.get, self.keys)))
        if isinstance(row, PartialRow):
            places = zip(self.keys, found, strict=True)
            found = tuple(semconv.OTHER if key in row and key in row.marks else value for key, value in places)
        return found

    def _read_batch(self, batch: FeatureBatch) -> list[Segments]:
        if not self._has_looked:
            self._look(batch.columns)
        nothing = [None] * batch.rows
        columns = [_listed(batch.columns.get(key), batch.rows) or nothing for key in self.keys]
        rows = list(zip(*columns, strict=True))
        found = attempt(self._find_all, rows)
        return found if found is not None else [self._find(row) for row in rows]

    def _look(self, columns: Container[str]) -> None:
        """Says which segment columns the first row does not have: their names may be misspelt."""
        self._has_looked = True
        for name, key in zip(self.columns, self.keys, strict=True):
            if key not in columns:
                warn_once(
                    f"segments.{name}",
                    f"otel-ml: segments: the first row has no column {name!r}; rows without it are counted as "
                    f"{semconv.SEGMENT_MISSING_VALUE}",
                )

    def _find_all(self, rows: list[tuple[Any, ...]]) -> list[Segments]:
        """Returns the segments of rows; may raise if a value has no hash."""
        segments = {row: self._find(row) for row in set(rows)}
        return [segments[row] for row in rows]

    def _find(self, values: tuple[Any, ...]) -> Segments:
        found = attempt(self._known.get, values)
        if found is None:
            found = tuple(
                segment(value, admit) for value, (segment, admit) in zip(values, self._segment_of, strict=True)
            )
            if len(self._known) < REMEMBERED and attempt(is_plain, values):
                self._known[values] = found
        return found


_PLAIN = frozenset({str, int, float, bool, type(None)})
_LARGEST = 1024
"""Bytes of a value that is remembered."""


def is_plain(values: tuple[Any, ...]) -> bool:
    """Whether values can be compared safely and are small enough to be kept; NaN is never found again."""
    if not _PLAIN.issuperset(map(type, values)):
        return False
    return all(value == value and getsizeof(value) <= _LARGEST for value in values)  # noqa: PLR0124


def _listed(column: Any, rows: int) -> list[Any] | None:
    if type(column) is list:
        return column if len(column) == rows else None
    found = None if column is None else sequence(column, rows)
    return None if found is None or len(found[0]) != rows else found[0]
