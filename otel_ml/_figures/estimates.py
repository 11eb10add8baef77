"""Estimated performance before labels: what calibrated probabilities say of predictions, as sums that add up.

If a prediction is right with probability c, the expected number of right predictions is the sum of c, and its variance
the sum of c (1 - c). The figures and their intervals follow from these sums. They hold as long as the training labels
would still be true: a score means the same, and only the inputs change. The recording rules repeat these formulas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from otel_ml._figures.bins import SCORE_BINS
from otel_ml._figures.confusion import SLOPES
from otel_ml._figures.from_counts import binned_auc
from otel_ml._figures.intervals import NONE, Estimate, around

if TYPE_CHECKING:
    from otel_ml._values.arrays import Array

GAP_Z: Final = 3.66
"""Standard errors that some gap of a model exceeds by chance, up or down, in 1 of 1,000 windows. Four figures have a
gap."""
COVERED: Final = 0.95
"""Share of the labels that must have had an estimate. With fewer, both sides of a gap are about other predictions. The
rest can move a share by 5 points at most, which is the limit of an alarm. Counters that are a minute old need the room:
Prometheus extrapolates two equal ones by up to 3 % apart."""
_Number = TypeVar("_Number", int, float)


class _ClassSums(NamedTuple):
    """What is expected of one class."""

    predictions: float
    correct: float
    correct_variance: float
    missed: float
    missed_variance: float

    @property
    def occurs(self) -> bool:
        """Whether the class is predicted or expected at all."""
        return self.predictions + self.missed > 0

    def precision(self) -> tuple[float, float] | None:
        """Returns the precision with its standard error; None without predictions of the class."""
        if not self.predictions:
            return None
        return self.correct / self.predictions, math.sqrt(self.correct_variance) / self.predictions

    def recall(self) -> tuple[float, float] | None:
        """Returns the recall with its standard error; None if no row is expected to be of the class."""
        actual = self.correct + self.missed
        if not actual:
            return None
        return self.correct / actual, self._spread(self.missed) / actual**2

    def f1(self) -> tuple[float, float] | None:
        """Returns F1 with its standard error; None if the class does not occur."""
        both = self.predictions + self.correct + self.missed
        if not both:
            return None
        return 2 * self.correct / both, 2 * self._spread(self.predictions + self.missed) / both**2

    def _spread(self, weight: float) -> float:
        """The standard error by the delta method; right and missed ones are different predictions."""
        return math.sqrt(weight**2 * self.correct_variance + self.correct**2 * self.missed_variance)


class EstimateSums:
    """The sums of one model.

    Args:
        classes: How many classes it has.
        is_binary: Whether the last of two is the positive one, whose figures are estimated, from the bins of its score.
    """

    __slots__ = (
        "correct",
        "correct_variance",
        "is_binary",
        "missed",
        "missed_variance",
        "predictions",
        "score_counts",
        "score_sums",
    )

    def __init__(self, classes: int, *, is_binary: bool) -> None:
        self.is_binary = is_binary
        self.predictions = [0] * classes
        """Of each class: rows with this prediction."""
        self.correct = [0.0] * classes
        """How many of these are expected to be right."""
        self.correct_variance = [0.0] * classes
        self.missed = [0.0] * classes
        """How many rows with another prediction are expected to be of the class."""
        self.missed_variance = [0.0] * classes
        self.score_counts = [0] * (SCORE_BINS if is_binary else 0)
        """Rows in each bin of the score."""
        self.score_sums = [0.0] * (SCORE_BINS if is_binary else 0)
        """How many of these are expected to be positive."""

    @property
    def averaged(self) -> range:
        """The classes that precision, recall and F1 are of: the positive one, or the mean over all."""
        return range(1 if self.is_binary else 0, len(self.predictions))

    def add(self, place: int, chances: Sequence[float]) -> None:
        """Counts one prediction.

        Args:
            place: The predicted class.
            chances: How likely each class is the true one.
        """
        own = chances[place]
        self.predictions[place] += 1
        self.correct[place] += own
        self.correct_variance[place] += own * (1 - own)
        for other, chance in enumerate(chances):
            if other != place:
                self.missed[other] += chance
                self.missed_variance[other] += chance * (1 - chance)

    def add_binary(self, place: int | None, position: int, chance: float) -> None:
        """Counts one prediction of a binary model.

        Args:
            place: The predicted class, 0 or 1; None if it is not known.
            position: The bin of the score.
            chance: How likely the positive class is.
        """
        self.score_counts[position] += 1
        self.score_sums[position] += chance
        if place is None:
            return
        own, other = (chance, 1 - chance) if place else (1 - chance, chance)
        variance = chance * (1 - chance)
        self.predictions[place] += 1
        self.correct[place] += own
        self.correct_variance[place] += variance
        self.missed[1 - place] += other
        self.missed_variance[1 - place] += variance

    def add_all(self, places: Array, chances: Array) -> None:
        """Counts many predictions.

        Args:
            places: The predicted class of each row; -1 for one that is not counted.
            chances: A column for each class.
        """
        import numpy as np

        chances, places = chances[places >= 0], places[places >= 0]
        classes = len(self.predictions)
        spread = chances * (1 - chances)
        _increase(self.predictions, np.bincount(places, minlength=classes).tolist())
        for place in range(classes):
            own = places == place
            for columns, right, missed in (
                (chances, self.correct, self.missed),
                (spread, self.correct_variance, self.missed_variance),
            ):
                right[place] += float(columns[own, place].sum())
                missed[place] += float(columns[~own, place].sum())

    def add_cells(self, counts: Array, sums: Array, squares: Array) -> None:
        """Counts many predictions of a binary model, as `add_binary` does.

        Args:
            counts: Rows by bin of the score, in three rows: an unknown class, the negative one, the positive one.
            sums: The sums of the chances of the positive class.
            squares: The sums of their squares.
        """
        _increase(self.score_counts, counts.sum(axis=0).tolist())
        _increase(self.score_sums, sums.sum(axis=0).tolist())
        rows, positive, variance = counts[1:].sum(axis=1), sums[1:].sum(axis=1), (sums - squares)[1:].sum(axis=1)
        _increase(self.predictions, rows.tolist())
        _increase(self.correct, [float(rows[0] - positive[0]), float(positive[1])])
        _increase(self.correct_variance, variance.tolist())
        _increase(self.missed, [float(rows[1] - positive[1]), float(positive[0])])
        _increase(self.missed_variance, variance[::-1].tolist())

    def merge(self, other: EstimateSums) -> None:
        """Adds the sums of the same model from elsewhere."""
        for name in self._sums():
            _increase(getattr(self, name), getattr(other, name))

    def reset(self) -> None:
        """Starts at 0."""
        for name in self._sums():
            sums = getattr(self, name)
            sums[:] = [0] * len(sums)

    def _sums(self) -> Iterator[str]:
        return (name for name in self.__slots__ if name != "is_binary")

    def figures(self, training_rows: int) -> dict[str, Estimate]:
        """Returns the estimate of each figure, with the 95 % interval of the figure that labels will show.

        Args:
            training_rows: Rows that the calibration is from: it has an error of its own.
        """
        names = ("accuracy", *SLOPES, *(("auc",) if self.is_binary else ()))
        known = self.errors(training_rows)
        return {
            name: Estimate(known[name][0], around(*known[name], 0.0, 1.0)) if name in known else NONE for name in names
        }

    def errors(self, training_rows: int) -> dict[str, tuple[float, float]]:
        """Returns the estimate of each figure that is defined, with its standard error."""
        rows = sum(self.predictions)
        found = {"accuracy": (sum(self.correct) / rows, math.sqrt(sum(self.correct_variance)) / rows) if rows else None}
        found |= {name: self._mean(name) for name in SLOPES}
        found |= {"auc": self._auc()} if self.is_binary else {}
        more = math.sqrt(1 + rows / training_rows)
        return {name: (pair[0], pair[1] * more) for name, pair in found.items() if pair is not None}

    def auc_bound(self) -> float | None:
        """Returns how far the AUC of binned scores is at most from that of the scores: half of the pairs in one bin."""
        positives = self.score_sums
        negatives = [count - each for count, each in zip(self.score_counts, positives, strict=True)]
        pairs = sum(positives) * sum(negatives)
        inside = math.fsum(positive * negative for positive, negative in zip(positives, negatives, strict=True))
        return inside / 2 / pairs if pairs else None

    def _mean(self, figure: str) -> tuple[float, float] | None:
        """The mean over the classes that occur; the standard errors are added up, which is the most that it can be."""
        parts = [self._class(place) for place in self.averaged]
        occurring = [part for part in parts if part.occurs]
        known = [pair for part in occurring if (pair := getattr(part, figure)()) is not None]
        if not known:
            return None
        return tuple(math.fsum(each) / len(occurring) for each in zip(*known, strict=True))  # type: ignore[return-value]

    def _class(self, place: int) -> _ClassSums:
        names = ("predictions", "correct", "correct_variance", "missed", "missed_variance")
        return _ClassSums(*(getattr(self, name)[place] for name in names))

    def _auc(self) -> tuple[float, float] | None:
        positives = self.score_sums
        negatives = [count - each for count, each in zip(self.score_counts, positives, strict=True)]
        area = binned_auc(positives, negatives)
        error = None if area is None else delong_error(positives, negatives, area)
        return None if area is None or error is None else (area, error)


def delong_error(positives: Sequence[float], negatives: Sequence[float], area: float) -> float | None:
    """Returns the standard error of an AUC from bins, by DeLong (1988); None with less than two of either kind."""
    own, other = sum(positives), sum(negatives)
    if own <= 1 or other <= 1:
        return None
    beaten = found = 0.0
    for place, (positive, negative) in enumerate(zip(positives, negatives, strict=True)):
        beaten += positive * (math.fsum(negatives[place + 1 :]) + negative / 2) ** 2
        found += negative * (math.fsum(positives[place + 1 :]) + positive / 2) ** 2
    first = (beaten / other**2 - own * (1 - area) ** 2) / (own * (own - 1))
    second = (found / own**2 - other * area**2) / (other * (other - 1))
    return math.sqrt(max(first + second, 0.0))


def _increase(sums: list[_Number], more: Sequence[_Number]) -> None:
    for place, amount in enumerate(more):
        sums[place] += amount


def estimate_gaps(
    labelled: EstimateSums, realised: Mapping[str, float | None], training_rows: int
) -> dict[str, tuple[float, float | None]]:
    """Returns estimated minus realised figure of the same predictions, and how many standard errors that is.

    Args:
        labelled: What was expected of the labelled predictions.
        realised: What their labels say; the AUC is not compared.
        training_rows: Rows that the calibration is from.
    """
    gaps: dict[str, tuple[float, float | None]] = {}
    for name, (value, error) in labelled.errors(training_rows).items():
        actual = realised.get(name)
        if actual is not None and name != "auc":
            gaps[name] = value - actual, (value - actual) / error if error else None
    return gaps
