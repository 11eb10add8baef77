"""Figures of the probabilities of several classes, each against the rest."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from otel_ml._figures import single
from otel_ml._figures.calibration import calibrate, calibration_error
from otel_ml._figures.intervals import NONE, Estimate, mean
from otel_ml._figures.ranks import Ranking, macro_auc, macro_average_precision, rank
from otel_ml._values import few_names
from otel_ml.ground_truth.exact._groups import LabelledGroup, column
from otel_ml.ground_truth.exact._probabilities import ClassFigures

_NO_SUM: Final = "brier_score, log_loss and ece are None: some probabilities are outside 0..1, or do not sum to 1"
DeclaredClasses = Mapping[str | None, Sequence[str]]
"""Declared classes, by key."""


class Scoring(NamedTuple):
    """How the vector of a prediction is scored, by the positions of the true classes."""

    brier_score: Callable[[Sequence[float], Sequence[int]], float]
    log_loss: Callable[[Sequence[float], Sequence[int]], float]
    is_valid: Callable[[Sequence[float]], bool]


MULTICLASS: Final = Scoring(
    lambda vector, places: single.multiclass_brier_score(vector, places[0]),
    lambda vector, places: single.multiclass_log_loss(vector, places[0]),
    single.is_distribution,
)
MULTILABEL: Final = Scoring(
    single.multilabel_brier_score,
    single.multilabel_log_loss,
    lambda vector: all(map(single.is_probability, vector)),
)


def measure_vectors(
    groups: Sequence[LabelledGroup], classes: DeclaredClasses, actual: Mapping[str, Collection[str]], scoring: Scoring
) -> ClassFigures:
    """Returns the means over the classes, and the scores of the vectors.

    Args:
        groups: Predictions with probabilities.
        classes: The declared classes.
        actual: The true classes, by label.
        scoring: That of the task.
    """
    losses = _losses(groups, classes, actual, scoring)
    rankings: dict[str, Ranking] = {}
    errors: dict[str, Estimate] = {}
    for name in dict.fromkeys(name for group in groups for name in classes[group.class_key]):
        parts = [(column(group, classes[group.class_key], name), name in actual[group.label]) for group in groups]
        scores = array("d", b"".join(part.tobytes() for part, _ in parts))
        rankings[name] = rank(scores, b"".join(bytes([side]) * len(part) for part, side in parts))
        errors[name] = NONE if losses is None else Estimate(calibration_error(calibrate(parts)))
    found = list(rankings.values())
    estimates = {"auc": macro_auc(found), "average_precision": macro_average_precision(found)}
    notes = _notes(rankings)
    if losses is None:
        notes.append(_NO_SUM)
        estimates |= dict.fromkeys(("brier_score", "log_loss", "ece"), NONE)
    else:
        error = math.fsum(each.value or 0.0 for each in errors.values()) / len(errors)
        estimates |= {"brier_score": mean(losses[0], 0.0), "log_loss": mean(losses[1], 0.0), "ece": Estimate(error)}
    per_class = {
        name: {"auc": each.auc, "average_precision": each.average_precision, "ece": errors[name]}
        for name, each in rankings.items()
    }
    count = sum(len(group.probabilities) // len(classes[group.class_key]) for group in groups)
    return ClassFigures(count, estimates, per_class, notes=notes)


def _losses(
    groups: Sequence[LabelledGroup], classes: DeclaredClasses, actual: Mapping[str, Collection[str]], scoring: Scoring
) -> tuple[array[float], array[float]] | None:
    """Returns Brier score and log loss of each prediction; None if one has no valid probabilities."""
    scores, losses = array("d"), array("d")
    for group in groups:
        names = classes[group.class_key]
        places = [position for position, name in enumerate(names) if name in actual[group.label]]
        for vector in _vectors(group, len(names)):
            if not scoring.is_valid(vector):
                return None
            scores.append(scoring.brier_score(vector, places))
            losses.append(scoring.log_loss(vector, places))
    return scores, losses


def _vectors(group: LabelledGroup, width: int) -> Iterator[tuple[float, ...]]:
    return zip(*[iter(group.probabilities)] * width, strict=True)


def _notes(rankings: Mapping[str, Ranking]) -> list[str]:
    """Names the classes that no mean is over."""
    without = sorted(name for name, found in rankings.items() if found.auc.value is None)
    if not without:
        return []
    if len(without) == len(rankings):
        return ["auc is None: it takes predictions with and without the label of a class"]
    known = len(rankings) - len(without)
    return [f"auc is the mean over {known} of {len(rankings)} classes: the labels are all or none {few_names(without)}"]
