"""One row of a result: its class, value and score, by the task of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

from otel_ml._guard import attempt
from otel_ml._kinds import builtin, kind, pairs, sequence
from otel_ml._values import class_text, number

CLASSES_LIMIT = 1000
"""Entries read of a vector of probabilities."""

_PREDICTION = ("prediction", "label", "class")
_SCORE = ("probability", "score", "confidence")
_PREDICTIONS = (*_PREDICTION, "predictions", "labels", "classes")
_SCORES = (*_SCORE, "probabilities", "scores", "confidences")
NAMES = frozenset((*_PREDICTIONS, *_SCORES))
CLASSIFICATION = frozenset({"binary", "multiclass", "multilabel"})
_NUMERIC = frozenset({"regression"})
_FRAMES = frozenset({"pandas", "polars", "arrow"})
_SUM_TOLERANCE = 0.02
"""How far a vector of probabilities may be from a sum of 1: half-precision models are that coarse."""
_OPAQUE = (type, FunctionType, MethodType, ModuleType, BaseException)

Row = tuple[str | None, float | None, float | None]
NOTHING: Row = (None, None, None)


@dataclass(slots=True)
class OutputRules:
    """How to read the numbers of a model."""

    task: str
    classes: Sequence[str] | None
    batch: bool
    rows: int | None
    has_unnamed: bool = False
    """Whether probabilities were read without knowing which class is the likeliest."""

    def is_batch(self, length: int) -> bool:
        return self.batch or (self.rows is not None and length == self.rows)


def find_named(result: Any) -> tuple[object, object] | None:
    """Returns prediction and score of a mapping, a frame or an object; None if it has none of the names."""
    family = kind(result)
    if family in _FRAMES:
        found = attempt(_named_columns, result, family)
    elif family:
        return None
    else:
        found = attempt(_named_entries, result)
    if not found:
        return None
    return _first(found, _PREDICTIONS), _first(found, _SCORES)


def _first(found: dict[str, object], names: tuple[str, ...]) -> object:
    for name in names:
        if found.get(name) is not None:
            return found[name]
    return None


def _named_entries(result: Any) -> dict[str, object]:
    cls = type(result)
    if issubclass(cls, (str, bytes, int, float, list, *_OPAQUE)):
        return {}
    if cls is dict:
        return {name: result[name] for name in NAMES if name in result}
    found = pairs(result, CLASSES_LIMIT)
    if found is not None:
        return {key: value for key, value in found[0] if type(key) is str and key in NAMES}
    known = {name for base in type.mro(cls) for name in NAMES if name in base.__dict__}
    stored = attempt(object.__getattribute__, result, "__dict__")
    if type(stored) is dict:
        known |= {name for name in stored if type(name) is str and name in NAMES}
    return {name: attempt(getattr, result, name) for name in known}


def _named_columns(frame: Any, family: str) -> dict[str, object]:
    labels = frame.column_names if family == "arrow" else frame.columns
    column = frame.column if family == "arrow" else frame.__getitem__
    return {name: column(name) for name in list(labels)[:CLASSES_LIMIT] if type(name) is str and name in NAMES}


def read_given(prediction: object, score: object, how: OutputRules) -> Row:
    """Reads a row from its prediction and score."""
    vector = sequence(score, CLASSES_LIMIT)
    if prediction is None:
        if vector is not None:
            return _vector(vector[0], how)
        return None, None, number(score)
    row = _prediction(prediction, how, scored=score is not None)
    if row == NOTHING and score is None:
        return read_bare(prediction, how)
    if vector is not None:
        return row[0], row[1], _vector(vector[0], how)[2]
    return row[0], row[1], number(score) if score is not None else None


def _prediction(prediction: object, how: OutputRules, *, scored: bool = False) -> Row:
    """Reads a prediction by the task; a fraction is not a class unless it was declared as one.

    If the task does not decide, a whole number that comes with a score is a class.
    """
    value = builtin(prediction)
    if scored and how.task == "other" and (type(value) is int or (type(value) is float and value.is_integer())):
        return class_text(value), None, None
    if how.task in CLASSIFICATION:
        name = class_text(value)
        if type(value) is float and not value.is_integer() and name not in (how.classes or ()):
            return NOTHING
        return name, None, None
    if how.task in _NUMERIC or type(value) is int or type(value) is float:
        return None, number(value), None
    return class_text(value), None, None


def read_value(result: object, how: OutputRules) -> Row:
    """Reads a bare scalar."""
    value = builtin(result)
    if type(value) is float and how.task == "binary":
        return (None, None, value) if 0.0 <= value <= 1.0 else NOTHING
    return NOTHING if value is None else _prediction(value, how)


def read_bare(result: object, how: OutputRules) -> Row:
    """Reads a row that is only a number, a text, a pair or a vector."""
    items = sequence(result, CLASSES_LIMIT)
    if items is None:
        return read_value(result, how)
    if items[1] == 1:
        return _alone(items[0][0], how)
    pair = None
    if items[1] == 2 and issubclass(type(result), tuple):
        pair = _class_and_score(items[0][0], items[0][1], how)
    return pair or _vector(items[0], how)


def _alone(item: object, how: OutputRules) -> Row:
    """Reads the only element of a list: a record, a value, or the vector that ``predict_proba`` returns for one row."""
    named = find_named(item)
    if named is not None:
        return read_given(*named, how)
    inner = sequence(item, CLASSES_LIMIT)
    return _vector(inner[0], how) if inner is not None else read_value(item, how)


def _class_and_score(prediction: object, score: object, how: OutputRules) -> Row | None:
    value, certainty = builtin(prediction), builtin(score)
    if how.task not in {"binary", "multiclass"} or type(certainty) is not float or not 0.0 <= certainty <= 1.0:
        return None
    return (class_text(value), None, certainty) if type(value) in {str, int, bool} else None


def _vector(items: list[Any], how: OutputRules) -> Row:
    """Reads the probabilities of the classes of one row."""
    if len(items) == 1:
        return read_value(items[0], how)
    if not any(type(builtin(item)) is float for item in items):  # [1, 0] are two classes
        return NOTHING
    shares = [number(item) for item in items]
    known = [share for share in shares if share is not None and 0.0 <= share <= 1.0]
    if len(known) != len(items) or abs(math.fsum(known) - 1.0) > _SUM_TOLERANCE:
        return NOTHING
    if how.task not in {"binary", "multiclass"} or (how.task == "binary" and len(known) != 2):
        return NOTHING
    best = max(known)
    score = known[1] if how.task == "binary" else best
    if how.classes is None or len(how.classes) != len(known):
        how.has_unnamed = True
        return None, None, score
    return class_text(how.classes[known.index(best)]), None, score
