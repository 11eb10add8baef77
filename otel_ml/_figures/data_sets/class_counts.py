"""Counts of predicted and actual classes over whole columns, of tasks with one class a row, and the figures from them.

A class is its text. The predicted class is that of the prediction column, the class with the largest probability, or
what a single score says: the positive class above 0.5, else the negative one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml._figures.bins import BINNED_CLASSES
from otel_ml._figures.data_sets.outcome_columns import CountsError, read_classes
from otel_ml._figures.data_sets.score_counts import (
    add_binary,
    add_multiclass,
    ranks_backwards,
    score_figures,
    score_shares,
)
from otel_ml._figures.from_counts import confusion_figures
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._figures.single import SUM_TOLERANCE, THRESHOLD, are_probabilities
from otel_ml._figures.vocabulary import are_unrelated, find_spellings, list_names
from otel_ml._values import few_names
from otel_ml._values.equality import find_equal, find_positive, is_positive

if TYPE_CHECKING:
    from otel_ml._figures.data_sets.tally import Tally
    from otel_ml._values.arrays import Array

MOST_CLASSES: Final = 1000
"""Classes of one task."""
Outcomes = Counter[tuple[str, str]]
"""Rows by predicted and actual class."""
_OUTCOME: Final = "outcome"
_OUTCOME_OF_SCORE: Final = "outcome_of_score"
"""As if the score column held classes, which is so if no score is a fraction."""
_SIDE: Final = "side"
"""Rows by actual class, and whether the score is above the threshold."""


class ClassColumns(NamedTuple):
    """The columns of one part of the data."""

    label: Any
    prediction: Any = None
    """None if score or probabilities decide."""
    score: Any = None
    numbers: Array | None = None
    """The score as numbers."""
    probabilities: Array | None = None
    """Of more than two classes, a column each."""


def add_classes(tally: Tally, columns: ClassColumns, classes: Sequence[str], positive: str | None) -> bool:
    """Counts the rows that have all that the columns hold; False, and nothing, if there are too many classes.

    Args:
        tally: Where they are counted.
        columns: The columns.
        classes: The classes of the probabilities.
        positive: The positive class if it was declared.
    """
    import numpy as np

    names, actual = read_classes(columns.label)
    used = actual >= 0
    outputs: list[tuple[str, list[str], Array]] = []
    if columns.prediction is not None:
        outputs.append((_OUTCOME, *read_classes(columns.prediction)))
    elif columns.probabilities is not None:
        outputs.append((_OUTCOME, list(classes), likeliest(columns.probabilities)))
    elif columns.numbers is None or _is_whole(columns.numbers):
        outputs.append((_OUTCOME_OF_SCORE, *read_classes(columns.score)))
    if columns.numbers is not None:
        used = used & ~np.isnan(columns.numbers)
        outputs.append((_SIDE, ["0", "1"], (columns.numbers > THRESHOLD).astype(np.int64)))
    for _, _, places in outputs:
        used = used & (places >= 0)
    if max(len(np.unique(places[used])) for places in (actual, *(each[2] for each in outputs))) > MOST_CLASSES:
        return False
    tally.count(int(used.sum()), "rows")
    for kind, texts, places in outputs:
        _count_outcomes(tally, kind, (texts, places[used]), (names, actual[used]))
    if columns.numbers is not None:
        _count_scores(tally, columns.numbers[used], names, actual[used], positive)
    elif columns.probabilities is not None:
        _count_probabilities(tally, columns.probabilities[used], classes, names, actual[used])
    return True


def most_distinct(tally: Tally) -> int:
    """Returns how many classes were counted, predicted or actual ones, whichever are more."""
    return max(len(distinct(tally, side)) for side in (1, 2))


def distinct(tally: Tally, side: int) -> set[str]:
    """Returns the classes that were counted: predicted ones with 1, actual ones with 2."""
    return {
        key[side] for key in tally.counts if key[0] in {_OUTCOME, _OUTCOME_OF_SCORE} or (side > 1 and key[0] == _SIDE)
    }


def _is_whole(numbers: Array) -> bool:
    import numpy as np

    return bool(((numbers == np.round(numbers)) | np.isnan(numbers)).all())


def likeliest(probabilities: Array) -> Array:
    """Returns the position of the class with the largest probability; -1 for a row that lacks one."""
    import numpy as np

    found: Array = np.where(np.isnan(probabilities).any(axis=1), -1, np.argmax(np.nan_to_num(probabilities), axis=1))
    return found


def _count_outcomes(
    tally: Tally, kind: str, predicted: tuple[list[str], Array], actual: tuple[list[str], Array]
) -> None:
    import numpy as np

    cells = np.bincount(predicted[1] * max(len(actual[0]), 1) + actual[1])
    for place in np.flatnonzero(cells).tolist():
        output, name = divmod(place, len(actual[0]))
        tally.count(int(cells[place]), kind, predicted[0][output], actual[0][name])


def _count_scores(tally: Tally, scores: Array, names: list[str], actual: Array, positive: str | None) -> None:
    import numpy as np

    inside = are_probabilities(scores)
    tally.count(len(scores) - int(np.count_nonzero(inside)), "outside")
    if positive is None:
        sides = [is_positive(name, None) for name in names]
    else:
        sides = [find_equal(name, (positive,)) is not None for name in names]
    known = np.array([side is not None for side in sides], bool)[actual] & inside
    add_binary(tally, scores[known], np.array([bool(side) for side in sides], bool)[actual][known])


def _count_probabilities(
    tally: Tally, probabilities: Array, classes: Sequence[str], names: list[str], actual: Array
) -> None:
    import numpy as np

    tally.count(int(np.count_nonzero(~are_probabilities(probabilities).all(axis=1))), "outside")
    found = [find_equal(name, classes) for name in names]
    places = np.array([-1 if name is None else classes.index(name) for name in found], np.int64)[actual]
    known = (places >= 0) & (abs(probabilities.sum(axis=1) - 1.0) <= SUM_TOLERANCE)
    add_multiclass(tally, classes, probabilities[known], places[known])


class ClassResult(NamedTuple):
    """Classes of which it is known what they are."""

    outcomes: Outcomes
    positive: str | None
    """The positive class of a binary task; None for any other task."""
    is_scored: bool
    """Whether there are probabilities for the figures."""
    is_binary: bool
    """Without a positive class, if it is not known which one it is."""


def class_result(tally: Tally, task: str | None, classes: Sequence[str], *, has_fractions: bool) -> ClassResult:
    """Returns the classes that were counted; raises a CountsError if label and output do not fit together.

    Args:
        tally: What was counted.
        task: As declared.
        classes: The classes of the probabilities; of two or one the last is the positive one.
        has_fractions: Whether a score is a fraction, so that the scores are no classes.
    """
    positive = classes[-1] if classes and len(classes) <= 2 and task != "multiclass" else None
    outcomes = _read(tally, _OUTCOME)
    if not outcomes and not has_fractions and positive is None:
        outcomes = _read(tally, _OUTCOME_OF_SCORE)
    by_score = not outcomes
    outcomes = outcomes or _read(tally, _SIDE)
    predicted = set() if by_score else {name for name, _ in outcomes}
    changed = find_spellings([classes], predicted, {name for _, name in outcomes})
    spelled = {name: changed.get(name, name) for each in (classes, *outcomes) for name in each}
    actual = {spelled[name] for _, name in outcomes}
    names = actual if by_score else {*actual, *(spelled[name] for name, _ in outcomes)}
    positive = spelled.get(positive or "", positive) or find_positive(names)
    is_binary = task == "binary" or (task is None and len(names) <= 2 and len(classes) <= 2)
    if is_binary and len(names) > 2:
        raise CountsError(f"a binary task has two classes, not {list_names(names)}")
    if by_score:
        outcomes = _of_sides(outcomes, spelled, positive if is_binary else None)
    else:
        outcomes = _respelled(outcomes, spelled)
        _refuse_unrelated(outcomes, {spelled.get(name, name) for name in classes})
    is_scored = tally.counts["scored",] == outcomes.total() if is_binary else len(classes) > 2
    outside = tally.counts["outside",]
    if outside and (is_binary or len(classes) > 2):
        raise CountsError(
            f"{outside:,} of {outcomes.total():,} scores are outside 0..1: give probabilities, as of predict_proba, or "
            "task='regression'"
        )
    return ClassResult(outcomes, positive if is_binary else None, is_scored, is_binary)


def class_figures(tally: Tally, result: ClassResult) -> dict[str, float | None]:
    """Returns the figures of the classes."""
    figures = confusion_figures(result.outcomes, result.positive)
    return {**figures, **(score_figures(tally) if result.is_scored else {})}


def class_calibration(tally: Tally, result: ClassResult, classes: Sequence[str]) -> Calibration | None:
    """Returns the calibrated probabilities of the classes; None without probabilities, or with too many classes.

    Labels of one class say nothing of the others, and a score that is higher for the negative class is that of another
    class: there are none then either.

    Args:
        tally: What was counted.
        result: The classes.
        classes: The classes of the probabilities of a task with more than two.
    """
    rows = tally.counts["scored",]
    if not result.is_scored or not rows or len({actual for _, actual in result.outcomes}) < 2:
        return None
    if not result.is_binary:
        shares = tuple(score_shares(tally, name) for name in classes)
        return Calibration(rows, tuple(classes), False, shares) if len(classes) <= BINNED_CLASSES else None
    if result.positive is None or ranks_backwards(tally):
        return None
    others = sorted({name for pair in result.outcomes for name in pair} - {result.positive})
    return Calibration(rows, (others[0], result.positive), True, (score_shares(tally, ""),)) if others else None


def _read(tally: Tally, kind: str) -> Outcomes:
    return Counter({(key[1], key[2]): times for key, times in tally.counts.items() if key[0] == kind})


def _respelled(outcomes: Outcomes, spelled: dict[str, str]) -> Outcomes:
    found: Outcomes = Counter()
    for (left, right), times in outcomes.items():
        found[spelled[left], spelled[right]] += times
    return found


def _of_sides(outcomes: Outcomes, spelled: dict[str, str], positive: str | None) -> Outcomes:
    """Returns the outcomes of a single score: above the threshold the positive class is predicted."""
    actual = sorted({spelled[name] for _, name in outcomes})
    if len(actual) > 2:
        raise CountsError(
            f"one score column, and more than two classes ({few_names(actual)}): give score={{class: column, ...}} or "
            "prediction=COLUMN"
        )
    if positive is None:
        raise CountsError(
            f"which class the score is of is not known ({few_names(actual)}): give score={{positive class: column}}"
        )
    negative = next((name for name in actual if name != positive), f"not {positive}")
    found: Outcomes = Counter()
    for (side, name), times in outcomes.items():
        found[positive if side == "1" else negative, spelled[name]] += times
    return found


def _refuse_unrelated(outcomes: Outcomes, declared: Collection[str]) -> None:
    predicted, actual = {name for name, _ in outcomes}, {name for _, name in outcomes}
    if are_unrelated(predicted, actual, declared):
        raise CountsError(
            f"the predicted classes ({list_names(predicted)}) and the labels ({list_names(actual)}) have no class in "
            "common: map one of the columns to the names of the other"
        )
