"""Accuracy, F1, AUC and errors from labelled predictions, equal to scikit-learn's figures and None where undefined."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from otel_ml._equality import find_pair, respell
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._records import StoredLabel
from otel_ml.ground_truth._vocabulary import are_unrelated, describe_problem, unify_spelling

NOTES: Final = "notes"
"""The key of the notes about the figures, such as why one is None; absent without notes."""


def evaluate(pairs: Iterable[tuple[LoggedPrediction, StoredLabel]]) -> dict[str, Any]:
    """Computes the figures of one set of labelled predictions; which ones depends on their task.

    Classes: ``count, labelled, accuracy, precision, recall, f1, auc, per_class`` and, of a binary task, ``positive``.
    Precision, recall and F1 are those of the positive class, or the mean over the classes when there are more
    than two. Regression: ``count, labelled, mae, rmse, r2, bias``; the bias is the mean of prediction minus truth.
    ``labelled`` has all pairs, ``count`` those with a predicted class, or with two numbers; the AUC takes every score.
    If predicted and actual classes have nothing in common, their figures are None. ``notes`` says so, and why else a
    figure is None; it is there only if there is something to say.
    """
    rows = unify_spelling(list(pairs))
    if any(prediction.task == "regression" for prediction, _ in rows):
        numbers = [(prediction.value, label.number) for prediction, label in rows]
        known = [(left, right) for left, right in numbers if left is not None and right is not None]
        return _regression(known, labelled=len(rows))
    return _classification(rows)


def _classification(rows: Sequence[tuple[LoggedPrediction, StoredLabel]]) -> dict[str, Any]:
    outcomes = Counter(
        (prediction.predicted, label.label) for prediction, label in rows if prediction.predicted is not None
    )
    predicted, actual = {left for left, _ in outcomes}, {right for _, right in outcomes}
    declared = {name for prediction, _ in rows for name in prediction.classes or ()}
    unrelated = are_unrelated(predicted, actual, declared)
    positive = _positive(rows, predicted | {label.label for _, label in rows})
    per_class = {name: _score_class(outcomes, name, undefined=unrelated) for name in sorted(predicted | actual)}
    count = outcomes.total()
    correct = sum(times for (left, right), times in outcomes.items() if left == right)
    figures: dict[str, Any] = {
        "count": count,
        "labelled": len(rows),
        "accuracy": None if unrelated else _ratio(correct, count),
        "positive": positive,
    }
    for name in ("precision", "recall", "f1"):
        if unrelated:
            figures[name] = None
        elif positive is not None:
            figures[name] = per_class[positive][name] if positive in per_class else None
        else:
            # as scikit-learn: in the mean over the classes an undefined figure is 0
            figures[name] = _ratio(math.fsum(of_class[name] or 0.0 for of_class in per_class.values()), len(per_class))
    has_scores = any(prediction.score is not None for prediction, _ in rows)
    scored = [
        (prediction.score, label.label == positive)
        for prediction, label in rows
        if prediction.score is not None and prediction.task != "multiclass"  # whose score is that of the largest class
    ]
    figures["auc"] = None if positive is None else auc(scored)
    figures["per_class"] = per_class
    notes = _notes(rows, has_scores=has_scores, positive=positive if scored else None)
    task = rows[0][0].task if rows else ""
    problem = describe_problem(predicted, actual, declared, task)
    if problem is not None:
        notes.insert(0, problem)
    return {**figures, NOTES: notes} if notes else figures


def _notes(
    rows: Sequence[tuple[LoggedPrediction, StoredLabel]], *, has_scores: bool, positive: str | None
) -> list[str]:
    """Says why there is no AUC although there are scores."""
    if not has_scores or positive is not None:
        return []
    names = {label.label for _, label in rows}
    if len(names) > 2 or any(prediction.task == "multiclass" for prediction, _ in rows):
        return ["auc is None: it is that of two classes, and of several only the score of the largest is stored"]
    return ["auc is None: the positive class is not known; declare classes=[negative, positive] of the model"]


def auc(scored: Sequence[tuple[float, bool]]) -> float | None:
    """Area under the ROC curve by ranks, ties counted half; None unless both classes are there.

    Source: Mann-Whitney U: ``(R - P (P + 1) / 2) / (P N)`` with ``R`` the rank sum of the positives.
    """
    positives = sum(is_positive for _, is_positive in scored)
    negatives = len(scored) - positives
    if not positives or not negatives:
        return None
    ordered = sorted(scored)
    rank_sum, start = 0.0, 0
    while start < len(ordered):
        end, found = start, 0
        while end < len(ordered) and ordered[end][0] == ordered[start][0]:
            found += ordered[end][1]
            end += 1
        rank_sum += found * (start + end + 1) / 2
        start = end
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def _positive(rows: Sequence[tuple[LoggedPrediction, StoredLabel]], seen: set[str]) -> str | None:
    """Returns the declared positive class, or that of a pair such as no and yes; None for a multiclass task."""
    declared = {prediction.positive for prediction, _ in rows if prediction.positive is not None}
    if len(declared) == 1:
        return declared.pop()
    if declared or any(prediction.task == "multiclass" for prediction, _ in rows):
        return None
    known = find_pair(seen)
    return known and respell(known[1], min(seen))


def _score_class(outcomes: Counter[tuple[str, str]], name: str, *, undefined: bool) -> dict[str, float | int | None]:
    hits = outcomes[name, name]
    predicted = sum(times for (left, _), times in outcomes.items() if left == name)
    actual = sum(times for (_, right), times in outcomes.items() if right == name)
    if undefined:
        return {"precision": None, "recall": None, "f1": None, "count": actual}
    return {
        "precision": _ratio(hits, predicted),
        "recall": _ratio(hits, actual),
        "f1": _ratio(2 * hits, predicted + actual),
        "count": actual,
    }


def _regression(pairs: Sequence[tuple[float, float]], *, labelled: int) -> dict[str, Any]:
    count = len(pairs)
    errors = [predicted - actual for predicted, actual in pairs]
    squares = math.fsum(error * error for error in errors)
    mean = _ratio(math.fsum(actual for _, actual in pairs), count)
    spread = 0.0 if mean is None else math.fsum((actual - mean) ** 2 for _, actual in pairs)
    squared = _ratio(squares, count)
    return {
        "count": count,
        "labelled": labelled,
        "mae": _ratio(math.fsum(map(abs, errors)), count),
        "rmse": None if squared is None else math.sqrt(squared),
        "r2": 1 - squares / spread if spread > 0 else None,
        "bias": _ratio(math.fsum(errors), count),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
