"""Counts of the probabilities of classes over whole columns, and the figures from them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from otel_ml._figures.bins import BINNED_CLASSES, SCORE_BINS, SCORE_LABELS
from otel_ml._figures.calibrated_shares import calibrated_shares
from otel_ml._figures.data_sets.tally import exact_sums
from otel_ml._figures.from_counts import binned_auc, binned_average_precision, binned_calibration_error, mean

if TYPE_CHECKING:
    from otel_ml._figures.data_sets.tally import Tally
    from otel_ml._values.arrays import Array

_DEVIATIONS: Final = 3
"""Standard deviations that are more than chance."""


def add_binary(tally: Tally, scores: Array, is_positive: Array) -> None:
    """Counts the probabilities of the positive class."""
    import numpy as np

    add_class(tally, "", scores, is_positive)
    tally.add_all((scores - is_positive) ** 2, "brier_score")
    tally.add_all(_surprise(np.where(is_positive, scores, 1.0 - scores)), "log_loss")
    tally.count(len(scores), "scored")


def add_multiclass(tally: Tally, classes: Sequence[str], probabilities: Array, actual: Array) -> None:
    """Counts the probabilities of all classes, a column each; `actual` has the position of the true class."""
    import numpy as np

    brier = np.zeros(len(actual))
    for position, name in enumerate(classes):
        scores, is_actual = np.ascontiguousarray(probabilities[:, position]), actual == position
        brier += (scores - is_actual) ** 2
        if len(classes) <= BINNED_CLASSES:
            add_class(tally, name, scores, is_actual)
    tally.add_all(brier, "brier_score")
    tally.add_all(_surprise(probabilities[np.arange(len(actual)), actual]), "log_loss")
    tally.count(len(actual), "scored")


def add_multilabel(tally: Tally, classes: Sequence[str], probabilities: Array, actual: Array) -> None:
    """Counts the probabilities of all classes, a column each; `actual` says of each whether it is true."""
    import numpy as np

    brier, losses = np.zeros(len(actual)), np.zeros(len(actual))
    for position, name in enumerate(classes):
        scores, is_actual = np.ascontiguousarray(probabilities[:, position]), actual[:, position]
        brier += (scores - is_actual) ** 2
        losses += _surprise(np.where(is_actual, scores, 1.0 - scores))
        if len(classes) <= BINNED_CLASSES:
            add_class(tally, name, scores, is_actual)
    tally.add_all(brier / len(classes), "brier_score")
    tally.add_all(losses / len(classes), "log_loss")
    tally.count(len(actual), "scored")


def add_class(tally: Tally, name: str, scores: Array, is_actual: Array) -> None:
    """Counts the probabilities of one class in bins."""
    import numpy as np

    places = np.minimum((scores * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
    counts = np.bincount(is_actual * SCORE_BINS + places, minlength=2 * SCORE_BINS).tolist()
    for position, (times, total) in enumerate(zip(counts, exact_sums(scores, places, SCORE_BINS) * 2, strict=True)):
        side, place = divmod(position, SCORE_BINS)
        tally.count(times, "score_bin", name, SCORE_LABELS[place], str(side))
        if not side:
            tally.add(total, "score_sum", name, SCORE_LABELS[place])


def score_figures(tally: Tally) -> dict[str, float | None]:
    """Returns the figures of probabilities; those of several classes are means over the classes that have one."""
    rows = tally.counts["scored",]
    if not rows:
        return {}
    found: dict[str, list[float | None]] = {"auc": [], "average_precision": [], "ece": []}
    for name in sorted({key[1] for key in tally.counts if key[0] == "score_bin"}):
        positives, negatives, sums = _bins(tally, name)
        found["auc"].append(binned_auc(positives, negatives))
        found["average_precision"].append(binned_average_precision(positives, negatives))
        found["ece"].append(binned_calibration_error(positives, negatives, sums))
    return {
        **{name: mean(values) for name, values in found.items()},
        "brier_score": tally.value("brier_score") / rows,
        "log_loss": tally.value("log_loss") / rows,
    }


def score_shares(tally: Tally, name: str) -> tuple[float, ...]:
    """Returns the calibrated probability of a class in each bin; empty if its scores are good as they are."""
    return calibrated_shares(*_bins(tally, name))


def ranks_backwards(tally: Tally) -> bool:
    """Whether a single score is higher for the negative class by more than chance (Mann and Whitney 1947)."""
    positives, negatives, _ = _bins(tally, "")
    auc, pairs = binned_auc(positives, negatives), sum(positives) * sum(negatives)
    rows = sum(positives) + sum(negatives)
    return auc is not None and auc < 0.5 - _DEVIATIONS * math.sqrt((rows + 1) / (12 * pairs))


def _bins(tally: Tally, name: str) -> tuple[list[int], list[int], list[float]]:
    """Returns of each bin how often the class is true, how often it is not, and the sum of the scores."""
    negatives, positives = ([tally.counts["score_bin", name, label, side] for label in SCORE_LABELS] for side in "01")
    return positives, negatives, [tally.value("score_sum", name, label) for label in SCORE_LABELS]


def _surprise(probabilities: Array) -> Array:
    import numpy as np

    epsilon = sys.float_info.epsilon
    losses: Array = -np.log(np.clip(probabilities, epsilon, 1.0 - epsilon))
    return losses
