"""Performance before labels: the estimate, what labels said of the same predictions, and both over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml._figures.against_training import is_worse
from otel_ml._figures.bins import SCORE_LABELS
from otel_ml._figures.estimates import COVERED, GAP_Z, EstimateSums, estimate_gaps
from otel_ml._figures.intervals import NONE
from otel_ml.console.performance._figures_so_far import accuracy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.console.performance._counts import Counts
    from otel_ml.console.performance._figures_so_far import SoFar

_SUMS: Final = ("predictions", "correct", "correct_variance", "missed", "missed_variance")
_ALL: Final = (
    semconv.ESTIMATE_PREDICTIONS,
    semconv.ESTIMATE_CORRECT,
    semconv.ESTIMATE_CORRECT_VARIANCE,
    semconv.ESTIMATE_MISSED,
    semconv.ESTIMATE_MISSED_VARIANCE,
)
_LABELLED: Final = (
    semconv.EVAL_ESTIMATE_PREDICTIONS,
    semconv.EVAL_ESTIMATE_CORRECT,
    semconv.EVAL_ESTIMATE_CORRECT_VARIANCE,
    semconv.EVAL_ESTIMATE_MISSED,
    semconv.EVAL_ESTIMATE_MISSED_VARIANCE,
)
COUNTERS: Final = (*_ALL, *_LABELLED, semconv.ESTIMATE_SCORE_BIN, semconv.ESTIMATE_SCORE_SUM)
OVER_TIME: Final = (
    semconv.ESTIMATE_PREDICTIONS,
    semconv.ESTIMATE_CORRECT,
    semconv.ESTIMATE_CORRECT_VARIANCE,
    semconv.EVAL_OUTCOMES,
)


def estimated(counts: Counts, found: SoFar, reference: dict[str, float], rows: float) -> list[dict[str, Any]]:
    """Returns the estimated figures of a model, each with its gap to the realised one; none without estimates.

    Args:
        counts: Of the model.
        found: Its figures according to labels.
        reference: Those of training.
        rows: Rows of training that the calibration is from.
    """
    classes = _class_order(counts)
    if not rows or not classes:
        return []
    sums, labelled = _sums(counts, _ALL, classes), _sums(counts, _LABELLED, classes)
    gaps: dict[str, tuple[float, float | None]] = {}
    if found.labels and found.labels * COVERED <= sum(labelled.predictions):
        realised = {name: figure.value for name, figure in found.figures.items()}
        gaps = estimate_gaps(labelled, realised, math.ceil(rows))
    return [
        {
            "figure": name,
            "value": figure.value,
            "interval": figure.interval,
            "predictions": sum(sums.predictions),
            "training": training,
            "is_worse": is_worse(name, figure, training),  # its interval has the noise of training
            "labelled": sum(labelled.predictions),
            "gap": gap,
            "z": z,
            "is_beyond_noise": z is not None and abs(z) > GAP_Z,
        }
        for name, figure in sums.figures(math.ceil(rows)).items()
        if figure.value is not None
        for training, (gap, z) in [(reference.get(name), gaps.get(name, (None, None)))]
    ]


def over_time(periods: Sequence[Counts], rows: float) -> list[dict[str, Any]]:
    """Returns estimated and realised accuracy in each period; labels count when they arrive."""
    found = []
    for counts in periods:
        sums = _sums(counts, _ALL, _class_order(counts))
        estimate = sums.figures(math.ceil(rows))["accuracy"] if rows else NONE
        found.append(
            {
                "predictions": sum(sums.predictions),
                "estimate": estimate.value,
                "interval": estimate.interval,
                "labels": counts.total(semconv.EVAL_OUTCOMES),
                "accuracy": accuracy(counts).value,
            }
        )
    return found


def _class_order(counts: Counts) -> list[str]:
    """Returns the classes with an estimate, the positive one of a binary model last."""
    names = {name for metric in (*_ALL, *_LABELLED) for name in counts.by(metric, semconv.PREDICTION_CLASS)}
    positives = list(counts.by(semconv.ESTIMATE_SCORE_BIN, semconv.EVAL_CLASS))
    others = sorted(names.difference(positives))
    return [*(others or [""]), *positives] if positives else others


def _sums(counts: Counts, metrics: Sequence[semconv.Metric], classes: list[str]) -> EstimateSums:
    by_bin = counts.by(semconv.ESTIMATE_SCORE_BIN, semconv.EVAL_BIN)
    sums = EstimateSums(len(classes), is_binary=bool(by_bin))
    for name, metric in zip(_SUMS, metrics, strict=True):
        by_class = counts.by(metric, semconv.PREDICTION_CLASS)
        setattr(sums, name, [by_class.get(each, 0.0) for each in classes])
    if by_bin and metrics is _ALL:
        by_sum = counts.by(semconv.ESTIMATE_SCORE_SUM, semconv.EVAL_BIN)
        sums.score_counts = [round(by_bin.get(label, 0.0)) for label in SCORE_LABELS]
        sums.score_sums = [by_sum.get(label, 0.0) for label in SCORE_LABELS]
    return sums
