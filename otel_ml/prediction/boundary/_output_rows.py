"""One row of a result: its class, value and score, by the task of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from otel_ml._figures.single import is_distribution, is_probability
from otel_ml._guard import warn_once
from otel_ml._values import class_text, number, written_number
from otel_ml._values.equality import is_positive
from otel_ml._values.kinds import builtin, pairs, sequence
from otel_ml._values.missing import is_missing
from otel_ml.prediction.boundary._named_shares import (
    CLASSES_LIMIT,
    shares_in_order,
    shares_of_lists,
    shares_of_mapping,
)
from otel_ml.prediction.boundary._records import find_record
from otel_ml.prediction.boundary._result_names import Named, find_named, find_shares
from otel_ml.quality import ColumnNames

CLASSIFICATION = frozenset({"binary", "multiclass", "multilabel"})
SINGLE_CLASS = frozenset({"binary", "multiclass"})
"""Tasks in which a row has one class."""
_LARGEST_SCORE = 1e6
LARGEST_VALUE = 1e100
"""A larger prediction has no square, which a sum of squared errors needs."""

_OF_LABEL = (
    "otel-ml: the score beside a label is read as the probability of that label, as classification pipelines return "
    "it: declare score_of='predicted' to confirm it, or score_of='positive' if it is that of the positive class"
)
_NO_SIDE = (
    "otel-ml: score_of='predicted' needs classes=[negative, positive]: of other predictions it is not known which "
    "class is the positive one, so their scores are left out"
)

ScoreOf = Literal["positive", "predicted"]
Row = tuple[str | None, float | None, float | None]
NOTHING: Row = (None, None, None)


@dataclass(slots=True)
class OutputRules:
    """How to read the numbers of a model."""

    task: str
    classes: Sequence[str] | None
    batch: bool
    rows: int | None
    columns: ColumnNames | None = None
    """The declared columns of the input: what is sensitive there is no answer."""
    omissions: dict[str, int] = field(default_factory=dict)
    """Counts of what was not read, by reason."""
    has_unnamed: bool = False
    """Whether probabilities were read without their classes."""
    is_open: bool = False
    """Whether several names may have been the prediction or the score."""
    score_of: ScoreOf | None = None
    """Whose probability a score is; None if it was not declared."""
    is_label_score: bool = False
    """Whether the result names a text ``label`` and a ``score``, as classification pipelines do."""
    sides: dict[str | None, bool | None] = field(default_factory=dict)
    """Whether a class is the positive one."""
    wants_shares: bool = False
    """Whether the probability of each class is kept for the label."""
    shares: Sequence[float] | None = None
    """Those of the row that was read last, in the order of the declared classes."""
    beside: object = None
    """Probabilities that the row has beside a score."""
    unkept: int = 0
    """How many probabilities a row had that are not one for each declared class."""

    def find(self, result: object) -> Named | None:
        """Returns prediction and score of a result with named values."""
        found = find_named(result, self.task, self.columns)
        if found is None and self.task in SINGLE_CLASS:
            shares = shares_of_mapping(result)
            if shares is not None:
                return Named(None, shares)
        if found is not None and found.is_open:
            self.is_open = True
        if found is not None and found.is_label_score and _is_text(found.prediction):
            self.is_label_score = True
        if self.wants_shares and found is not None and builtin(found.score) is not None:
            self.beside = find_shares(result)
        return found if found is not None and (found.prediction is not None or found.score is not None) else None

    def keep_shares(self, shares: Sequence[float] | dict[str, float] | None) -> None:
        """Keeps the probabilities of a row, if there is one for each declared class."""
        if self.wants_shares and shares is not None:
            names = self.classes or ()
            ordered = shares_in_order(shares, names) if isinstance(shares, dict) else shares
            self.shares = ordered if ordered is not None and len(ordered) == len(names) else None
            self.unkept = len(shares) if self.shares is None else self.unkept

    def kept_columns(self, shares: Any) -> Any:
        """Returns the probabilities of many rows if they are kept: an array with a column for each declared class."""
        if not self.wants_shares or shares.shape[1] == len(self.classes or ()):
            return shares if self.wants_shares else None
        self.unkept = shares.shape[1]
        return None

    def take_shares(self) -> Sequence[float] | None:
        """Returns the probabilities of the row that was read, for each declared class; None without them."""
        if self.shares is None and self.beside is not None:
            found = shares_of_mapping(self.beside)
            vector = sequence(self.beside, CLASSES_LIMIT) if found is None else None
            self.keep_shares(found if vector is None else find_probabilities(vector[0]))
        shares, self.shares, self.beside = self.shares, None, None
        return shares

    def omit(self, reason: str) -> None:
        self.omissions[reason] = self.omissions.get(reason, 0) + 1

    @property
    def turns_scores(self) -> bool:
        """Whether scores may be those of the predicted class of a binary model."""
        if self.score_of == "positive" or not (self.score_of or self.is_label_score):
            return False
        return self.task == "binary" or (self.task == "other" and len(self.classes or ()) == 2)

    def of_positive(self, label: str | None, score: float | None) -> float | None:
        """Returns the score of a prediction as that of the positive class of a binary model.

        If nothing was declared, a text ``label`` with a ``score`` above 0.5 has its own probability, as classification
        pipelines return it. One below 0.5 cannot be that of the likelier class, so it is that of the positive one.
        """
        is_declared = self.score_of == "predicted"
        if score is None or not self.turns_scores or not (is_declared or score > 0.5):
            return score
        if label not in self.sides:
            self.sides[label] = None if label is None else is_positive(label, self.classes)
        side = self.sides[label]
        if side is None and is_declared:
            warn_once("prediction.score_of.classes", _NO_SIDE)
            return None
        if side is not False:
            return score
        if not is_declared:
            warn_once("prediction.label_score", _OF_LABEL)
        return 1.0 - score if is_probability(score) else None

    def is_batch(self, length: int) -> bool:
        return self.batch or (self.rows is not None and length == self.rows)


def read_given(prediction: object, score: object, how: OutputRules) -> Row:
    """Reads a row from its prediction and score, or from the named values that the prediction holds."""
    inner = how.find(prediction) if score is None and builtin(prediction) is None else None
    if inner is not None and inner.prediction is not prediction:
        prediction, score = inner.prediction, inner.score
    return _read_pair(prediction, score, how)


def only_value(prediction: object) -> object:
    """Returns the only value of a list, such as the row of a column; anything else as it is."""
    listed = sequence(prediction, 1)
    return listed[0][0] if listed is not None and listed[1] == 1 else prediction


def _read_pair(prediction: object, score: object, how: OutputRules) -> Row:
    prediction = prediction if score is None else only_value(prediction)
    shares = shares_of_mapping(score) or shares_of_lists(prediction, score)
    if shares is not None and how.task in SINGLE_CLASS:
        return _read_shares(None if sequence(prediction, 0) is not None else prediction, shares, how)
    vector = sequence(score, CLASSES_LIMIT)
    if prediction is None:
        if vector is not None:
            return _vector(vector[0], how)
        return None, None, how.of_positive(None, read_score(score, how))
    row = _prediction(prediction, how, scored=score is not None)
    if row == NOTHING and score is None and (how.task == "binary" or sequence(prediction, 0) is not None):
        return read_bare(prediction, how)
    if vector is not None and len(vector[0]) != 1:
        likely = _vector(vector[0], how)[2]
        if likely is None and vector[0] and how.task in SINGLE_CLASS:
            how.omit("score")
        return row[0], row[1], likely
    read = read_score(score if vector is None else vector[0][0], how)
    return row[0], row[1], how.of_positive(row[0], read)


def _read_shares(prediction: object, shares: dict[str, float], how: OutputRules) -> Row:
    """Reads the shares of classes: without a prediction the largest is the answer; the positive class has the score."""
    how.keep_shares(shares)
    best = max(shares, key=shares.__getitem__)
    label = best if prediction is None else class_text(prediction)
    if how.task != "binary":
        return label, None, shares.get(label or "", shares[best])
    positive = how.classes[-1] if how.classes else None
    if positive not in shares:
        how.omit("part")
    return label, None, shares.get(positive or "")


def read_score(score: object, how: OutputRules) -> float | None:
    """Returns a score. One outside 0..1, such as a margin, is not a probability and stays out of the histogram."""
    if score is None:
        return None
    found = written_number(score)
    if found is not None and is_probability(found):
        return found
    if found is not None or not is_missing(score) or type(score) is float:
        how.omit("score")
    return found if found is not None and abs(found) <= _LARGEST_SCORE else None


def _value(value: object, how: OutputRules) -> float | None:
    found = written_number(value)
    if found is not None and abs(found) <= LARGEST_VALUE:
        return found
    if value is not None:
        how.omit("value")
    return None


def _is_text(prediction: object) -> bool:
    """Whether a label, or the first one of a column, is a text."""
    listed = sequence(prediction, 1)
    return type(builtin(listed[0][0] if listed is not None and listed[0] else prediction)) is str


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
    if how.task == "regression" or type(value) is int or type(value) is float:
        return None, _value(value, how), None
    return class_text(value), None, None


def read_value(result: object, how: OutputRules) -> Row:
    """Reads a bare scalar."""
    value = builtin(result)
    if type(value) is float and how.task == "binary":
        return (None, None, how.of_positive(None, value)) if is_probability(value) else NOTHING
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
    return pair or _alternatives(items[0], how) or _vector(items[0], how)


def _alternatives(items: list[Any], how: OutputRules) -> Row | None:
    """Reads the labels of one row with their scores, as a classification pipeline returns them for all classes."""
    if len(items) < 2 or how.task not in SINGLE_CLASS or any(len(find_record(item) or ()) != 2 for item in items):
        return None
    named = [find_named(item, how.task, how.columns) for item in items]
    shares = shares_of_lists(
        [found and found.prediction for found in named], [found and found.score for found in named]
    )
    return None if shares is None else _read_shares(None, shares, how)


def _alone(item: object, how: OutputRules) -> Row:
    """Reads the only element of a list: a record, a value, or the vector that ``predict_proba`` returns for one row."""
    named = how.find(item)
    if named is not None:
        return read_given(named.prediction, named.score, how)
    inner = sequence(item, CLASSES_LIMIT)
    if inner is None:
        return read_value(item, how)
    return _alternatives(inner[0], how) or _vector(inner[0], how)


def find_probabilities(items: list[Any]) -> list[float] | None:
    """Returns the probabilities of one of several classes; None for other values: [1, 0] are two classes."""
    if not any(type(builtin(item)) is float for item in items):
        return None
    known = [share for share in map(number, items) if share is not None]
    return known if len(known) == len(items) and is_distribution(known) else None


def _class_and_score(prediction: object, score: object, how: OutputRules) -> Row | None:
    value, certainty = builtin(prediction), builtin(score)
    is_named = type(value) in {str, int, bool} and how.task in SINGLE_CLASS
    if is_named and (sequence(score, 0) is not None or pairs(score, 0) is not None):
        row = _read_pair(value, score, how)
        return row if row[2] is not None else None
    if how.task not in SINGLE_CLASS or type(certainty) is not float or not is_probability(certainty):
        return None
    if type(value) not in {str, int, bool}:
        return None
    name = class_text(value)
    return name, None, how.of_positive(name, certainty)


def _vector(items: list[Any], how: OutputRules) -> Row:
    """Reads the probabilities of the classes of one row."""
    if len(items) == 1:
        return read_value(items[0], how)
    known = find_probabilities(items)
    if known is None or how.task not in SINGLE_CLASS or (how.task == "binary" and len(known) != 2):
        return NOTHING
    how.keep_shares(known)
    best = max(known)
    score = known[1] if how.task == "binary" else best
    if how.classes is None or len(how.classes) != len(known):
        how.has_unnamed = True
        return None, None, score
    return class_text(how.classes[known.index(best)]), None, score
