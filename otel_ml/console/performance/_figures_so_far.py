"""The figures of the labelled predictions, beside those of training."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml._figures.against_training import is_worse
from otel_ml._figures.bins import ERROR_LABELS, SCORE_LABELS
from otel_ml._figures.confusion import SLOPES, ClassCounts, count_classes, macro
from otel_ml._figures.estimates import delong_error
from otel_ml._figures.from_counts import (
    QUANTILES,
    binned_auc,
    binned_average_precision,
    binned_calibration_error,
    binned_error_quantile,
    mean,
)
from otel_ml._figures.intervals import NONE, Estimate, around, mean_of_sums, share

if TYPE_CHECKING:
    from otel_ml.console.performance._counts import Counts

COUNTERS: Final = (
    semconv.EVAL_OUTCOMES,
    semconv.EVAL_CLASS_OUTCOMES,
    semconv.EVAL_SCORE_BIN_COUNT,
    semconv.EVAL_SCORE_SUM,
    semconv.EVAL_PREDICTIONS,
    semconv.EVAL_ABSOLUTE_ERROR,
    semconv.EVAL_SQUARED_ERROR,
    semconv.EVAL_SQUARED_ERROR_SQUARES,
    semconv.EVAL_ERROR_BIN,
    semconv.EVAL_BRIER_SCORE,
    semconv.EVAL_BRIER_SCORE_SQUARES,
    semconv.EVAL_LOG_LOSS,
    semconv.EVAL_LOG_LOSS_SQUARES,
    semconv.EVAL_EXACT_MATCHES,
    semconv.EVAL_NDCG,
    semconv.EVAL_NDCG_SQUARES,
    semconv.EVAL_RECIPROCAL_RANK,
    semconv.EVAL_RECIPROCAL_RANK_SQUARES,
    semconv.EVAL_HITS,
)
_MEANS: Final = {
    "brier_score": (semconv.EVAL_BRIER_SCORE, semconv.EVAL_BRIER_SCORE_SQUARES, 2.0),
    "log_loss": (semconv.EVAL_LOG_LOSS, semconv.EVAL_LOG_LOSS_SQUARES, math.inf),
    "ndcg": (semconv.EVAL_NDCG, semconv.EVAL_NDCG_SQUARES, 1.0),
    "reciprocal_rank": (semconv.EVAL_RECIPROCAL_RANK, semconv.EVAL_RECIPROCAL_RANK_SQUARES, 1.0),
}
"""Figures that are means over the predictions: sum, sum of squares and the most that one can be."""
_Outcomes = dict[tuple[str, ...], float]
_SHARES: Final = {"exact_match": semconv.EVAL_EXACT_MATCHES, "hit_rate": semconv.EVAL_HITS}


class SoFar(NamedTuple):
    """The figures of one model with their labels."""

    figures: dict[str, Estimate]
    labels: float

    def rows(self, reference: dict[str, float], training_rows: float) -> list[dict[str, Any]]:
        """Returns the figures that are known, each beside that of training.

        Args:
            reference: Figures of training.
            training_rows: Rows of training that they are of; 0 if unknown.
        """
        return [
            {
                "figure": name,
                "value": found.value,
                "interval": found.interval,
                "labels": self.labels,
                "training": training,
                "is_worse": is_worse(name, found, training, self.labels, training_rows),
            }
            for name in semconv.FIGURES
            if (found := self.figures.get(name, NONE)).value is not None
            for training in [reference.get(name)]
        ]


def so_far(counts: Counts) -> SoFar:
    """Returns all figures that the labels of a model give."""
    outcomes = counts.sums(semconv.EVAL_OUTCOMES, semconv.EVAL_PREDICTED, semconv.EVAL_ACTUAL)
    rows = counts.total(semconv.EVAL_PREDICTIONS)
    scores = class_scores(counts)
    figures = {**_classes(outcomes, list(scores)), **_class_sets(counts), **_of_scores(scores), **_means(counts, rows)}
    return SoFar({**figures, **_errors(counts, rows)}, max(sum(outcomes.values()), rows))


def accuracy(counts: Counts) -> Estimate:
    """Returns the share of right predictions."""
    return _accuracy(counts.sums(semconv.EVAL_OUTCOMES, semconv.EVAL_PREDICTED, semconv.EVAL_ACTUAL))


def _accuracy(outcomes: _Outcomes) -> Estimate:
    """Returns the share of right ones; none if two of the classes that are counted together could be the same."""
    if (semconv.OTHER, semconv.OTHER) in outcomes:
        return NONE
    return share(sum(times for (left, right), times in outcomes.items() if left == right), sum(outcomes.values()))


def _classes(outcomes: _Outcomes, scored: list[str]) -> dict[str, Estimate]:
    """Returns accuracy, and precision, recall and F1 of the positive class or their mean over the classes.

    Args:
        outcomes: Labelled predictions by predicted and actual class.
        scored: The classes that have scores: of a binary model only the positive one.
    """
    names = {name for pair in outcomes for name in pair}
    sets = {(frozenset({left}), frozenset({right})): round(times) for (left, right), times in outcomes.items()}
    by_class = count_classes(sets, names)
    found = {"accuracy": _accuracy(outcomes)}
    if len(scored) == 1 and scored[0] in by_class:
        positive = by_class[scored[0]]
        return {**found, "precision": positive.precision(), "recall": positive.recall(), "f1": positive.f1()}
    # of two classes without scores it is unknown which one is positive
    is_averaged = len(scored) > 1 or (not scored and len({actual for _, actual in outcomes}) != 2)
    if is_averaged and semconv.OTHER not in names:
        found |= {name: macro(sets, by_class, name) for name in SLOPES}
    return found


def _class_sets(counts: Counts) -> dict[str, Estimate]:
    """Returns the means over the classes of a multilabel model; none if some of the classes are counted together."""
    cells = counts.sums(semconv.EVAL_CLASS_OUTCOMES, semconv.EVAL_CLASS, semconv.EVAL_OUTCOME)
    names = {name for name, _ in cells}
    if not names or semconv.OTHER in names:
        return {}

    def times(name: str, *outcomes: str) -> list[int]:
        return [round(cells.get((name, outcome), 0.0)) for outcome in outcomes]

    by_class = {name: ClassCounts(*times(name, "tp", "fp", "fn")) for name in sorted(names)}
    seen = [each for each in by_class.values() if any(each)]
    wrong = [share(each.fp + each.fn, sum(each) + sum(times(name, "tn"))) for name, each in by_class.items()]
    found = {"hamming_loss": _mean_of_classes(wrong)}
    for name in SLOPES:
        found[name] = _mean_of_classes([getattr(each, name)() for each in seen])
    return found


def _mean_of_classes(shares: list[Estimate]) -> Estimate:
    """Returns the mean, in which an undefined share counts as 0; the ends of the intervals are averaged too.

    Classes of one set depend on each other, and counts do not say how: this is the widest that the interval can be.
    """
    intervals = [each.interval for each in shares if each.interval]
    ends = tuple(zip(*intervals, strict=True)) if len(intervals) == len(shares) else ()
    low_high = (math.fsum(ends[0]) / len(shares), math.fsum(ends[1]) / len(shares)) if ends else None
    return Estimate(mean(each.value or 0.0 for each in shares), low_high)


class ClassScores(NamedTuple):
    """Labelled predictions in each bin of the probability of one class."""

    positives: list[float]
    negatives: list[float]
    score_sums: list[float]


def class_scores(counts: Counts) -> dict[str, ClassScores]:
    """Returns the scores of each class that has some."""
    cells = counts.sums(semconv.EVAL_SCORE_BIN_COUNT, semconv.EVAL_CLASS, semconv.EVAL_IS_ACTUAL, semconv.EVAL_BIN)
    sums = counts.sums(semconv.EVAL_SCORE_SUM, semconv.EVAL_CLASS, semconv.EVAL_BIN)
    return {
        name: ClassScores(
            [cells.get((name, "true", label), 0.0) for label in SCORE_LABELS],
            [cells.get((name, "false", label), 0.0) for label in SCORE_LABELS],
            [sums.get((name, label), 0.0) for label in SCORE_LABELS],
        )
        for name in sorted({key[0] for key in cells})
    }


def _of_scores(scores: dict[str, ClassScores]) -> dict[str, Estimate]:
    """Returns the figures of the scores: of the positive class, or the mean over the classes."""
    areas = [binned_auc(each.positives, each.negatives) for each in scores.values()]
    area, interval = mean(areas), None
    if area is not None and len(scores) == 1:
        (only,) = scores.values()
        error = delong_error(only.positives, only.negatives, area)
        interval = around(area, error, 0.0, 1.0) if error else None
    return {
        "auc": Estimate(area, interval),
        "average_precision": Estimate(
            mean(binned_average_precision(each.positives, each.negatives) for each in scores.values())
        ),
        "ece": Estimate(
            mean(
                binned_calibration_error([*map(round, each.positives)], [*map(round, each.negatives)], each.score_sums)
                for each in scores.values()
            )
        ),
    }


def _means(counts: Counts, rows: float) -> dict[str, Estimate]:
    found = {
        name: mean_of_sums(rows, total, counts.total(squares), 0.0, most)
        for name, (metric, squares, most) in _MEANS.items()
        if (total := counts.total(metric))
    }
    return found | {name: share(part, rows) for name, metric in _SHARES.items() if (part := counts.total(metric))}


def _errors(counts: Counts, rows: float) -> dict[str, Estimate]:
    """Returns the figures of a regression."""
    bins = error_bins(counts)
    if not rows or not any(bins):
        return {}
    sides = counts.by(semconv.EVAL_ABSOLUTE_ERROR, semconv.EVAL_DIRECTION)
    over, under = sides.get("over", 0.0), sides.get("under", 0.0)
    squares = counts.total(semconv.EVAL_SQUARED_ERROR)
    square = mean_of_sums(rows, squares, counts.total(semconv.EVAL_SQUARED_ERROR_SQUARES), 0.0)
    return {
        "mae": mean_of_sums(rows, over + under, squares, 0.0),
        "rmse": Estimate(math.sqrt(squares / rows), square.interval and _roots(*square.interval)),
        "bias": mean_of_sums(rows, over - under, squares),
        **{name: Estimate(binned_error_quantile(bins, level)) for name, level in QUANTILES.items()},
    }


def error_bins(counts: Counts) -> list[float]:
    """Returns the labels in each bin of the absolute error, of which services count those up to its bound."""
    counted = counts.by(semconv.EVAL_ERROR_BIN, semconv.EVAL_BIN)
    up_to = accumulate((counted.get(label, 0.0) for label in ERROR_LABELS), max)
    return [after - before for before, after in pairwise([0.0, *up_to])]


def _roots(low: float, high: float) -> tuple[float, float]:
    return math.sqrt(low), math.sqrt(high)
