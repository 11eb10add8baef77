"""What the labels say in detail: the classes that are confused, what a score means, and the sizes of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._figures.bins import CALIBRATION_BINS, ERROR_BOUNDS, calibration_bin
from otel_ml._figures.intervals import share
from otel_ml.console.performance._figures_so_far import error_bins

if TYPE_CHECKING:
    from otel_ml.console.performance._counts import Counts
    from otel_ml.console.performance._figures_so_far import ClassScores

_CLASSES: Final = 10
"""Classes of a confusion matrix; the others are one."""
_STEP: Final = 2
"""Bins of errors that are shown as one."""


def confusion(counts: Counts) -> dict[str, Any] | None:
    """Returns the labelled predictions by actual and predicted class, the most frequent classes; None without any."""
    outcomes = counts.sums(semconv.EVAL_OUTCOMES, semconv.EVAL_PREDICTED, semconv.EVAL_ACTUAL)
    if not outcomes:
        return None
    sizes: dict[str, float] = {}
    for pair, times in outcomes.items():
        for name in pair:
            sizes[name] = sizes.get(name, 0.0) + times
    known = sorted(sizes.keys() - {semconv.OTHER}, key=lambda name: (-sizes[name], name))[:_CLASSES]
    classes = sorted(known) + [semconv.OTHER] * (len(sizes) > len(known))
    cells = {(actual, predicted): 0.0 for actual in classes for predicted in classes}
    for (predicted, actual), times in outcomes.items():
        cells[_among(actual, known), _among(predicted, known)] += times
    return {
        "classes": classes,
        "rows": [{"actual": actual, "cells": [cells[actual, each] for each in classes]} for actual in classes],
    }


def _among(name: str, known: list[str]) -> str:
    return name if name in known else semconv.OTHER


def calibration(scores: dict[str, ClassScores]) -> dict[str, list[dict[str, Any]]]:
    """Returns of each class, by tenth of its score, the mean score and the share that the class is the true one."""
    return {name: _calibration(each) for name, each in scores.items()}


def _calibration(scores: ClassScores) -> list[dict[str, Any]]:
    sums = [[0.0, 0.0, 0.0] for _ in range(CALIBRATION_BINS)]
    for place, values in enumerate(zip(scores.positives, scores.negatives, scores.score_sums, strict=True)):
        for at, value in enumerate(values):
            sums[calibration_bin(place)][at] += value
    found = []
    for place, (positives, negatives, total) in enumerate(sums):
        size = positives + negatives
        positive = share(positives, size)
        found.append(
            {
                "from": place / CALIBRATION_BINS,
                "labels": size,
                "score": total / size if size and total else None,
                "share": positive.value,
                "interval": positive.interval,
            }
        )
    return found


def errors(counts: Counts) -> list[dict[str, Any]]:
    """Returns how many absolute errors of a regression are up to each bound, from the smallest to the largest."""
    bins = error_bins(counts)
    places = range(0, len(bins), _STEP)
    sums = [sum(bins[place : place + _STEP]) for place in places]
    bounds = [ERROR_BOUNDS[place + _STEP - 1] if place + _STEP <= len(ERROR_BOUNDS) else None for place in places]
    filled = [at for at, times in enumerate(sums) if times]
    if not filled:
        return []
    return [{"up_to": bounds[at], "labels": sums[at]} for at in range(filled[0], filled[-1] + 1)]
