"""The vocabulary of a model: predicted and actual classes in one spelling, and whether they fit together."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from otel_ml import _guard, semconv
from otel_ml._equality import find_pair, find_spelling, has_two_spellings, respell
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml._values import few_names

COMPARED: Final = 20
"""Labels of a model after which its predicted and actual classes should have met."""


def find_spellings(
    sets: Collection[Collection[str]], predicted: Collection[str], others: Collection[str]
) -> dict[str, str]:
    """Returns how numbers and booleans are spelled alike: as declared, or else as predicted; only those that change.

    If declared classes tell ``1`` and ``True`` apart, all stay as they are.

    Args:
        sets: The declared classes of each version.
        predicted: The predicted classes.
        others: The actual and the positive ones.
    """
    declared = {name for names in sets for name in names}
    like = find_spelling(declared) or find_spelling(predicted) or find_spelling(others)
    if like is None or any(map(has_two_spellings, sets)):
        return {}
    spelled = {name: respell(name, like) for name in (*declared, *predicted, *others)}
    return {name: other for name, other in spelled.items() if name != other}


def are_unrelated(predicted: Collection[str], actual: Collection[str], declared: Collection[str] | None) -> bool:
    """Whether no actual class was ever predicted, and nothing shows that both are of one vocabulary.

    Declared classes show it, and a pair like no and yes: a model that is always wrong has figures.
    """
    if not predicted or not actual or not set(predicted).isdisjoint(actual):
        return False
    seen = {*predicted, *actual}
    return not (declared and seen <= set(declared)) and find_pair(seen) is None


def describe_problem(
    predicted: Collection[str], actual: Collection[str], declared: Collection[str] | None, task: str
) -> str | None:
    """Says how predicted and actual classes do not fit together, and what to do; None if they do."""
    if are_unrelated(predicted, actual, declared):
        return (
            f"the predicted classes ({_listed(predicted)}) and the labels ({_listed(actual)}) have no class in common: "
            "record labels as the model names its classes, or declare classes=... of the model if the names are right"
        )
    seen = {*predicted, *actual}
    if declared and seen <= set(declared):
        return None
    if len({name.casefold() for name in seen}) < len(seen):
        return f"some classes differ only in case ({_listed(seen)}): they are counted as different classes"
    if task == "binary" and len(seen) > 2:
        return f"a binary model has more than two classes ({_listed(seen)}): each is counted by itself"
    return None


class VocabularyCheck:
    """Compares the predicted and the actual classes of the first labels of a model, and logs what is wrong once."""

    def __init__(self) -> None:
        self.is_done = False
        self._labels = 0
        self._predicted: set[str] = set()
        self._actual: set[str] = set()

    def add(self, prediction: LoggedPrediction, predicted: str, actual: str) -> None:
        """Adds the classes of one label."""
        self._labels += 1
        self._predicted.add(predicted)
        self._actual.add(actual)
        if self._labels < COMPARED:
            return
        self.is_done = True
        problem = describe_problem(self._predicted, self._actual, prediction.classes, prediction.task)
        if problem is not None:
            _guard.warn_few(
                "ground_truth.vocabulary",
                prediction.model,
                f"otel-ml: model {prediction.model!r}: {problem}; {semconv.EVAL_OUTCOMES.name} counts them as they are",
                "otel-ml: the classes of further models and of their labels do not fit together",
            )


def _listed(names: Iterable[str]) -> str:
    return few_names(sorted(names))
