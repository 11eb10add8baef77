"""What the scores of a model mean: the probability behind each score, by the labels of the training data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from otel_ml._figures.bins import SCORE_BINS, score_bin
from otel_ml._figures.single import is_distribution, is_probability
from otel_ml._values.equality import find_equal


class Calibration(NamedTuple):
    """The calibrated probabilities of a model's classes, by bin of the score."""

    rows: int
    """Training rows that they are from."""
    classes: tuple[str, ...]
    """Class texts; of a binary model the negative class and the positive one."""
    is_binary: bool
    shares: tuple[tuple[float, ...], ...]
    """For the positive class of a binary model, else for each class: its probability in each of the bins of
    `_figures.bins`; empty if the scores are probabilities as they are."""

    def of_model(self, task: str, classes: Sequence[str] | None) -> Calibration | None:
        """Returns the calibration in the classes that a model declares, and their order; None if it does not fit.

        Args:
            task: The task of the model.
            classes: The declared classes; without them only a binary model has a calibration.
        """
        if self.is_binary:
            if task not in {"binary", "other"} or (classes is not None and len(classes) != 2):
                return None
            return self if classes is None else self._replace(classes=tuple(classes))
        if task != "multiclass" or classes is None:
            return None
        places = [find_equal(name, self.classes) for name in classes]
        known = [self.classes.index(name) for name in places if name is not None]
        if sorted(known) != list(range(len(self.classes))) or len(known) != len(classes):
            return None
        return self._replace(classes=tuple(classes), shares=tuple(self.shares[place] for place in known))

    def place(self, predicted: str) -> int | None:
        """Returns the position of a predicted class among the classes; None if it is not one of them."""
        return _place(self.classes, predicted, is_binary=self.is_binary)

    def chances(self, score: float | None, probabilities: Sequence[float] | None) -> tuple[float, ...] | None:
        """Returns how likely each class is the true one; None without a score, or without a probability of each class.

        Args:
            score: The score of the positive class.
            probabilities: The probability of each class, of a model with several of them.
        """
        if self.is_binary:
            if score is None or not is_probability(score):
                return None
            chance = self.chance(0, score)
            return 1.0 - chance, chance
        if probabilities is None or len(probabilities) != len(self.classes) or not is_distribution(probabilities):
            return None
        found = [self.chance(place, each) for place, each in enumerate(probabilities)]
        total = sum(found)
        return tuple(each / total for each in found) if total else None

    def chance(self, place: int, score: float) -> float:
        """Returns the probability behind a score; of a binary model the place is 0."""
        shares = self.shares[place]
        return shares[max(score_bin(score), 0)] if shares else min(max(score, 0.0), 1.0)

    def to_text(self) -> str:
        """Returns all of it as JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def from_text(cls, text: str) -> Calibration:
        """Reads what `to_text` has written; raises a ValueError, a TypeError or a KeyError for anything else."""
        return cls.from_content(json.loads(text))

    @classmethod
    def from_content(cls, content: dict[str, object]) -> Calibration:
        """Reads values of JSON, as `_asdict` has them; raises a ValueError, a TypeError or a KeyError."""
        entry: dict[str, object] = dict(content)
        shares = tuple(tuple(float(share) for share in each) for each in entry["shares"])  # type: ignore[attr-defined]
        classes = tuple(str(name) for name in entry["classes"])  # type: ignore[attr-defined]
        if any(len(each) not in {0, SCORE_BINS} or not all(map(is_probability, each)) for each in shares):
            raise ValueError("the calibration has other bins, or shares that are not in 0..1")
        found = cls(int(entry["rows"]), classes, bool(entry["is_binary"]), shares)  # type: ignore[call-overload]
        if len(shares) != (1 if found.is_binary else len(classes)):
            raise ValueError("the calibration does not have its classes")
        return found


@lru_cache(maxsize=1024)
def _place(classes: tuple[str, ...], predicted: str, *, is_binary: bool) -> int | None:
    found = find_equal(predicted, classes[-1:] if is_binary else classes)
    if is_binary:
        return int(found is not None)
    return None if found is None else classes.index(found)
