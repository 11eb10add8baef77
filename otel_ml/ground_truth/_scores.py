"""Accuracy, F1, AUC and errors from labelled predictions, equal to scikit-learn's figures and None where undefined."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._records import StoredLabel

BOOLEAN_PAIRS: Final = (("0", "1"), ("False", "True"), ("false", "true"), ("no", "yes"))


def evaluate(pairs: Iterable[tuple[LoggedPrediction, StoredLabel]]) -> dict[str, Any]:
    """Computes the figures of one set of labelled predictions; which ones depends on their task.

    Classes: ``count, labelled, accuracy, precision, recall, f1, auc, per_class`` and, of a binary task, ``positive``.
    Precision, recall and F1 are those of the positive class, or the mean over the classes when there are more
    than two. Regression: ``count, labelled, mae, rmse, r2, bias``; the bias is the mean of prediction minus truth.
    ``labelled`` has all pairs, ``count`` those with a predicted class, or with two numbers; the AUC takes every score.
    """
    rows = list(pairs)
    if any(prediction.task == "regression" for prediction, _ in rows):
        numbers = [(prediction.value, label.number) for prediction, label in rows]
        known = [(left, right) for left, right in numbers if left is not None and right is not None]
        return _regression(known, labelled=len(rows))
    return _classification(rows)


def _classification(rows: Sequence[tuple[LoggedPrediction, StoredLabel]]) -> dict[str, Any]:
    outcomes = Counter(
        (prediction.predicted, label.label) for prediction, label in rows if prediction.predicted is not None
    )
    seen = {name for pair in outcomes for name in pair}
    positive = _positive(rows, seen | {label.label for _, label in rows})
    per_class = {name: _score_class(outcomes, name) for name in sorted(seen)}
    count = outcomes.total()
    figures: dict[str, Any] = {
        "count": count,
        "labelled": len(rows),
        "accuracy": _ratio(sum(times for (left, right), times in outcomes.items() if left == right), count),
        "positive": positive,
    }
    for name in ("precision", "recall", "f1"):
        if positive is not None:
            figures[name] = per_class[positive][name] if positive in per_class else None
        else:
            # as scikit-learn: in the mean over the classes an undefined figure is 0
            figures[name] = _ratio(math.fsum(of_class[name] or 0.0 for of_class in per_class.values()), len(per_class))
    scored = [(prediction.score, label.label == positive) for prediction, label in rows if prediction.score is not None]
    figures["auc"] = None if positive is None else auc(scored)
    figures["per_class"] = per_class
    return figures


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
    return next((pair[1] for pair in BOOLEAN_PAIRS if seen and seen <= set(pair)), None)


def _score_class(outcomes: Counter[tuple[str, str]], name: str) -> dict[str, float | int | None]:
    hits = outcomes[name, name]
    predicted = sum(times for (left, _), times in outcomes.items() if left == name)
    actual = sum(times for (_, right), times in outcomes.items() if right == name)
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
