"""Notices a score that is read as the probability of the positive class, but is the confidence of the predicted one."""

from __future__ import annotations

from collections.abc import Iterable

from otel_ml import _guard
from otel_ml._values.equality import is_positive

PREDICTIONS = 20
"""Predictions after which the line is logged."""
_SIDES_KEPT = 8


class ScoreCheck:
    """Looks at the first predictions of a binary model whose `score_of` was not declared.

    A confidence is never below 0.5, and a negative class has one too. The probability of the positive class is below
    0.5 for the negative class, unless the threshold of the model is above it. One score below 0.5 ends the check.

    Args:
        model: The model's name.
        classes: Its two classes; None if they were not declared.
    """

    def __init__(self, model: str, classes: list[str] | None) -> None:
        self._model = model
        self._classes = classes
        self._sides: dict[str, bool | None] = {}
        """Whether each class is the positive one, of the first few: to find out costs more than all the rest."""
        self._seen = 0
        self._negatives = 0
        self.is_done = False

    def look(self, classes: Iterable[str | None], scores: Iterable[float | None]) -> None:
        """Compares classes with scores; sets `is_done` once it is known what the scores are."""
        for label, score in zip(classes, scores, strict=False):
            side = None if label is None or score is None else self._is_positive(label)
            if side is None or score is None or self.is_done:
                continue
            self._seen += 1
            self._negatives += side is False
            self.is_done = not 0.5 <= score <= 1.0 or (not side and score == 0.5)
            if self._seen >= PREDICTIONS and self._negatives and not self.is_done:
                self.is_done = True
                _guard.warn_few(
                    "prediction.score_of",
                    self._model,
                    f"otel-ml: model {self._model!r}: the negative class has scores above 0.5, and no prediction has "
                    "one below. They look like the confidence of the predicted class, but are read as the probability "
                    "of the positive class: declare score_of='predicted', or score_of='positive' if that is right",
                    "otel-ml: the scores of further models look like the confidence of the predicted class: declare "
                    "score_of=",
                )

    def _is_positive(self, label: str) -> bool | None:
        if label in self._sides:
            return self._sides[label]
        side = is_positive(label, self._classes)
        if len(self._sides) < _SIDES_KEPT:
            self._sides[label] = side
        return side
