"""Labelled predictions of every task: the counts that replicas export of them, and the figures, from the single rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import promtool
from scipy.special import expit, logit
from scipy.stats import binomtest, norm
from sklearn import metrics

from otel_ml._figures.bins import CALIBRATION_BINS, ERROR_BOUNDS, ERROR_LABELS, SCORE_BINS

Array = np.ndarray[Any, Any]
Z = 1.959964
REPLICAS = "abc"
LEVEL = 1 - 2 * norm.sf(Z)


@dataclass
class Rows:
    """Labelled predictions of one model; `counts` and `figures` are filled by the functions of each task."""

    model: str
    replica: Array
    counts: list[tuple[str, Mapping[str, str], Array]] = field(default_factory=list)
    """Counter, labels, and what each row adds."""
    expected: list[tuple[str, Mapping[str, str], float]] = field(default_factory=list)
    """Recorded series, labels and value."""
    has_reset: bool = False

    @property
    def identity(self) -> dict[str, str]:
        return {"job": "api", "ml_model_name": self.model, "ml_model_version": "1", "ml_model_role": "primary"}

    def count(self, name: str, added: Any, **labels: str) -> None:
        """Adds a counter; one that is asked for exists at 0."""
        values = np.broadcast_to(np.asarray(added, float), self.replica.shape)
        self.counts.append((f"ml_eval_{name}_total", {f"ml_eval_{key}": text for key, text in labels.items()}, values))

    def count_with_squares(self, name: str, values: Array) -> None:
        self.count(name, values)
        self.count(f"{name}_squares", values**2)

    def expect(self, record: str, value: float | None, **labels: str) -> None:
        """An expected series; None if there must be none."""
        if value is not None and not np.isnan(value):
            self.expected.append((record, labels, float(value)))

    def figure(self, name: str, value: float, low: float | None, high: float | None, labels: int) -> None:
        """An expected figure of the model with its interval and its number of labels."""
        parts = {"": value, "_low": low, "_high": high, "_labels": labels}
        for suffix, number in parts.items():
            self.expect(f"model:ml_eval_figure{suffix}", number, ml_eval_figure=name)

    def figures(self, suffix: str = "") -> dict[str, float]:
        """The expected figures of the model, or the ends of their intervals."""
        record = f"model:ml_eval_figure{suffix}"
        return {labels["ml_eval_figure"]: value for name, labels, value in self.expected if name == record}

    def mean(self, name: str, values: Array, most: float = np.inf, least: float = 0.0) -> None:
        """An expected mean with 1.96 standard errors on either side."""
        centre, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        self.figure(name, centre, max(centre - Z * error, least), min(centre + Z * error, most), len(values))

    def near(self, name: str, value: float, error: float, labels: int, most: float = np.inf) -> None:
        """An expected figure with 1.96 standard errors on either side; without an interval if nothing varies."""
        error = error or np.nan
        self.figure(name, value, max(value - Z * error, 0), min(value + Z * error, most), labels)

    def share(self, name: str, right: float, of: float, labels: int) -> None:
        """An expected share with its Wilson interval."""
        if of:
            interval = binomtest(round(right), round(of)).proportion_ci(LEVEL, "wilson")
            self.figure(name, right / of, interval.low, interval.high, labels)

    def series(self) -> Iterator[promtool.Sample]:
        """The counters of each replica."""
        for name, labels, values in self.counts:
            for number, replica in enumerate(REPLICAS):
                own = values[self.replica == number]
                half = len(own) // 2 if self.has_reset else 0
                before = float(own[:half].sum()) if self.has_reset else None
                identity = {**self.identity, **labels, "instance": replica}
                yield promtool.Sample(name, identity, float(own[half:].sum()), is_counter=True, before_reset=before)

    def wanted(self) -> Iterator[promtool.Sample]:
        for record, labels, value in self.expected:
            yield promtool.Sample("expected", {**self.identity, "record": record, **labels}, value)


def rounded(scores: Array) -> Array:
    return np.minimum((scores * SCORE_BINS).astype(int), SCORE_BINS - 1)


def delong(truth: Array, bins: Array) -> float:
    """Standard error of the AUC, pair by pair."""
    positives, negatives = bins[truth], bins[~truth]
    if len(positives) < 2 or len(negatives) < 2:
        return np.nan
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    return np.sqrt(wins.mean(1).var(ddof=1) / len(positives) + wins.mean(0).var(ddof=1) / len(negatives))


def scores_of(rows: Rows, scores: Mapping[str, tuple[Array, Array]]) -> None:
    """AUC, average precision and calibration of each class, and their means."""
    errors, areas, precisions, eces = [], [], [], []
    for name, (truth, score) in scores.items():
        bins, label = rounded(score), {"ml_eval_class": name}
        for number in range(SCORE_BINS):
            for is_actual in (True, False):
                inside = (bins == number) & (truth == is_actual)
                rows.count(
                    "score_bin", inside, **{"class": name, "is_actual": str(is_actual).lower(), "bin": f"{number:02d}"}
                )
            rows.count("score_sum", np.where(bins == number, score, 0), **{"class": name, "bin": f"{number:02d}"})
        tenths = bins * CALIBRATION_BINS // SCORE_BINS
        totals = [
            (np.sum(tenths == each), score[tenths == each].sum(), truth[tenths == each].sum()) for each in range(10)
        ]
        eces.append(sum(abs(actual - given) for _, given, actual in totals) / len(score))
        rows.expect("class:ml_eval_ece", eces[-1], **label)
        deviations = np.array([np.sqrt(max(n * (s / n) * (1 - s / n), 0)) for n, s, _ in totals if n])
        noise = np.sqrt(2 / np.pi) * deviations.sum() + 3.09 * np.sqrt((1 - 2 / np.pi) * np.sum(deviations**2))
        rows.expect("class:ml_eval_ece_noise", noise / len(score), **label)
        for number, (n, given, _) in enumerate(totals):
            if n:
                rows.expect(
                    "calibration_bin:ml_eval_mean_score", given / n, **label, calibration_bin=f"{5 * number:02d}"
                )
        if truth.any():
            precisions.append(metrics.average_precision_score(truth, bins))
            rows.expect("class:ml_eval_average_precision", precisions[-1], **label)
        if truth.any() and not truth.all():
            areas.append(metrics.roc_auc_score(truth, bins))
            errors.append(delong(truth, bins))
            rows.expect("class:ml_eval_auc", areas[-1], **label)
    if areas:
        known = [error for error in errors if not np.isnan(error)]
        rows.near("auc", np.mean(areas), np.mean(known) if known else np.nan, len(rows.replica), 1)
    rows.figure("ece", np.mean(eces), None, None, len(rows.replica))
    if precisions:
        value, ends = np.mean(precisions), (None, None)
        if len(scores) == 1 and value < 1:
            ((truth, _),) = scores.values()
            ends = expit(logit(value) + np.array([-Z, Z]) / np.sqrt(truth.sum() * value * (1 - value)))
        rows.figure("average_precision", value, *ends, len(rows.replica))


def f1_error(actual: Array, predicted: Array, classes: list[str], over: list[str]) -> float:
    """Standard error of the mean F1 over some classes: the delta method on the whole confusion matrix."""
    matrix = metrics.confusion_matrix(actual, predicted, labels=classes).T.astype(float)
    gradient = np.zeros_like(matrix)
    for name in over:
        at = classes.index(name)
        size = matrix[at].sum() + matrix[:, at].sum()
        f1 = 2 * matrix[at, at] / size
        each = np.zeros_like(matrix)
        each[at] -= f1
        each[:, at] -= f1
        each[at, at] += 2
        gradient += each / size / len(over)
    weights = matrix / matrix.sum()
    variance = np.sum(weights * gradient**2) - np.sum(weights * gradient) ** 2
    return float(np.sqrt(variance * matrix.sum()))


def outcomes(rows: Rows, actual: Array, predicted: Array, classes: list[str], positive: str | None) -> None:
    """Accuracy, precision, recall and F1, of the positive class or as a mean."""
    total = len(actual)
    for given in classes:
        for true in classes:
            rows.count("outcomes", (predicted == given) & (actual == true), predicted=given, actual=true)
    rows.share("accuracy", np.sum(actual == predicted), total, total)
    seen = [name for name in classes if name in actual or name in predicted]
    over = [positive] if positive else seen
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        actual, predicted, labels=over, zero_division=0.0
    )
    if positive:
        both = np.sum((actual == positive) & (predicted == positive))
        rows.share("precision", both, np.sum(predicted == positive), total)
        rows.share("recall", both, np.sum(actual == positive), total)
        if positive in seen:
            either = np.sum((actual == positive) | (predicted == positive))
            jaccard = binomtest(both, either).proportion_ci(LEVEL, "wilson")
            rows.figure("f1", f1[0], *(2 * end / (1 + end) for end in jaccard), total)
        return
    for name, values, given in (("precision", precision, predicted), ("recall", recall, actual)):
        sizes = np.array([np.sum(given == each) for each in over])
        variance = np.sum((values * (1 - values))[sizes > 0] / sizes[sizes > 0])
        rows.near(name, values.mean(), np.sqrt(variance) / len(over), total, 1)
    rows.near("f1", f1.mean(), f1_error(actual, predicted, classes, over), total, 1)


def probability_scores(rows: Rows, brier: Array, loss: Array) -> None:
    rows.count("predictions", 1)
    for name, values in (("brier_score", brier), ("log_loss", loss)):
        rows.count_with_squares(name, values)
        rows.mean(name, values)


def binary(rows: Rows, truth: Array, score: Array) -> Rows:
    """A binary model with the classes 0 and 1."""
    actual, predicted = truth.astype(int).astype(str), (score >= 0.5).astype(int).astype(str)
    outcomes(rows, actual, predicted, ["0", "1"], "1")
    scores_of(rows, {"1": (truth, score)})
    probability_scores(rows, (score - truth) ** 2, -np.log(np.where(truth, score, 1 - score)))
    return rows


def multiclass(rows: Rows, truth: Array, probabilities: Array, classes: list[str]) -> Rows:
    """A model of several classes; `truth` holds their positions."""
    names = np.array(classes)
    outcomes(rows, names[truth], names[probabilities.argmax(1)], classes, None)
    scores_of(rows, {name: (truth == number, probabilities[:, number]) for number, name in enumerate(classes)})
    hot = np.eye(len(classes))[truth]
    probability_scores(rows, ((probabilities - hot) ** 2).sum(1), -np.log(probabilities[hot == 1]))
    return rows


def multilabel(rows: Rows, truth: Array, probabilities: Array, classes: list[str], *, scored: bool = True) -> Rows:
    """A model of sets of classes, with probabilities or without."""
    given, total = probabilities >= 0.5, len(truth)
    for at, name in enumerate(classes):
        for outcome, inside in {
            "tp": given[:, at] & truth[:, at],
            "fp": given[:, at] & ~truth[:, at],
            "fn": ~given[:, at] & truth[:, at],
            "tn": ~given[:, at] & ~truth[:, at],
        }.items():
            rows.count("class_outcomes", inside, **{"class": name, "outcome": outcome})
    exact = (given == truth).all(1)
    rows.count("exact_matches", exact)
    rows.share("exact_match", exact.sum(), total, total)
    seen = (given | truth).any(0)
    wrong = (given != truth).mean(0)
    rows.near("hamming_loss", metrics.hamming_loss(truth, given), np.sqrt(wrong * (1 - wrong) / total).mean(), total, 1)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, given, zero_division=0.0)
    both, size = (given & truth).sum(0), given.sum(0) + truth.sum(0)
    f1_errors = np.sqrt(both * (2 - 2 * f1) ** 2 + (size - 2 * both) * f1**2)[seen] / size[seen]
    for name, values, sizes in (("precision", precision, given.sum(0)), ("recall", recall, truth.sum(0))):
        known = sizes > 0
        errors = np.sqrt(values[known] * (1 - values[known]) / sizes[known])
        rows.near(name, values[seen].mean(), errors.sum() / seen.sum(), total, 1)
    rows.near("f1", f1[seen].mean(), f1_errors.mean(), total, 1)
    if not scored:
        return rows
    scores_of(rows, {name: (truth[:, at], probabilities[:, at]) for at, name in enumerate(classes)})
    loss = -np.log(np.where(truth, probabilities, 1 - probabilities))
    probability_scores(rows, ((probabilities - truth) ** 2).mean(1), loss.mean(1))
    return rows


def value_at(errors: Array, rank: float) -> float | None:
    """The error at a rank, as a straight line through the bin that it is in."""
    bounds = np.array([*ERROR_BOUNDS, np.inf])
    cumulated = np.array([np.sum(errors <= bound) for bound in bounds])
    if not 0 < rank < len(errors):
        return None
    at = int(np.argmax(cumulated >= rank))
    if at == len(ERROR_BOUNDS):
        return ERROR_BOUNDS[-1]
    low, below = (bounds[at - 1], cumulated[at - 1]) if at else (0.0, 0)
    return float(low + (bounds[at] - low) * (rank - below) / (cumulated[at] - below))


def regression(rows: Rows, truth: Array, predicted: Array) -> Rows:
    """A model of numbers."""
    error = predicted - truth
    size, total = np.abs(error), len(error)
    rows.count("predictions", 1)
    rows.count("absolute_error", np.maximum(error, 0), direction="over")
    rows.count("absolute_error", np.maximum(-error, 0), direction="under")
    rows.count_with_squares("squared_error", error**2)
    for bound, label in zip([*ERROR_BOUNDS, np.inf], ERROR_LABELS, strict=True):
        rows.count("error_bin", size <= bound, bin=label)
    rows.mean("mae", size)
    rows.mean("bias", error, least=-np.inf)
    rmse = metrics.root_mean_squared_error(truth, predicted)
    mean_error = (error**2).std(ddof=1) / np.sqrt(total) if total > 1 else np.nan
    rows.near("rmse", rmse, mean_error / (2 * rmse) if rmse else np.nan, total)
    for name, share in (("error_p50", 0.5), ("error_p90", 0.9), ("error_p99", 0.99)):
        spread = Z * np.sqrt(total * share * (1 - share))
        low, value, high = (value_at(size, share * total + each) for each in (-spread, 0, spread))
        rows.figure(name, value, low, high, total)
    return rows


def ranking(rows: Rows, ndcg: Array, reciprocal_rank: Array) -> Rows:
    """A model of ranked items, from what each ranking scores."""
    rows.count("predictions", 1)
    for name, values in (("ndcg", ndcg), ("reciprocal_rank", reciprocal_rank)):
        rows.count_with_squares(name, values)
        rows.mean(name, values, most=1)
    rows.count("hits", reciprocal_rank > 0)
    rows.share("hit_rate", np.sum(reciprocal_rank > 0), len(ndcg), len(ndcg))
    return rows
