"""The words of classes: predicted and actual ones in one spelling, and whether they have anything in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from otel_ml import _guard, semconv
from otel_ml._equality import find_pair, find_spelling, respell, tells_apart
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._records import StoredLabel

COMPARED: Final = 20
"""Labels of a model after which its predicted and actual classes should have met."""
_NAMED: Final = 10
"""Classes that a text names."""
Pair = tuple[LoggedPrediction, StoredLabel]


def in_one_spelling(pairs: Sequence[Pair]) -> list[Pair]:
    """Returns labelled predictions with numbers and booleans spelled alike: as declared, or else as predicted.

    Those whose declared classes tell ``1`` and ``True`` apart stay as they are.
    """
    sets = {tuple(prediction.classes) for prediction, _ in pairs if prediction.classes}
    like = find_spelling(name for names in sets for name in names)
    like = like or find_spelling({prediction.predicted for prediction, _ in pairs if prediction.predicted is not None})
    like = like or find_spelling({label.label for _, label in pairs})
    if like is None or any(map(tells_apart, sets)):
        return list(pairs)
    names: dict[str | None, str | None] = {None: None}
    for prediction, label in pairs:
        for text in (prediction.predicted, prediction.positive, label.label):
            if text is not None and text not in names:
                names[text] = respell(text, like)
    if all(name == text for text, name in names.items()):
        return list(pairs)
    return [
        (
            prediction._replace(predicted=names[prediction.predicted], positive=names[prediction.positive]),
            label._replace(label=names[label.label] or ""),
        )
        for prediction, label in pairs
    ]


def share_nothing(predicted: Collection[str], actual: Collection[str], declared: Collection[str] | None) -> bool:
    """Whether no actual class was ever predicted, and nothing shows that both are words of one vocabulary.

    Such as the declared classes, or a pair like no and yes: a model that is always wrong has figures.
    """
    if not predicted or not actual or not set(predicted).isdisjoint(actual):
        return False
    seen = {*predicted, *actual}
    return not (declared and seen <= set(declared)) and find_pair(seen) is None


def describe_problem(
    predicted: Collection[str], actual: Collection[str], declared: Collection[str] | None, task: str
) -> str | None:
    """Says what is wrong with the words on either side, and what to do; None if nothing is."""
    if share_nothing(predicted, actual, declared):
        return (
            f"the predicted classes ({_some(predicted)}) and the labels ({_some(actual)}) have no class in common: "
            "record labels in the words of the predictions, or declare classes=... of the model if the words are right"
        )
    seen = {*predicted, *actual}
    if declared and seen <= set(declared):
        return None
    if len({name.casefold() for name in seen}) < len(seen):
        return f"some classes differ in case only ({_some(seen)}): they count as different ones"
    if task == "binary" and len(seen) > 2:
        return f"a binary model has more than two classes ({_some(seen)}): each counts by itself"
    return None


class Words:
    """The predicted and the actual classes of the first labels of a model."""

    def __init__(self) -> None:
        self.labels = 0
        self.predicted: set[str] = set()
        self.actual: set[str] = set()

    def are_done(self, prediction: LoggedPrediction, predicted: str, actual: str) -> bool:
        """Adds a label; True once enough of them were compared, after a line if there is something wrong."""
        self.labels += 1
        self.predicted.add(predicted)
        self.actual.add(actual)
        if self.labels < COMPARED:
            return False
        problem = describe_problem(self.predicted, self.actual, prediction.classes, prediction.task)
        if problem is not None:
            _guard.warn_few(
                "ground_truth.words",
                prediction.model,
                f"otel-ml: model {prediction.model!r}: {problem}; {semconv.EVAL_OUTCOMES.name} counts them as they are",
                "otel-ml: the classes of further models and of their labels do not fit together",
            )
        return True


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:_NAMED]) + ", ..." * (len(ordered) > _NAMED)
