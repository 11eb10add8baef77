"""Counts what the calibrated probabilities of a model's predictions say of its performance."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml._arrays import Distinct, numbers
from otel_ml._calibration import Calibration
from otel_ml._figures.bins import SCORE_BINS, score_bin
from otel_ml._figures.estimates import EstimateSums
from otel_ml._figures.single import SUM_TOLERANCE, are_probabilities

if TYPE_CHECKING:
    from otel_ml._arrays import Array

_MANY: Final = 64
"""From this number on, rows cost less as arrays."""


class Estimator:
    """The sums of one model; the caller holds the lock.

    Args:
        calibration: The probabilities behind its scores, in the classes of the model.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self.sums = EstimateSums(len(calibration.classes), is_binary=calibration.is_binary)

    def fresh(self) -> Estimator:
        """Returns one for the same model that starts at 0."""
        return Estimator(self.calibration)

    def add(self, predicted: object, score: float | None, probabilities: Sequence[float] | None = None) -> None:
        """Counts one prediction; one without a known class counts for the AUC only, one without a score not at all."""
        chances = self.calibration.chances(score, probabilities)
        if chances is None:
            return
        place = self.calibration.place(predicted) if type(predicted) is str else None
        if place is not None:
            self.sums.add(place, chances)
        if self.calibration.is_binary and score is not None:
            self.sums.add_score(max(score_bin(score), 0), chances[1])

    def add_rows(self, predicted: Any, scores: Any, probabilities: Any, rows: int) -> None:
        """Counts rows of a batch.

        Args:
            predicted: Class texts, a list or their distinct values; None if they are not known.
            scores: The scores, or None.
            probabilities: The probability of each class in each row, or None.
            rows: How many.
        """
        given = scores if self.calibration.is_binary else probabilities
        if given is None or (predicted is None and not self.calibration.is_binary):
            return
        names = [None] * rows if predicted is None else predicted
        if type(names) is list and (rows < _MANY or "numpy" not in sys.modules):
            for name, each in zip(names, given, strict=True):
                self.add(name, *((each, None) if self.calibration.is_binary else (None, each)))
        elif self.calibration.is_binary:
            self._add_scores(self._places(names, rows), _floats(given))
        else:
            self._add_probabilities(self._places(names, rows), given)

    def _add_scores(self, places: Array, scores: Array) -> None:
        import numpy as np

        known = are_probabilities(scores)
        places, scores = places[known], scores[known]
        bins = _bins(scores)
        positive = self._shares(0, scores, bins)
        self.sums.add_scores(bins, positive)
        self.sums.add_all(places, np.column_stack([1 - positive, positive]))

    def _add_probabilities(self, places: Array, probabilities: Any) -> None:
        import numpy as np

        if not hasattr(probabilities, "shape"):
            nothing = [np.nan] * len(self.calibration.classes)
            probabilities = [nothing if row is None else row for row in probabilities]
        matrix = np.asarray(probabilities, np.float64)
        known = are_probabilities(matrix).all(axis=1) & (abs(matrix.sum(axis=1) - 1) <= SUM_TOLERANCE)
        places, matrix = places[known], matrix[known]
        bins = _bins(matrix)
        columns = [self._shares(place, matrix[:, place], bins[:, place]) for place in range(matrix.shape[1])]
        chances = np.column_stack(columns)
        totals = chances.sum(axis=1)
        self.sums.add_all(places[totals > 0], chances[totals > 0] / totals[totals > 0, None])

    def _shares(self, place: int, scores: Array, bins: Array) -> Array:
        import numpy as np

        shares = self.calibration.shares[place]
        found: Array = np.asarray(shares)[bins] if shares else np.clip(scores, 0.0, 1.0)
        return found

    def _places(self, predicted: Any, rows: int) -> Array:
        """Returns the position of each row's class; -1 for one that is not known."""
        import numpy as np

        names = predicted.values if isinstance(predicted, Distinct) else list(dict.fromkeys(predicted))
        known = {name: self.calibration.place(name) for name in names if type(name) is str}
        if not isinstance(predicted, Distinct):
            found = (known.get(name) for name in predicted)
            return np.fromiter((-1 if place is None else place for place in found), np.int64, rows)
        places = np.full(rows, -1, np.int64)
        for class_place in {place for place in known.values() if place is not None}:
            at = [position for position, name in enumerate(names) if known.get(name) == class_place]
            places[predicted.mask(at)] = class_place
        return places


def _bins(scores: Array) -> Array:
    import numpy as np

    found: Array = np.clip((scores * SCORE_BINS).astype(np.int64), 0, SCORE_BINS - 1)
    return found


def _floats(scores: Any) -> Array:
    import numpy as np

    found = numbers(scores)
    return np.asarray(scores if found is None else found, np.float64)
