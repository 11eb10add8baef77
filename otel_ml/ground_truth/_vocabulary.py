"""Says how the predicted classes of a model and those of its labels do not fit together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from otel_ml import _guard, semconv
from otel_ml._figures.vocabulary import are_unrelated, list_names
from otel_ml._logged_prediction import LoggedPrediction

COMPARED: Final = 20
"""Labels of a model after which its predicted and actual classes should have met."""


def describe_problem(
    predicted: Collection[str], actual: Collection[str], declared: Collection[str] | None, task: str
) -> str | None:
    """Says how predicted and actual classes do not fit together, and what to do; None if they do."""
    if are_unrelated(predicted, actual, declared):
        return (
            f"the predicted classes ({list_names(predicted)}) and the labels ({list_names(actual)}) have no class in "
            "common: record labels as the model names its classes, or declare classes=... of the model if the names "
            "are right"
        )
    seen = {*predicted, *actual}
    if declared and seen <= set(declared):
        return None
    if len({name.casefold() for name in seen}) < len(seen):
        return f"some classes differ only in case ({list_names(seen)}): they are counted as different classes"
    if task == "binary" and len(seen) > 2:
        return f"a binary model has more than two classes ({list_names(seen)}): each is counted by itself"
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
