"""Sets of classes and rankings in a result: one of them, or a batch, by row or by column.

The list of one prediction is its classes or items. A list of such lists is a batch as for any other task: if the model
declares batches, or if the input had as many rows.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_ml._figures.single import THRESHOLD, are_probabilities
from otel_ml._guard import attempt
from otel_ml._values.kinds import builtin, kind, members, pairs, sequence
from otel_ml._values.labels import set_text
from otel_ml.prediction.boundary._named_shares import CLASSES_LIMIT
from otel_ml.prediction.boundary._output_columns import OUTPUT_LIMIT, OutputColumns
from otel_ml.prediction.boundary._output_rows import OutputRules
from otel_ml.prediction.boundary._several import SeveralRow, is_mapping, read_row
from otel_ml.prediction.boundary._share_columns import count_rows, matrix, name_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml._values.arrays import Array

_FEW_CLASSES = 62
"""Classes whose set is a whole number of 64 bits."""


class SeveralRows(NamedTuple):
    """Some predictions of a batch; or one, whose ``total`` is None."""

    total: int | None
    texts: list[str | None]
    shares: Any
    is_list: bool = False
    """Whether a single prediction came as a sequence of one row."""


def find_parts(result: Any, how: OutputRules) -> tuple[Any, Any]:
    """Returns the predictions of a result, and the probabilities or scores beside them; either may be None."""
    named = None if is_mapping(result, how) else how.find(result)
    if named is None:
        return _split(result, how)
    beside, how.beside = how.beside, None
    return named.prediction, (named.score if builtin(named.score) is None else beside)


def read_several(prediction: Any, score: Any, how: OutputRules, start: int = 0) -> SeveralRows | None:
    """Reads one row or, from a position on, those of a batch; None if there is no set or ranking."""
    leading = score if prediction is None else prediction
    listed = sequence(leading, OUTPUT_LIMIT, start)
    if listed is None or not (how.is_batch(listed[1]) or (listed[1] == 1 and _is_row(listed[0][0]))):
        rows, total = [read_row(prediction, score, how)], None
    else:
        total = listed[1]
        rows = _read_rows(prediction, score, how, start)
    if all(row.text is None for row in rows):
        return None
    shares = [row.shares for row in rows]
    is_list = total == 1 and not how.is_batch(1)
    kept = shares if any(each is not None for each in shares) else None
    return SeveralRows(None if is_list else total, [row.text for row in rows], kept, is_list)


def read_several_columns(prediction: Any, score: Any, how: OutputRules, start: int = 0) -> OutputColumns | None:
    """Reads the sets of a multilabel model from arrays with a column for each class; None for anything else. May raise.

    Beside probabilities, or alone, 0 and 1 say which classes are there; else those whose probability is above 0.5.
    """
    if how.task != "multilabel" or how.classes is None:
        return None
    chosen = None if prediction is None else _class_matrix(prediction, how, start)
    likely = None if score is None else _class_matrix(score, how, start)
    if (prediction is not None and chosen is None) or (score is not None and likely is None):
        return None
    if chosen is not None and (chosen.dtype.kind == "f" and not bool(((chosen == 0) | (chosen == 1)).all())):
        chosen, likely = None, chosen if likely is None else likely
    leading: Any = likely if chosen is None else chosen
    total = _total(score if prediction is None else prediction)
    if total is None or not (how.is_batch(total) or total == 1) or not are_probabilities(leading).all():
        return None
    mask = leading > THRESHOLD
    found = OutputColumns(len(mask), total, None, None, {}, None, None)
    is_known = likely is not None and bool(are_probabilities(likely).all()) and len(likely) == len(mask)
    found.shares = likely.astype("float64") if is_known and likely is not None and how.wants_shares else None
    codes, sets = _sets(mask, how.classes)
    return name_classes(found, codes, sets)


def _read_rows(prediction: Any, score: Any, how: OutputRules, start: int) -> list[SeveralRow]:
    predictions, scores = sequence(prediction, OUTPUT_LIMIT, start), sequence(score, OUTPUT_LIMIT, start)
    if predictions is not None and scores is not None and predictions[1] != scores[1]:
        scores = None
        how.omit("pairing")
    nothing: list[Any] = [None] * len((predictions or scores or ([], 0))[0])
    given = zip(predictions[0] if predictions else nothing, scores[0] if scores else nothing, strict=True)
    return [_read_item(one, beside, how) for one, beside in given]


def _read_item(prediction: Any, score: Any, how: OutputRules) -> SeveralRow:
    """Reads a row of a batch, which may name its prediction and its scores."""
    if score is None and builtin(prediction) is None:
        prediction, score = find_parts(prediction, how)
    return read_row(prediction, score, how)


def _split(result: Any, how: OutputRules) -> tuple[Any, Any]:
    """Splits a pair of predictions and scores; anything else is the predictions alone."""
    if not issubclass(type(result), tuple) or tuple.__len__(result) != 2 or how.rows == 2:
        return result, None
    first, second = tuple.__iter__(result)
    left, right = _first_scalar(first), _first_scalar(second)
    if type(left) is float and type(right) is int:  # as a nearest-neighbour search returns distances and items
        return second, first
    is_pair = left is not None and type(right) is float
    is_pair = is_pair or (_total(first) is not None and _total(first) == _total(second))
    return (first, second) if is_pair else (result, None)


def _is_row(value: Any) -> bool:
    return any(found is not None for found in (sequence(value, 0), members(value, 0), pairs(value, 0)))


def _first_scalar(value: Any) -> object:
    """Returns the first value of a sequence, or of its first row; None for anything else."""
    for _ in range(2):
        listed = sequence(value, 1)
        if listed is None or not listed[0]:
            break
        value = listed[0][0]
        if builtin(value) is not None:
            return builtin(value)
    return None


def _total(given: Any) -> int | None:
    """Returns the rows of an array with a column for each class, or of a list of arrays, one for each class."""
    parts = _parts(given)
    return count_rows(given if parts is None else parts[0])


def _parts(given: Any) -> list[Any] | None:
    """Returns the arrays of a list of them, as scikit-learn returns probabilities: one for each class."""
    listed = None if kind(given) else sequence(given, CLASSES_LIMIT)
    return listed[0] if listed is not None and listed[0] and count_rows(listed[0][0]) is not None else None


def _class_matrix(given: Any, how: OutputRules, start: int) -> Array | None:
    classes = how.classes or ()
    parts = _parts(given)
    found: Array | None
    if parts is None:
        found = matrix(given, classes, start)
    else:
        arrays = [matrix(part, ("0", "1"), start) for part in parts]
        found = attempt(_positive_columns, arrays)
    if found is not None and found.shape[1] != len(classes):
        how.unkept = found.shape[1]
        return None
    return found


def _positive_columns(arrays: Sequence[Array]) -> Array:
    """Returns the second columns of arrays as one array. May raise."""
    found: Array = sys.modules["numpy"].column_stack([array[:, 1] for array in arrays])
    return found


def _sets(mask: Array, classes: Sequence[str]) -> tuple[Any, dict[int, str]]:
    """Returns a code for the set of each row, and the text of each code."""
    np = sys.modules["numpy"]
    if len(classes) <= _FEW_CLASSES:
        codes: Any = mask @ (1 << np.arange(len(classes), dtype="int64"))
        firsts, places = np.unique(codes, return_index=True)
    else:
        _, places, codes = np.unique(mask, axis=0, return_index=True, return_inverse=True)
        codes, firsts = codes.reshape(-1), np.arange(len(places))
    texts = [
        set_text(name for name, is_there in zip(classes, mask[place], strict=True) if is_there) for place in places
    ]
    return codes, dict(zip(firsts.tolist(), texts, strict=True))
