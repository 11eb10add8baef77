"""Figures from counts in bins, by the formulas of the recording rules; None where a figure is not defined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from otel_ml._figures.bins import CALIBRATION_BINS, ERROR_BOUNDS, calibration_bin

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
    positives: Sequence[float], negatives: Sequence[float], score_sums: Sequence[float]
) -> float | None:
    """Returns the expected calibration error in ten bins: the mean of ``|observed - predicted|`` over all rows."""
    total = sum(positives) + sum(negatives)
    if not total:
        return None
    gaps = [0.0] * CALIBRATION_BINS
    for position, (positive, score_sum) in enumerate(zip(positives, score_sums, strict=True)):
        gaps[calibration_bin(position)] += positive - score_sum
    return sum(map(abs, gaps)) / total


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
    counts: dict[str, tuple[int, int, int]] = {}
    for name in sorted({name for pair in outcomes for name in pair}):
        hits = outcomes.get((name, name), 0)
        predicted = sum(times for (left, _), times in outcomes.items() if left == name)
        actual = sum(times for (_, right), times in outcomes.items() if right == name)
        counts[name] = (hits, predicted - hits, actual - hits)
    accuracy = correct / total if total else None
    figures = macro_figures(counts) if positive is None else _class_figures(*counts.get(positive, (0, 0, 0)))
    return {"accuracy": accuracy, **figures}


def macro_figures(counts: Mapping[str, tuple[int, int, int]]) -> dict[str, float | None]:
    """Returns the mean precision, recall and F1 of the classes that occur; one that is not defined counts as 0.

    Args:
        counts: By class how often it was predicted rightly, predicted wrongly, and missed.
    """
    found = [_class_figures(*of_class) for of_class in counts.values() if any(of_class)]
    return {name: mean(figures[name] or 0.0 for figures in found) for name in ("precision", "recall", "f1")}


def _class_figures(tp: int, fp: int, fn: int) -> dict[str, float | None]:
    return {
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None,
    }


def mean(values: Iterable[float | None]) -> float | None:
    """Returns the mean of the values that are defined; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
