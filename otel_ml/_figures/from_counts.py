"""Figures from counts in bins, by the formulas of the recording rules; None where a figure is not defined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from otel_ml._figures.bins import CALIBRATION_BINS, ERROR_BOUNDS, calibration_bin
from otel_ml._figures.calibration import CalibrationBin, calibration_error
from otel_ml._figures.confusion import SLOPES, ClassCounts, count_classes

QUANTILES: Final[Mapping[str, float]] = {"error_p50": 0.5, "error_p90": 0.9, "error_p99": 0.99}
"""The quantiles of the absolute error, by figure."""


def binned_auc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """Returns the area under the ROC curve of scores in bins: pairs within one bin count half."""
    total = sum(positives) * sum(negatives)
    if not total:
        return None
    below, found = 0.0, 0.0
    for positive, negative in zip(positives, negatives, strict=True):
        found += positive * (below + negative / 2)
        below += negative
    return found / total


def binned_average_precision(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """Returns the average precision of scores in bins: the precision at each bin, weighted by the recall it adds."""
    total = sum(positives)
    if not total:
        return None
    above, hits, found = 0.0, 0.0, 0.0
    for positive, negative in zip(reversed(positives), reversed(negatives), strict=True):
        above += positive + negative
        hits += positive
        found += positive * hits / above if positive else 0.0
    return found / total


def binned_calibration_error(
    positives: Sequence[int], negatives: Sequence[int], score_sums: Sequence[float]
) -> float | None:
    """Returns the expected calibration error of scores in bins; each bin of the error is made of five of them."""
    sizes, hits, sums = ([0.0] * CALIBRATION_BINS for _ in range(3))
    for position, (positive, negative, score_sum) in enumerate(zip(positives, negatives, score_sums, strict=True)):
        place = calibration_bin(position)
        sizes[place] += positive + negative
        hits[place] += positive
        sums[place] += score_sum
    return calibration_error(
        [CalibrationBin(int(size), total, int(hit)) for size, total, hit in zip(sizes, sums, hits, strict=True)]
    )


def binned_error_quantile(counts: Sequence[float], quantile: float) -> float | None:
    """Returns a quantile of the absolute error as Prometheus' ``histogram_quantile``: linear within its bin.

    Args:
        counts: Errors in each bin; the last one has no upper bound.
        quantile: In 0..1.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below = quantile * total, 0.0
    for position, bound in enumerate(ERROR_BOUNDS):
        count = counts[position]
        if below + count >= rank:
            start = ERROR_BOUNDS[position - 1] if position else 0.0
            return start + (bound - start) * ((rank - below) / count) if count else start
        below += count
    return ERROR_BOUNDS[-1]


def confusion_figures(outcomes: Mapping[tuple[str, str], int], positive: str | None) -> dict[str, float | None]:
    """Returns accuracy, precision, recall and F1: those of the positive class, or the mean over the classes.

    Args:
        outcomes: Rows by predicted and actual class.
        positive: The positive class of a binary task.
    """
    total = sum(outcomes.values())
    correct = sum(times for (predicted, actual), times in outcomes.items() if predicted == actual)
    names = {name for pair in outcomes for name in pair}
    sets = {(frozenset({left}), frozenset({right})): times for (left, right), times in outcomes.items()}
    counts = count_classes(sets, names)
    if positive is None:
        figures = macro_figures(counts)
    else:
        of_positive = counts.get(positive, ClassCounts(0, 0, 0))
        figures = {name: getattr(of_positive, name)().value for name in SLOPES}
    return {"accuracy": correct / total if total else None, **figures}


def macro_figures(counts: Mapping[str, ClassCounts]) -> dict[str, float | None]:
    """Returns the mean precision, recall and F1 of the classes that occur; one that is not defined counts as 0."""
    found = [of_class for of_class in counts.values() if any(of_class)]
    return {name: mean(getattr(of_class, name)().value or 0.0 for of_class in found) for name in SLOPES}


def mean(values: Iterable[float | None]) -> float | None:
    """Returns the mean of the values that are defined, the same in any order; None if none is."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
