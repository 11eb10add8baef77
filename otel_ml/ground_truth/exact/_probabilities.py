"""Figures of the probability of the positive class: AUC, average precision, Brier score, log loss, calibration."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from otel_ml import semconv
from otel_ml._figures import single
from otel_ml._figures.calibration import CalibrationBin, calibrate, calibration_error
from otel_ml._figures.intervals import NONE, Estimate, mean
from otel_ml._figures.ranks import rank
from otel_ml.ground_truth.exact._groups import LabelledGroup

NO_PROBABILITIES: Final = (
    "auc and the other figures of probabilities are None: they take the probability of each class, and none is stored; "
    "declare classes=... of the model and return all probabilities"
)
_NO_SCORES: Final = "auc and the other figures of scores are None: no score is stored; give the probability as score="
_OUTSIDE: Final = "brier_score, log_loss and ece are None: scores outside 0..1 are no probabilities"
_ONE_SIDE: Final = "auc is None: it needs labels of both classes, and all or none are {}"
_NO_POSITIVE: Final = (
    "auc and the other figures of scores are None: the positive class is not known; declare classes=[negative, "
    "positive] of the model"
)


class ClassFigures(NamedTuple):
    """What probabilities give."""

    scored: int = 0
    """Predictions with a probability, or with one for each class."""
    estimates: Mapping[str, Estimate] = dict.fromkeys(semconv.SCORE_FIGURES, NONE)
    per_class: Mapping[str, Mapping[str, Estimate]] = {}
    calibration: list[dict[str, float]] | None = None
    """Of the positive class."""
    notes: Sequence[str] = ()


def measure_binary(groups: Sequence[LabelledGroup], positive: str | None) -> ClassFigures:
    """Returns the figures of the probability of the positive class; any score ranks."""
    if positive is None:
        return ClassFigures(notes=_why_none(groups))
    # the score of a multiclass task is that of the largest class
    parts = [(group.scores, group.label == positive) for group in groups if group.task != "multiclass" and group.scores]
    if not parts:
        return ClassFigures(notes=[_NO_SCORES] if groups else [])
    scores = array("d", b"".join(part.tobytes() for part, _ in parts))
    ranking = rank(scores, b"".join(bytes([side]) * len(part) for part, side in parts))
    estimates = {**ClassFigures().estimates, "auc": ranking.auc, "average_precision": ranking.average_precision}
    notes = [] if ranking.auc.value is not None else [_ONE_SIDE.format(positive)]
    if not all(map(single.is_probability, scores)):
        return ClassFigures(len(scores), estimates, notes=[*notes, _OUTSIDE])
    pairs = [(score, side) for part, side in parts for score in part]
    bins = calibrate(parts)
    estimates |= {
        "brier_score": mean([single.brier_score(score, is_actual=side) for score, side in pairs], 0.0),
        "log_loss": mean([single.log_loss(score, is_actual=side) for score, side in pairs], 0.0),
        "ece": Estimate(calibration_error(bins)),
    }
    return ClassFigures(len(scores), estimates, calibration=list_bins(bins), notes=notes)


def list_bins(bins: Sequence[CalibrationBin]) -> list[dict[str, float]]:
    """Returns the bins that have predictions, as a table."""
    return [
        {
            "low": position / len(bins),
            "high": (position + 1) / len(bins),
            "count": each.size,
            "mean_probability": each.probabilities / each.size,
            "share": each.positives / each.size,
        }
        for position, each in enumerate(bins)
        if each.size
    ]


def _why_none(groups: Sequence[LabelledGroup]) -> list[str]:
    """Says why there is no AUC although there are scores."""
    if not any(group.scores for group in groups):
        return []
    names = {group.label for group in groups}
    if len(names) > 2 or any(group.task == "multiclass" for group in groups):
        return [NO_PROBABILITIES]
    return [_NO_POSITIVE]
