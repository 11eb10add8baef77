"""Reads training data from files. All cells of a column of text decide its type."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_ml.quality.counting._cells import ABSENT
from otel_ml.quality.files._errors import DataFileError
from otel_ml.quality.files._sources import DataFiles
from otel_ml.quality.files._text_cells import NUMBER_SHARE, TextCells, TextKind


@dataclass(frozen=True)
class TrainingData:
    """The columns of the files, in memory."""

    columns: dict[str, Sequence[object]]
    rows: int


@dataclass
class _ColumnFacts:
    """Counts by which the type of one column of text is decided."""

    present: int = 0
    unread: int = 0
    codes: int = 0
    kinds: dict[TextKind, bool] = field(default_factory=lambda: {"integer": True, "boolean": True, "moment": True})

    def add(self, cells: TextCells) -> None:
        """Counts the cells of one batch."""
        numbers = cells.numbers()
        self.unread += 0 if numbers.invalid is None else int(numbers.invalid.sum())
        self.present += len(cells) - cells.texts().null_count
        self.codes += cells.count_codes()
        for kind, is_possible in self.kinds.items():
            self.kinds[kind] = is_possible and cells.is_castable(kind)

    def decide(self) -> TextKind:
        """Returns the type of the column."""
        if not self.present or self.codes:
            return "text"
        if self.unread <= (1 - NUMBER_SHARE) * self.present:
            return "integer" if self.kinds["integer"] else "number"
        return next((kind for kind in ("boolean", "moment") if self.kinds[kind]), "text")


def read_training(files: DataFiles, columns: Collection[str]) -> TrainingData:
    """Reads the columns into memory; text files in two passes, so that a late cell counts as much as an early one.

    Raises:
        DataFileError: A file cannot be read, or there are no rows.
    """
    facts: dict[str, _ColumnFacts] = {}
    if files.has_text:
        for batch in files.batches(columns):
            for name, values in batch.columns.items():
                if isinstance(values, TextCells):
                    facts.setdefault(name, _ColumnFacts()).add(values)
    kinds = {name: found.decide() for name, found in facts.items()}
    parts: dict[str, list[Any]] = {name: [] for name in files.names if name in columns}
    rows = 0
    for batch in files.batches(columns):
        for name, held in parts.items():
            values = batch.columns.get(name)
            read = values.values(kinds[name]) if isinstance(values, TextCells) else values
            held.append([None] * batch.rows if read is None else read)
        rows += batch.rows
    if not rows:
        raise DataFileError(f"{files} has no rows")
    return TrainingData({name: _concatenate(held) for name, held in parts.items()}, rows)


def _concatenate(parts: Sequence[Any]) -> Any:
    import numpy as np

    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    lists = [part.to_pylist() if hasattr(part, "to_pylist") else part for part in parts]
    return [None if value is ABSENT else value for part in lists for value in part]
