"""Reads class, value and score from a result without changing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from otel_ml._figures.single import HIGHEST, LOWEST
from otel_ml._guard import attempt, warn_once
from otel_ml._values import class_text
from otel_ml._values.kinds import FRAMES, builtin, kind, sequence
from otel_ml._values.labels import SEVERAL
from otel_ml.prediction.boundary._named_shares import rows_of_frame
from otel_ml.prediction.boundary._output_columns import MANY, OUTPUT_LIMIT, OutputColumns, one_column, read_columns
from otel_ml.prediction.boundary._output_rows import (
    CLASSIFICATION,
    LARGEST_VALUE,
    NOTHING,
    SINGLE_CLASS,
    OutputRules,
    Row,
    ScoreOf,
    only_value,
    read_bare,
    read_given,
    read_value,
)
from otel_ml.prediction.boundary._responses import open_result
from otel_ml.prediction.boundary._several_rows import find_parts, read_several, read_several_columns
from otel_ml.prediction.boundary._share_columns import read_share_columns
from otel_ml.quality import ColumnNames

Listed = tuple[list[Any], int]
"""Some elements of a sequence, and its length."""


@dataclass(slots=True)
class Output:
    """Class, value and score of one prediction or of each row of a batch; None where the result has none."""

    rows: int | None
    """Rows of a batch; None for a single prediction, whose lists have one entry."""
    classes: list[str | None]
    values: list[float | None]
    scores: list[float | None]
    columns: OutputColumns | None = None
    """The rows of a batch by column instead: the lists are empty until `keep`."""
    shares: Any = field(default=None, compare=False)
    """The probability of each declared class in each row, or None; None without any. A sequence or an array."""
    is_several: bool = field(default=False, compare=False)
    """Whether a class is the text of a set or of a ranking."""
    is_list: bool = field(default=False, compare=False)
    """Whether a single prediction came as a sequence of one row, which its caller may take for a batch."""
    omissions: dict[str, int] = field(default_factory=dict, compare=False)
    """Counts of what was not read, by reason."""
    rest: Callable[[int], Output | None] | None = field(default=None, compare=False)
    """Reads the rows of a large batch from a position on. It holds the caller's result until the call ends."""

    def slices(self) -> Iterator[tuple[int, Output]]:
        """Yields the rows of a large batch that are not in the lists, with the position of the first. Works once."""
        rest, self.rest = self.rest, None
        start, total = self.rows_read, self.rows or 0
        while rest is not None and start < total:
            part = rest(start)
            if part is None or not part.rows_read:
                nothing = min(OUTPUT_LIMIT, total - start)
                part = Output(nothing, [None] * nothing, [None] * nothing, [None] * nothing)
            yield start, part
            start += part.rows_read

    @property
    def rows_read(self) -> int:
        """Rows that were read at once."""
        return len(self.classes) if self.columns is None else self.columns.rows

    def keep(self, rows: int) -> None:
        """Keeps the first rows, in the lists."""
        if self.columns is not None:
            self.classes, self.values, self.scores = self.columns.lists(rows)
            self.shares = None if self.columns.shares is None else self.columns.shares[:rows]
            self.columns = None
        elif len(self.classes) > rows:
            self.shares = None if self.shares is None else self.shares[:rows]
            self.classes, self.values, self.scores = self.classes[:rows], self.values[:rows], self.scores[:rows]

    def class_counts(self) -> dict[str | None, int]:
        """Returns how many rows have each class; None is for those without, and for a set or a ranking."""
        if self.is_several:
            return {None: self.rows_read}
        return Counter(self.classes) if self.columns is None else self.columns.class_counts()

    def has_class(self) -> bool:
        """Whether a row has a class."""
        return any(self.classes) if self.columns is None else self.columns.classes is not None

    def has_score(self) -> bool:
        """Whether a row has a score above 0."""
        if self.columns is None:
            return any(self.scores)
        return self.columns.scores is not None and bool(self.columns.scores.any())

    def measured_scores(self) -> Any:
        """Returns the scores that `ml.prediction.score` has, a list or an array of our own."""
        if self.columns is not None:
            return [] if self.columns.scores is None else self.columns.scores.copy()
        return [score for score in self.scores if score is not None and LOWEST <= score <= HIGHEST]


def recognise(  # noqa: PLR0913 - keyword-only
    result: object,
    *,
    task: str,
    classes: Sequence[str] | None,
    batch: bool,
    rows: int | None,
    columns: ColumnNames | None = None,
    score_of: ScoreOf | None = None,
    wants_shares: bool = False,
) -> Output | None:
    """Reads an output without configuration; None for what cannot be recognised.

    The result is neither changed nor consumed.

    - A mapping, an object or a frame with ``prediction``, ``label`` or ``class`` and ``probability``, ``score`` or
      ``confidence``; in a batch their plurals too.
    - A whole number with a score is a class, unless the task is ``regression``.
    - A bare value: for classification a text, a boolean or a whole number is the class; a float is a score when the
      task is ``binary`` and it is in 0..1, a class when the task is ``multiclass`` and it is whole. For regression a
      number is the value. For every other task numbers are values, texts and booleans classes.
    - A pair of a class and a float in 0..1, for ``binary`` and ``multiclass``.
    - A sequence, array or column: a batch with ``batch=True`` or when it is as long as the input; of length one
      otherwise the output itself.
    - A vector of probabilities (in 0..1, with a sum of 1): its second entry is the score of a ``binary`` model; the
      largest is that of a ``multiclass`` one. The largest names the class of either, if `classes` are known; if they
      are not, one log line says so.

    Args:
        result: What the predicting function returned.
        task: The task of the model.
        classes: The declared classes, in the order of the columns of its probabilities.
        batch: Whether the model was declared to predict batches.
        rows: Rows of the input, when it was a batch.
        columns: The declared columns of the input, if some are sensitive: a value under the name of such a one, or a
            JSON text that may have one, is not guessed to be the answer.
        score_of: Whose probability the score of a binary model is.
        wants_shares: Whether the probability of each class is kept.
    """
    is_plain = type(result) is dict and not batch and rows is None and score_of != "predicted"
    if type(result) is dict and is_plain and not (wants_shares and len(result) > 2):
        found = attempt(_fast_mapping, result, task)
        if found is not None:
            return found
    how = OutputRules(task, classes, batch, rows, columns, score_of=score_of, wants_shares=wants_shares)
    opened = open_result(result)
    row = None if batch or (rows or 1) > 1 else attempt(_row_of_series, opened)
    if row is not None:
        named = _by_rules(row, row, how)
        # names that are no declared classes leave a vector of probabilities in the order of the classes
        if named is not None and (classes is None or {None, *classes}.issuperset(named.classes)):
            return named
    return _by_rules(result, opened, how)


def _by_rules(result: object, opened: Any, how: OutputRules) -> Output | None:
    """Reads a result of which `opened` is what stands inside."""
    output = _several(find_parts(opened, how), how) if how.task in SEVERAL else None
    if output is None and how.task != "multilabel":
        output = _recognised(opened, how)
    if output is None and opened is not result and how.task not in CLASSIFICATION and how.columns is None:
        output = _recognised(result, how)  # the answer of a language model may be a JSON text
    return _finished(output, how)


def _row_of_series(result: Any) -> dict[str, object] | None:
    """Returns a pandas Series with a text for each value, as a row of a frame has, as a mapping. May raise."""
    if kind(result) != "series" or not 1 < len(result) <= OUTPUT_LIMIT:
        return None
    labels = result.index.tolist()
    return dict(zip(labels, result.tolist(), strict=True)) if all(type(label) is str for label in labels) else None


def given(  # noqa: PLR0913 - keyword-only
    prediction: object = None,
    score: object = None,
    *,
    task: str,
    classes: Sequence[str] | None,
    batch: bool,
    score_of: ScoreOf | None = None,
    wants_shares: bool = False,
) -> Output | None:
    """Reads an output that the caller passed as such: scalars, or arrays with ``batch=True``."""
    if prediction is None and score is None:
        return None
    how = OutputRules(task, classes, batch, None, score_of=score_of, wants_shares=wants_shares)
    prediction = open_result(prediction) if score is None else prediction
    if task in SEVERAL:
        several = _several(find_parts(prediction, how) if score is None else (prediction, score), how)
        if several is not None or task == "multilabel":
            return _finished(several, how)
    named = how.find(prediction) if score is None else None
    if named is not None:
        prediction, score = named.prediction, named.score
    return _finished(_pair(prediction, score, how), how)


def _several(parts: tuple[Any, Any], how: OutputRules, start: int = 0) -> Output | None:
    """Reads sets of classes or rankings from predictions and from what is beside them."""
    prediction, score = parts
    columns = attempt(read_several_columns, prediction, score, how, start)
    if columns is not None:
        output = Output(columns.total, [], [], [], columns, is_several=True)
        if not how.is_batch(columns.total):
            output.keep(1)
            output.rows, output.is_list = None, True
    else:
        found = read_several(prediction, score, how, start)
        if found is None:
            return None
        nothing: list[Any] = [None] * len(found.texts)
        output = Output(found.total, found.texts, nothing, nothing, shares=found.shares, is_several=True)
        output.is_list = found.is_list
    return output if start else _with_rest(output, lambda start: _several(parts, how, start))


def _recognised(result: Any, how: OutputRules) -> Output | None:
    if type(result) is float or type(result) is int or type(result) is str:
        return _single(read_value(result, how), result, how)
    named = how.find(result)
    if named is not None:
        return _pair(named.prediction, named.score, how)
    by_column = _columns_of_result(result, how)
    if by_column is not None:
        return by_column
    result = _without_frames(result, how)
    if issubclass(type(result), tuple):
        columns = _two_columns(result, how)
        if columns is not None:
            first, second = tuple.__iter__(result)
            return _with_rest(_rows(*columns, how), lambda start: _rows(*_both(first, second, start), how))
    listed = sequence(result, OUTPUT_LIMIT)
    if listed is not None and how.is_batch(listed[1]):
        return _with_rest(
            _batch(listed, how), lambda start: _batch(sequence(result, OUTPUT_LIMIT, start) or ([], 0), how)
        )
    if listed is not None and _is_pair_of_one(result):
        first, second = ((sequence(part, 1) or ([], 0))[0][0] for part in tuple.__iter__(result))
        result = (only_value(first), second)
    single = _single(read_bare(result, how), result, how)
    if single is not None and listed is not None and listed[1] == 1:
        single.is_list = True
    return single


def _without_frames(result: Any, how: OutputRules) -> Any:
    """Returns the rows of a frame of probabilities, alone or beside the predictions; anything else as it is."""
    if issubclass(type(result), tuple) and tuple.__len__(result) == 2:
        prediction, score = tuple.__iter__(result)
        return (prediction, _without_frames(score, how)) if kind(score) in FRAMES else result
    if kind(result) not in FRAMES or how.task not in SINGLE_CLASS:
        return result
    return attempt(rows_of_frame, result, kind(result), OUTPUT_LIMIT, how.classes)


def _finished(output: Output | None, how: OutputRules) -> Output | None:
    """Adds to the output what was not read; logs once if only probabilities without classes were read."""
    if output is not None:
        output.omissions = how.omissions
        is_part = not output.has_class() and not how.has_unnamed and output.has_score()
        if how.is_open or (how.task in SINGLE_CLASS and is_part):
            how.omissions["part"] = output.rows or 1
    if how.has_unnamed and output is not None and not output.has_class():
        warn_once(
            "prediction.classes",
            f"otel-ml: probabilities of a {how.task} model were read as a score only: no class is known without "
            "classes=..., in the order of their columns; accuracy and F1 need it",
        )
    elif how.unkept and how.wants_shares:
        warn_once(
            "prediction.shares",
            f"otel-ml: the probabilities of a {how.task} model are not kept for its labels, and there is no AUC: "
            f"declare classes=..., one for each of its {how.unkept} probabilities, in their order",
        )
    return output


def _fast_mapping(result: dict[str, object], task: str) -> Output | None:
    """Reads the common result ``{"prediction": 1, "probability": 0.93}`` without the general rules."""
    prediction, score = result["prediction"], result["probability"]
    if type(score) is not float or not LOWEST <= score <= HIGHEST:
        return None
    if (task in CLASSIFICATION or task == "other") and (type(prediction) is int or type(prediction) is str):
        return Output(None, [class_text(prediction)], [None], [score])
    return None


def _columns_of_result(result: Any, how: OutputRules) -> Output | None:
    """Reads predictions, or predictions and scores, that are columns; None for any other result."""
    if issubclass(type(result), tuple):
        pair = tuple.__iter__(result) if tuple.__len__(result) == 2 and how.rows != 2 else (None, None)
        prediction, score = pair
        return None if score is None else _columns(prediction, score, how)
    return _columns(result, None, how, is_given=False)


def _columns(
    prediction: object, score: object, how: OutputRules, start: int = 0, *, is_given: bool = True
) -> Output | None:
    flat, scores = attempt(one_column, prediction), attempt(one_column, score)
    found = attempt(read_share_columns, flat, scores, how, start)
    if found is None:
        found = attempt(lambda: read_columns(flat, scores, how, start, is_given=is_given))
    if found is None:
        return None
    output = Output(found.total, [], [], [], found)

    def rest(start: int) -> Output | None:
        further = _columns(prediction, score, how, start, is_given=is_given)
        if further is None and is_given:
            return _rows(*_both(prediction, score, start), how)
        return further or _batch(sequence(prediction, OUTPUT_LIMIT, start) or ([], 0), how)

    return output if start else _with_rest(output, rest)


def _pair(prediction: object, score: object, how: OutputRules) -> Output | None:
    by_column = _columns(prediction, score, how)
    if by_column is not None:
        return by_column
    prediction, score = attempt(one_column, prediction), _without_frames(attempt(one_column, score), how)
    predictions, scores = _both(prediction, score, 0)
    leading = predictions or (scores if prediction is None else None)
    if leading is not None and how.is_batch(leading[1]):
        if scores is None and score is not None:
            how.omit("score")
        given = (prediction, score)
        return _with_rest(_rows(predictions, scores, how), lambda start: _rows(*_both(*given, start), how))
    if predictions is not None and predictions[1] == 1:
        prediction = predictions[0][0]
        score = scores[0][0] if scores is not None and scores[1] == 1 else score
    single = _single(read_given(prediction, score, how), prediction, how)
    if single is not None and leading is not None and leading[1] == 1:
        single.is_list = True
    return single


def _both(prediction: object, score: object, start: int) -> tuple[Listed | None, Listed | None]:
    return sequence(prediction, OUTPUT_LIMIT, start), sequence(score, OUTPUT_LIMIT, start)


def _with_rest(output: Output | None, rest: Callable[[int], Output | None]) -> Output | None:
    if output is not None and (output.rows or 0) > output.rows_read:
        output.rest = rest
    return output


def _single(row: Row, answer: object, how: OutputRules) -> Output | None:
    if row == NOTHING and not _is_no_value(answer):
        return None
    shares = how.take_shares() if how.wants_shares else None
    return Output(None, [row[0]], [row[1]], [row[2]], shares=None if shares is None else [shares])


def _is_no_value(answer: object) -> bool:
    """Whether the model returned NaN or infinity: an output without a value, not an unrecognised one."""
    value = builtin(answer)
    return type(value) is float and not abs(value) <= LARGEST_VALUE


def _two_columns(result: Any, how: OutputRules) -> tuple[tuple[list[Any], int], tuple[list[Any], int]] | None:
    """Returns predictions and scores of a batch that came as a pair; a batch of two rows is not such a pair."""
    if tuple.__len__(result) != 2:
        return None
    first, second = (sequence(attempt(one_column, part), OUTPUT_LIMIT) for part in tuple.__iter__(result))
    if first is None or second is None or first[1] != second[1] or not how.is_batch(first[1]):
        return None
    if how.rows == 2 and not (how.task in CLASSIFICATION and _are_classes(first[0]) and not _are_classes(second[0])):
        return None
    return first, second


def _are_classes(items: list[Any]) -> bool:
    return all(type(builtin(item)) in (int, str, bool) for item in items)


def _is_pair_of_one(result: Any) -> bool:
    """Whether this is what ``predict`` and ``predict_proba`` returned for one row, side by side."""
    if not issubclass(type(result), tuple) or tuple.__len__(result) != 2:
        return False
    parts = [sequence(part, 1) for part in tuple.__iter__(result)]
    return all(part is not None and part[1] == 1 for part in parts)


def _rows(predictions: Listed | None, scores: Listed | None, how: OutputRules) -> Output | None:
    total = predictions[1] if predictions is not None else scores[1] if scores is not None else 0
    if scores is not None and scores[1] != total:
        scores = None
        how.omit("pairing")
    plain = _plain_rows(predictions, scores, total, how)
    if plain is not None:
        return plain
    nothing = [None] * len((predictions or scores or ([], 0))[0])
    pairs = zip(predictions[0] if predictions else nothing, scores[0] if scores else nothing, strict=False)
    if not how.wants_shares:
        read = [read_given(prediction, score, how) for prediction, score in pairs]
        return _to_output(read, total, predictions[0] if predictions else [])
    shared = [(read_given(prediction, score, how), how.take_shares()) for prediction, score in pairs]
    read = [row for row, _ in shared]
    return _to_output(read, total, predictions[0] if predictions else [], [shares for _, shares in shared])


def _plain_rows(predictions: Listed | None, scores: Listed | None, total: int, how: OutputRules) -> Output | None:
    """Reads many rows of whole numbers or texts as classes, or of floats as values, by column; None for all others."""
    count = len((predictions or scores or ([], 0))[0])
    if predictions is None or count < MANY:
        return None
    nothing: list[Any] = [None] * count
    if scores is not None and (
        len(scores[0]) != count
        or set(map(type, scores[0])) != {float}
        or len([score for score in scores[0] if LOWEST <= score <= HIGHEST]) != count
    ):
        return None
    shares = nothing if scores is None else scores[0]
    kinds = set(map(type, predictions[0]))
    is_class = how.task in CLASSIFICATION or (how.task == "other" and (scores is not None or kinds == {str}))
    if is_class and kinds in ({int}, {str}):
        texts = {label: class_text(label) for label in set(predictions[0])}
        names = [texts[label] for label in predictions[0]]
        if scores is not None and (how.score_of == "predicted" or how.is_label_score):
            shares = list(map(how.of_positive, names, shares))
        return Output(total, names, nothing, shares)
    is_value = how.task == "regression" and kinds == {float}
    if is_value and len([value for value in predictions[0] if abs(value) <= LARGEST_VALUE]) == count:
        return Output(total, nothing, predictions[0], shares)
    return None


def _batch(listed: Listed, how: OutputRules) -> Output | None:
    plain = _plain_rows(listed, None, listed[1], how)
    if plain is not None:
        return plain
    rows: list[Row] = []
    shares: list[Sequence[float] | None] = []
    for item in listed[0]:
        if type(item) is float or type(item) is int or type(item) is str:
            rows.append(read_value(item, how))
            continue
        named = how.find(item)
        rows.append(read_bare(item, how) if named is None else read_given(named.prediction, named.score, how))
        if how.wants_shares:
            shares += [None] * (len(rows) - len(shares) - 1)
            shares.append(how.take_shares())
    shares += [None] * (len(rows) - len(shares) if shares else 0)
    return _to_output(rows, listed[1], listed[0], shares)


def _to_output(
    rows: list[Row], total: int, answer: list[Any], shares: Sequence[Sequence[float] | None] = ()
) -> Output | None:
    if rows and all(row == NOTHING for row in rows) and not any(map(_is_no_value, answer)):
        return None
    kept = shares if any(each is not None for each in shares) else None
    return Output(total, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], shares=kept)
