"""Exact figures against scikit-learn, on real census rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from postgresql_server import only_sqlite
from sklearn import metrics as sk
from truth_rows import log

BINARY = {"positive": "1", "task": "binary"}


def put(truth, predicted, actual, scores=None, **changes):
    """Logs and labels rows; predicted at 900, 901, ... and labelled at 1,000."""
    for position, guess in enumerate(predicted):
        score = None if scores is None else float(scores[position])
        log(truth, f"p{position}", predicted=str(guess), score=score, predicted_at=900.0 + position / 1000, **changes)
    assert truth.flush(30)
    truth.record_labels((f"p{position}", label) for position, label in enumerate(actual))


def test_binary_figures_are_those_of_scikit_learn(truth, replay):
    """Accuracy, precision, recall, F1 and AUC of 6,000 real predictions."""
    predicted, actual, scores = replay["prediction"], replay["employed"], replay["predicted_probability"]
    put(truth, predicted, actual, scores)
    found = truth.compute_metrics(0, 2000, model="fraud")
    per_class = {
        name: {key: value for key, value in of_class.items() if key != "intervals"}
        for name, of_class in found.pop("per_class").items()
    }
    matrix = sk.classification_report(actual, predicted, output_dict=True)
    expected = {
        "count": 6000,
        "labelled": 6000,
        "scored": 6000,
        "accuracy": pytest.approx(sk.accuracy_score(actual, predicted)),
        "positive": "1",
        "precision": pytest.approx(sk.precision_score(actual, predicted)),
        "recall": pytest.approx(sk.recall_score(actual, predicted)),
        "f1": pytest.approx(sk.f1_score(actual, predicted)),
        "auc": pytest.approx(sk.roc_auc_score(actual, scores), abs=1e-12),
        "average_precision": pytest.approx(sk.average_precision_score(actual, scores), abs=1e-12),
        "brier_score": pytest.approx(sk.brier_score_loss(actual, scores), abs=1e-12),
        "log_loss": pytest.approx(sk.log_loss(actual, scores), abs=1e-12),
    }
    assert {name: found[name] for name in expected} == expected
    assert set(found) == {*expected, "ece", "intervals", "calibration"}
    assert per_class == {
        name: {
            "precision": pytest.approx(matrix[name]["precision"]),
            "recall": pytest.approx(matrix[name]["recall"]),
            "f1": pytest.approx(matrix[name]["f1-score"]),
            "count": int(matrix[name]["support"]),
        }
        for name in "01"
    }


def test_live_score_bins_give_the_auc_within_their_bound(truth, emitted, replay):
    """The AUC of the 50 bins is within half the share of undecided pairs of the exact one."""
    put(truth, replay["prediction"], replay["employed"], replay["predicted_probability"])
    bins = np.zeros((2, 50))
    for key, value in emitted.metrics().items():
        if key[0] == "ml.eval.score_bin":
            bins[int(key[5] == "true"), int(key[6])] = value
    negatives, positives = bins / bins.sum(axis=1, keepdims=True)
    above = 1 - np.cumsum(positives)
    binned = float((negatives * (above + positives / 2)).sum())
    exact = truth.compute_metrics(0, 2000, model="fraud")["auc"]
    assert abs(binned - exact) <= float((negatives * positives).sum()) / 2
    assert binned == pytest.approx(exact, abs=1e-3)


@only_sqlite
def test_multiclass_figures_are_the_macro_means_of_scikit_learn(truth, replay):
    """Predicted and true marital status of neighbouring rows: five real classes, one of them never predicted."""
    actual = replay["MAR"].to_numpy()
    predicted = np.where(np.roll(actual, 1) == 2, 1, np.roll(actual, 1))
    put(truth, predicted, actual, task="multiclass", positive=None)
    found = truth.compute_metrics(0, 2000, model="fraud")
    expected = {"average": "macro", "zero_division": 0}
    assert {name: found[name] for name in ("accuracy", "precision", "recall", "f1", "auc", "positive")} == {
        "accuracy": pytest.approx(sk.accuracy_score(actual, predicted)),
        "precision": pytest.approx(sk.precision_score(actual, predicted, **expected)),
        "recall": pytest.approx(sk.recall_score(actual, predicted, **expected)),
        "f1": pytest.approx(sk.f1_score(actual, predicted, **expected)),
        "auc": None,
        "positive": None,
    }
    assert found["per_class"]["2"]["precision"] is None


def test_regression_figures_are_those_of_scikit_learn(truth, replay):
    """Errors of ages guessed from a neighbour's agree with scikit-learn."""
    actual = replay["AGEP"].to_numpy()[:500].astype(float)
    predicted = np.roll(actual, 1)
    for position, guess in enumerate(predicted):
        log(truth, f"p{position}", task="regression", predicted=None, value=float(guess), score=None, positive=None)
    truth.flush()
    truth.record_labels((f"p{position}", age) for position, age in enumerate(actual))
    found = truth.compute_metrics(0, 2000, model="fraud")
    expected = {
        "count": 500,
        "labelled": 500,
        "mae": pytest.approx(sk.mean_absolute_error(actual, predicted)),
        "rmse": pytest.approx(sk.root_mean_squared_error(actual, predicted)),
        "r2": pytest.approx(sk.r2_score(actual, predicted)),
        "bias": pytest.approx(float((predicted - actual).mean())),
    }
    assert {name: found[name] for name in expected} == expected


def test_ties_in_the_score_count_half(truth):
    """Equal scores of both classes count half."""
    put(truth, [1, 1, 0, 0], [1, 0, 1, 0], [0.5, 0.5, 0.5, 0.2])
    assert truth.compute_metrics(0, 2000, model="fraud")["auc"] == sk.roc_auc_score([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.2])


def test_undefined_figures_are_none(truth):
    """Without a predicted positive there is no precision, with one class no AUC, without labels nothing."""
    empty = truth.compute_metrics(0, 2000, model="fraud")
    put(truth, [0, 0], [0, 0], [0.1, 0.2])
    found = truth.compute_metrics(0, 2000, model="fraud")
    assert [empty[name] for name in ("count", "accuracy", "precision", "recall", "f1", "auc")] == [0, *[None] * 5]
    assert [found[name] for name in ("count", "accuracy", "precision", "recall", "f1", "auc")] == [2, 1.0, *[None] * 4]


def test_a_single_regression_has_no_r2(truth):
    """The spread of one value is undefined."""
    log(truth, "p", task="regression", predicted=None, value=2.0, score=None)
    truth.flush()
    truth.record_label("p", 3)
    found = truth.compute_metrics(0, 2000, model="fraud")
    quantiles = dict.fromkeys(("error_p50", "error_p90", "error_p99"), 1.0)
    assert found == {
        "count": 1,
        "labelled": 1,
        "mae": 1.0,
        "rmse": 1.0,
        "r2": None,
        "bias": -1.0,
        **quantiles,
        "intervals": {},
    }


def test_windows_go_by_label_or_by_prediction(truth):
    """`start <= moment < end` of either moment; coverage is the share of predictions with a label."""
    log(truth, "old", predicted_at=100.0)
    log(truth, "new", predicted_at=900.0)
    log(truth, "open", predicted_at=950.0)
    log(truth, "other version", predicted_at=950.0, version="2")
    truth.flush()
    truth.record_labels([("old", 1, 990), ("new", 0, 995), ("other version", 1, 995)])
    by_label = truth.compute_metrics(990, 995, model="fraud", version="1")
    by_prediction = truth.compute_metrics(900, 951, model="fraud", version="1", by="predicted_at")
    both = truth.compute_metrics(900, 951, model="fraud", by="predicted_at")
    assert (by_label["count"], by_label["accuracy"]) == (1, 1.0)
    assert (by_prediction["count"], by_prediction["accuracy"], by_prediction["coverage"]) == (1, 0.0, 0.5)
    assert (both["count"], both["predicted"], both["coverage"]) == (2, 3, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("window", "by", "message"),
    [
        ((0, 1), "now", "by must be"),
        ((1, 1), "labeled_at", "ends at 1 before"),
        ((math.nan, 1), "labeled_at", "moment"),
    ],
)
def test_a_wrong_window_raises(truth, window, by, message):
    """An empty window or an unknown moment is refused."""
    with pytest.raises(ValueError, match=message):
        truth.compute_metrics(*window, model="fraud", by=by)


def test_a_boolean_pair_needs_no_positive_class(truth):
    """True is the positive class if none was declared."""
    put(truth, [True, False, True], [True, True, False], positive=None, task="other")
    found = truth.compute_metrics(0, 2000, model="fraud")
    assert (found["positive"], found["recall"], found["precision"]) == ("True", 0.5, 0.5)


def test_the_auc_takes_scores_without_a_class(truth):
    """Counts and shares are those of the predictions with a class."""
    put(truth, [1, 0], [1, 0], [0.5, 0.2])
    log(truth, "unnamed", predicted=None, score=0.4)
    truth.flush()
    truth.record_label("unnamed", 1)
    found = truth.compute_metrics(0, 2000, model="fraud")
    assert {name: found[name] for name in ("count", "labelled", "accuracy", "recall", "auc")} == {
        "count": 2,
        "labelled": 3,
        "accuracy": 1.0,
        "recall": 1.0,
        "auc": 1.0,
    }
