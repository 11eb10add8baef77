"""Many rows of outputs in one call that are numbers or classes in arrays, read without an object for each row."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from otel_ml._figures.single import HIGHEST, LOWEST
from otel_ml._values import class_text
from otel_ml._values.arrays import COLUMNS, Distinct, distinct, numbers, slice_rows
from otel_ml._values.kinds import FRAMES, kind, sequence
from otel_ml.prediction.boundary._output_rows import (
    CLASSIFICATION,
    LARGEST_VALUE,
    OutputRules,
)

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array

OUTPUT_LIMIT = 100_000
"""Rows whose outputs are read at once; `Output.rows` counts all of them, and `Output.slices` reads the others."""
MANY = 64
"""Rows of a batch that is read by column if its values are alike."""
_CLASS_TYPES = frozenset({int, str, bool})
_TABLES = FRAMES | {"array", "tensor"}


@dataclass(slots=True)
class OutputColumns:
    """Predictions and scores of some rows: classes or values, and a score for each or for none."""

    rows: int
    total: int
    """Rows of the batch."""
    classes: Distinct | None
    """Class texts."""
    given: Any
    """The classes as they came, in a column of our own or one that cannot change."""
    texts: dict[Any, str]
    """Class text of each class as it came."""
    values: Array | None
    scores: Array | None
    shares: Array | None = None
    """The probability of each declared class, for the store."""

    def class_counts(self) -> dict[str | None, int]:
        """Returns how many rows have each class; None is for those without."""
        if self.classes is None:
            return {None: self.rows}
        counts: dict[str | None, int] = {}
        for text, count in zip(self.classes.values, self.classes.counts, strict=True):
            counts[text] = counts.get(text, 0) + count
        return counts

    def lists(self, rows: int) -> tuple[list[str | None], list[float | None], list[float | None]]:
        """Returns classes, values and scores of the first rows."""
        count = min(rows, self.rows)
        nothing: list[Any] = [None] * count
        named = None if self.classes is None else sequence(self.given, count)
        return (
            nothing if named is None else [self.texts[label] for label in named[0]],
            nothing if self.values is None else self.values[:count].tolist(),
            nothing if self.scores is None else self.scores[:count].tolist(),
        )


def one_column(values: Any) -> Any:
    """Returns the column of an array, a tensor or a frame that has only one; other values as they are. May raise."""
    family = kind(values)
    if family not in _TABLES or len(values.shape) != 2 or values.shape[1] != 1:
        return values
    if family == "arrow":
        return values.column(0)
    return values[:, 0] if family in {"array", "tensor", "polars"} else values.iloc[:, 0]


def read_columns(
    prediction: Any, score: Any, how: OutputRules, start: int = 0, *, is_given: bool
) -> OutputColumns | None:
    """Reads many rows that are alike; None for anything else, which is read row by row. May raise.

    Args:
        prediction: A column of classes or values.
        score: A column of scores in 0..1 as long as the predictions, or None.
        how: The rules of the model.
        start: The first row.
        is_given: Whether the caller said which is which. Only then floats are classes if they are whole.
    """
    if how.turns_scores or kind(prediction) not in COLUMNS or not how.is_batch(len(prediction)):
        return None
    part = slice_rows(prediction, start, start + OUTPUT_LIMIT)
    if len(part) < MANY:
        return None
    found = OutputColumns(len(part), len(prediction), None, None, {}, None, None)
    if score is not None:
        is_paired = kind(score) in COLUMNS and len(score) == len(prediction)
        scored = slice_rows(score, start, start + OUTPUT_LIMIT) if is_paired else None
        found.scores = None if scored is None else _floats(scored, LOWEST, HIGHEST)
    elif how.task == "binary" and not is_given:
        found.scores = _floats(part, 0.0, 1.0)
        if found.scores is not None:
            return found
    return _with_predictions(found, part, how, is_given=is_given) if score is None or found.scores is not None else None


def _with_predictions(found: OutputColumns, part: Any, how: OutputRules, *, is_given: bool) -> OutputColumns | None:
    values = numbers(part)
    if how.task in CLASSIFICATION or (how.task == "other" and (found.scores is not None or values is None)):
        return add_classes(found, part, with_floats=is_given)
    found.values = None if values is None else _floats(values.astype("float64"), -LARGEST_VALUE, LARGEST_VALUE)
    return None if found.values is None else found


def add_classes(found: OutputColumns, part: Any, *, with_floats: bool) -> OutputColumns | None:
    """Adds classes under their texts; None if a value names none."""
    array = numbers(part)
    known = distinct(part) if with_floats or array is None or array.dtype.kind != "f" else None
    if known is None or not _CLASS_TYPES.issuperset(map(type, known.values)):
        return None
    texts = {value: class_text(value) for value in known.values}
    found.texts = {value: text for value, text in texts.items() if text is not None}
    if len(found.texts) < len(texts):
        return None
    found.classes = replace(known, values=[found.texts[value] for value in known.values])
    found.given = part.copy() if kind(part) in ("array", "series") else part
    return found


def _floats(part: Any, low: float, high: float) -> Array | None:
    """Returns an own copy of a column of floats within these bounds; None for any other column."""
    found = numbers(part)
    if found is None or found.dtype.kind != "f" or not low <= float(found.min()) <= float(found.max()) <= high:
        return None
    return found.astype("float64")
