"""Counts what the calibrated probabilities of a model's predictions say of its performance."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_ml._figures.bins import SCORE_BINS
from otel_ml._figures.estimates import EstimateSums
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._figures.single import HIGHEST, LOWEST, SUM_TOLERANCE, are_probabilities
from otel_ml._values.arrays import Distinct, numbers

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array

_REMEMBERED: Final = 64
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
        self._is_binary = calibration.is_binary
        self._positive = calibration.shares[0] if calibration.is_binary else ()
        self._known: dict[object, int | None] = {}
        """Positions of classes by their texts."""

    def add(self, predicted: object, score: float | None, probabilities: Sequence[float] | None = None) -> None:
        """Counts one prediction; one without a known class counts for the AUC only, one without a score not at all."""
        known = self._known
        place = known[predicted] if predicted in known else self._place(predicted)
        if not self._is_binary:
            chances = self.calibration.chances(None, probabilities)
            if place is not None and chances is not None:
                self.sums.add(place, chances)
        elif score is not None and LOWEST <= score <= HIGHEST:
            position = min(int(score * SCORE_BINS), SCORE_BINS - 1)
            chance = self._positive[position] if self._positive else min(max(score, 0.0), 1.0)
            self.sums.add_binary(place, position, chance)

    def _place(self, predicted: object) -> int | None:
        known = self.calibration.place(predicted) if type(predicted) is str else None
        if len(self._known) < _REMEMBERED:
            self._known[predicted] = known
        return known

    def add_rows(self, predicted: Any, scores: Any, probabilities: Any, rows: int) -> None:
        """Counts rows of a batch.

        Args:
            predicted: Class texts, a list or their distinct values; None if they are not known.
            scores: The scores, or None.
            probabilities: The probability of each class in each row, or None.
            rows: How many.
        """
        given = scores if self._is_binary else probabilities
        if given is None or (predicted is None and not self._is_binary):
            return
        if type(given) is list and (rows < _MANY or "numpy" not in sys.modules):
            names = [None] * rows if predicted is None else predicted
            for name, each in zip(names, given, strict=True):
                self.add(name, *((each, None) if self._is_binary else (None, each)))
        elif self._is_binary:
            self._add_scores(self._places(predicted, rows), _floats(given))
        else:
            self._add_probabilities(self._places(predicted, rows), given)

    def _add_scores(self, places: Array, scores: Array) -> None:
        import numpy as np

        known = are_probabilities(scores)
        if not known.all():
            places, scores = places[known], scores[known]
        cells, size = (places + 1) * SCORE_BINS + _bins(scores), 3 * SCORE_BINS
        counts = np.bincount(cells, minlength=size).reshape(3, SCORE_BINS)
        if self._positive:
            shares = np.array(self._positive)
            sums, squares = counts * shares, counts * shares**2
        else:
            chances = np.clip(scores, 0.0, 1.0)
            sums, squares = (np.bincount(cells, each, size).reshape(counts.shape) for each in (chances, chances**2))
        self.sums.add_cells(counts, sums, squares)

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

        if predicted is None:
            return np.full(rows, -1, np.int64)
        names = predicted.values if isinstance(predicted, Distinct) else list(dict.fromkeys(predicted))
        known = {name: self.calibration.place(name) for name in names if type(name) is str}
        if not isinstance(predicted, Distinct):
            found = (known.get(name) for name in predicted)
            return np.fromiter((-1 if place is None else place for place in found), np.int64, rows)
        # every class but the most frequent one costs a look at all rows
        by_place: dict[int, list[int]] = {}
        for position, name in enumerate(names):
            place = known.get(name)
            by_place.setdefault(-1 if place is None else place, []).append(position)
        most = max(by_place, key=lambda place: sum(predicted.counts[at] for at in by_place[place]), default=-1)
        places = np.full(rows, most, np.int64)
        for class_place, at in by_place.items():
            if class_place != most:
                places[predicted.mask(at)] = class_place
        return places


def _bins(scores: Array) -> Array:
    import numpy as np

    found: Array = np.minimum((scores * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
    return found


def _floats(scores: Any) -> Array:
    import numpy as np

    found = numbers(scores)
    return np.asarray(scores if found is None else found, np.float64)
