"""What a prediction said: class, value and score, read from a result that stays untouched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FunctionType, MethodType, ModuleType
from typing import Any

from otel_ml._guard import attempt, warn_once
from otel_ml._kinds import builtin, kind, pairs, sequence
from otel_ml._values import class_text, number

OUTPUT_LIMIT = 100_000
"""Rows whose outputs are read; `Output.rows` tells how many there were."""
CLASSES_LIMIT = 1000
"""Entries read of a vector of probabilities."""

_PREDICTION = ("prediction", "label", "class")
_SCORE = ("probability", "score", "confidence")
_PREDICTIONS = (*_PREDICTION, "predictions", "labels", "classes")
_SCORES = (*_SCORE, "probabilities", "scores", "confidences")
_NAMES = frozenset((*_PREDICTIONS, *_SCORES))
_CLASSIFICATION = frozenset({"binary", "multiclass", "multilabel"})
_NUMERIC = frozenset({"regression"})
_FRAMES = frozenset({"pandas", "polars", "arrow"})
_SUM_TOLERANCE = 0.02
"""How far a vector of probabilities may be from a sum of 1: half-precision models are that coarse."""
_OPAQUE = (type, FunctionType, MethodType, ModuleType, BaseException)

_Row = tuple[str | None, float | None, float | None]
_NOTHING: _Row = (None, None, None)


@dataclass(slots=True)
class Output:
    """Class, value and score of one prediction or of each row of a batch; None where a result did not say."""

    rows: int | None
    """Rows of a batch; None for a single prediction, whose lists have one entry."""
    classes: list[str | None]
    values: list[float | None]
    scores: list[float | None]
    is_list: bool = field(default=False, compare=False)
    """Whether a single prediction came as a sequence of one row, which its caller may take for a batch."""


@dataclass(slots=True)
class _Reading:
    """How a model's numbers are to be understood."""

    task: str
    classes: Sequence[str] | None
    batch: bool
    rows: int | None
    has_unnamed: bool = False
    """Whether probabilities were read of which no class is known to be the likeliest."""

    def is_batch(self, length: int) -> bool:
        return self.batch or (self.rows is not None and length == self.rows)


def recognise(
    result: object, *, task: str, classes: Sequence[str] | None, batch: bool, rows: int | None
) -> Output | None:
    """Reads an output without configuration; None for what cannot be understood.

    The result is neither changed nor consumed.

    - A mapping, an object or a frame with ``prediction``, ``label`` or ``class`` and ``probability``, ``score`` or
      ``confidence``; in a batch their plurals too.
    - A whole number beside a score is a class, unless the task is ``regression``.
    - A bare value: for classification a text, a boolean or a whole number is the class; a float is a score when the
      task is ``binary`` and it lies in 0..1, a class when the task is ``multiclass`` and it is whole. For regression a
      number is the value. For every other task numbers are values, texts and booleans classes.
    - A pair of a class and a float in 0..1, for ``binary`` and ``multiclass``.
    - A sequence, array or column: a batch with ``batch=True`` or when it is as long as the input; of length one
      otherwise the output itself.
    - A vector of probabilities (in 0..1, with a sum of 1): its second entry is the score of a ``binary`` model; the
      largest is that of a ``multiclass`` one. The largest names the class, of either, when `classes` are known; where
      they are not, one log line says so.

    Args:
        result: What the predicting function returned.
        task: The task of the model.
        classes: The declared classes, in the order of the columns of its probabilities.
        batch: Whether the model was declared to predict batches.
        rows: Rows of the input, when it was a batch.
    """
    if type(result) is dict and not batch and rows is None:
        found = attempt(_common, result, task)
        if found is not None:
            return found
    how = _Reading(task, classes, batch, rows)
    return _noted(_recognised(result, how), how)


def _recognised(result: Any, how: _Reading) -> Output | None:
    if type(result) is float or type(result) is int or type(result) is str:
        return _single(_value(result, how), result)
    named = _named(result)
    if named is not None:
        return _pair(*named, how)
    if issubclass(type(result), tuple):
        columns = _two_columns(result, how)
        if columns is not None:
            return _rows(columns[0], columns[1], how)
    listed = sequence(result, OUTPUT_LIMIT)
    if listed is not None and how.is_batch(listed[1]):
        return _batch(listed, how)
    single = _single(_bare(result, how), result)
    if single is not None and listed is not None and listed[1] == 1:
        single.is_list = True
    return single


def given(
    prediction: object = None, score: object = None, *, task: str, classes: Sequence[str] | None, batch: bool
) -> Output | None:
    """Reads an output that was handed over as such: scalars, or arrays with ``batch=True``."""
    if prediction is None and score is None:
        return None
    how = _Reading(task, classes, batch, None)
    named = _named(prediction) if score is None else None
    return _noted(_pair(*(named if named is not None else (prediction, score)), how), how)


def _noted(output: Output | None, how: _Reading) -> Output | None:
    """The output as it is; says once when probabilities are all that was read."""
    if how.has_unnamed and output is not None and not any(output.classes):
        warn_once(
            "prediction.classes",
            f"otel-ml: probabilities of a {how.task} model were read as a score only: no class is known without "
            "classes=..., in the order of their columns; accuracy and F1 need it",
        )
    return output


def _common(result: dict[str, object], task: str) -> Output | None:
    """The everyday result, ``{"prediction": 1, "probability": 0.93}``, without the detour."""
    prediction, score = result["prediction"], result["probability"]
    if type(score) is not float or not math.isfinite(score):
        return None
    if (task in _CLASSIFICATION or task == "other") and (type(prediction) is int or type(prediction) is str):
        return Output(None, [class_text(prediction)], [None], [score])
    return None


def _named(result: Any) -> tuple[object, object] | None:
    """Prediction and score of a mapping, a frame or an object; None when it has none of the names."""
    family = kind(result)
    if family in _FRAMES:
        found = attempt(_columns_of, result, family)
    elif family:
        return None
    else:
        found = attempt(_entries_of, result)
    if not found:
        return None
    return _first(found, _PREDICTIONS), _first(found, _SCORES)


def _first(found: dict[str, object], names: tuple[str, ...]) -> object:
    for name in names:
        if found.get(name) is not None:
            return found[name]
    return None


def _entries_of(result: Any) -> dict[str, object]:
    cls = type(result)
    if issubclass(cls, (str, bytes, int, float, list, *_OPAQUE)):
        return {}
    if cls is dict:
        return {name: result[name] for name in _NAMES if name in result}
    found = pairs(result, CLASSES_LIMIT)
    if found is not None:
        return {key: value for key, value in found[0] if type(key) is str and key in _NAMES}
    known = {name for base in type.mro(cls) for name in _NAMES if name in base.__dict__}
    stored = attempt(object.__getattribute__, result, "__dict__")
    if type(stored) is dict:
        known |= {name for name in stored if type(name) is str and name in _NAMES}
    return {name: attempt(getattr, result, name) for name in known}


def _columns_of(frame: Any, family: str) -> dict[str, object]:
    labels = frame.column_names if family == "arrow" else frame.columns
    column = frame.column if family == "arrow" else frame.__getitem__
    return {name: column(name) for name in list(labels)[:CLASSES_LIMIT] if type(name) is str and name in _NAMES}


def _pair(prediction: object, score: object, how: _Reading) -> Output | None:
    predictions, scores = sequence(prediction, OUTPUT_LIMIT), sequence(score, OUTPUT_LIMIT)
    leading = predictions or (scores if prediction is None else None)
    if leading is not None and how.is_batch(leading[1]):
        return _rows(predictions, scores, how)
    if predictions is not None and predictions[1] == 1:
        prediction = predictions[0][0]
        score = scores[0][0] if scores is not None and scores[1] == 1 else score
    single = _single(_told(prediction, score, how), prediction)
    if single is not None and leading is not None and leading[1] == 1:
        single.is_list = True
    return single


def _single(row: _Row, said: object) -> Output | None:
    if row == _NOTHING and not _is_not_finite(said):
        return None
    return Output(None, [row[0]], [row[1]], [row[2]])


def _is_not_finite(said: object) -> bool:
    """Whether the model did answer, with NaN or an infinity: an output without a value, not one that was misread."""
    value = builtin(said)
    return type(value) is float and not math.isfinite(value)


def _two_columns(result: Any, how: _Reading) -> tuple[tuple[list[Any], int], tuple[list[Any], int]] | None:
    """Predictions and scores of a batch, returned as a pair; two rows of a batch of two are no such pair."""
    if tuple.__len__(result) != 2 or how.rows == 2:
        return None
    first, second = (sequence(part, OUTPUT_LIMIT) for part in tuple.__iter__(result))
    if first is None or second is None or first[1] != second[1] or not how.is_batch(first[1]):
        return None
    return first, second


def _rows(
    predictions: tuple[list[Any], int] | None, scores: tuple[list[Any], int] | None, how: _Reading
) -> Output | None:
    total = predictions[1] if predictions is not None else scores[1] if scores is not None else 0
    if scores is not None and scores[1] != total:
        scores = None
    nothing = [None] * min(total, OUTPUT_LIMIT)
    told = zip(predictions[0] if predictions else nothing, scores[0] if scores else nothing, strict=False)
    read = [_told(prediction, score, how) for prediction, score in told]
    return _gathered(read, total, predictions[0] if predictions else [])


def _batch(listed: tuple[list[Any], int], how: _Reading) -> Output | None:
    rows: list[_Row] = []
    for item in listed[0]:
        if type(item) is float or type(item) is int or type(item) is str:
            rows.append(_value(item, how))
            continue
        named = _named(item)
        rows.append(_told(*named, how) if named is not None else _bare(item, how))
    return _gathered(rows, listed[1], listed[0])


def _gathered(rows: list[_Row], total: int, said: list[Any]) -> Output | None:
    if rows and all(row == _NOTHING for row in rows) and not any(map(_is_not_finite, said)):
        return None
    return Output(total, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def _told(prediction: object, score: object, how: _Reading) -> _Row:
    """One row whose prediction and score are known to be such."""
    vector = sequence(score, CLASSES_LIMIT)
    if prediction is None:
        if vector is not None:
            return _vector(vector[0], how)
        return None, None, number(score)
    row = _prediction(prediction, how, scored=score is not None)
    if row == _NOTHING and score is None:
        return _bare(prediction, how)
    if vector is not None:
        return row[0], row[1], _vector(vector[0], how)[2]
    return row[0], row[1], number(score) if score is not None else None


def _prediction(prediction: object, how: _Reading, *, scored: bool = False) -> _Row:
    """A prediction by its task; a fraction is no class, unless it was declared as one.

    Where the task says nothing, a whole number that comes with a score is a class.
    """
    value = builtin(prediction)
    if scored and how.task == "other" and (type(value) is int or (type(value) is float and value.is_integer())):
        return class_text(value), None, None
    if how.task in _CLASSIFICATION:
        name = class_text(value)
        if type(value) is float and not value.is_integer() and name not in (how.classes or ()):
            return _NOTHING
        return name, None, None
    if how.task in _NUMERIC or type(value) is int or type(value) is float:
        return None, number(value), None
    return class_text(value), None, None


def _value(result: object, how: _Reading) -> _Row:
    """One bare scalar."""
    value = builtin(result)
    if type(value) is float and how.task == "binary":
        return (None, None, value) if 0.0 <= value <= 1.0 else _NOTHING
    return _NOTHING if value is None else _prediction(value, how)


def _bare(result: object, how: _Reading) -> _Row:
    """One row that is nothing but a number, a text, a pair or a vector."""
    items = sequence(result, CLASSES_LIMIT)
    if items is None:
        return _value(result, how)
    if items[1] == 1:
        return _alone(items[0][0], how)
    pair = None
    if items[1] == 2 and issubclass(type(result), tuple):
        pair = _class_and_score(items[0][0], items[0][1], how)
    return pair or _vector(items[0], how)


def _alone(item: object, how: _Reading) -> _Row:
    """The only element of a list: a record, a value, or the vector that ``predict_proba`` returns for a single row."""
    named = _named(item)
    if named is not None:
        return _told(*named, how)
    inner = sequence(item, CLASSES_LIMIT)
    return _vector(inner[0], how) if inner is not None else _value(item, how)


def _class_and_score(prediction: object, score: object, how: _Reading) -> _Row | None:
    value, certainty = builtin(prediction), builtin(score)
    if how.task not in {"binary", "multiclass"} or type(certainty) is not float or not 0.0 <= certainty <= 1.0:
        return None
    return (class_text(value), None, certainty) if type(value) in {str, int, bool} else None


def _vector(items: list[Any], how: _Reading) -> _Row:
    """Probabilities of the classes of one row."""
    if len(items) == 1:
        return _value(items[0], how)
    if not any(type(builtin(item)) is float for item in items):  # [1, 0] are two classes
        return _NOTHING
    shares = [number(item) for item in items]
    known = [share for share in shares if share is not None and 0.0 <= share <= 1.0]
    if len(known) != len(items) or abs(math.fsum(known) - 1.0) > _SUM_TOLERANCE:
        return _NOTHING
    if how.task not in {"binary", "multiclass"} or (how.task == "binary" and len(known) != 2):
        return _NOTHING
    best = max(known)
    score = known[1] if how.task == "binary" else best
    if how.classes is None or len(how.classes) != len(known):
        how.has_unnamed = True
        return None, None, score
    return class_text(how.classes[known.index(best)]), None, score
