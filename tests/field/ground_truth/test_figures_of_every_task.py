"""Figures of multiclass models, of regressions and of probabilities, as people ask for them from a window of real labels.

Sources: evidentlyai/evidently#1002 and scikit-learn/scikit-learn#24636 (no AUC at all because one class has no label),
scikit-learn/scikit-learn#22930 (the AUC of each class), Lightning-AI/torchmetrics#3510 and #1646 (probabilities of exactly 1
or 0 are in a bin of their own, or an error), NannyML/nannyml#279 (one missing value makes the error of a regression NaN),
jacobgil/confidenceinterval#15 (an AUC above 1), uber/causalml#1047 (a figure that is NaN and says nothing), scikit-learn/scikit-learn#20186
(several classes that are two), mindsdb/lightwood#837 (predictions that overflow), scikit-learn/scikit-learn#17639 (NDCG above 1).
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

import otel_ml
from otel_ml.cli import main
from otel_ml.testing import InMemoryTelemetry

CLASSES = ("RENEWED", "CHURN", "FAILED")


pytestmark = pytest.mark.usefixtures("telemetry")


def measure(
    truth: otel_ml.GroundTruth, model: otel_ml.Model, results: list[dict[str, Any]], labels: list[Any]
) -> dict[str, Any]:
    """Records results and labels; returns the figures."""
    for number, result in enumerate(results):
        model.record({}, **result, id=f"p{number}")
    truth.flush()
    truth.record_labels({f"p{number}": label for number, label in enumerate(labels)})
    return truth.compute_metrics(0, 4e9, model=model.name)


def test_a_class_without_labels_does_not_take_the_auc_of_the_others(
    truth: otel_ml.GroundTruth, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean is over the classes with labels, a note names the others, and each class has its own AUC."""
    model = otel_ml.Model("churn", task="multiclass", classes=CLASSES, ground_truth=truth)
    found = measure(
        truth,
        model,
        [{"score": each} for each in ([0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.45, 0.35, 0.2], [0.4, 0.5, 0.1])],
        ["RENEWED", "CHURN", "CHURN", "RENEWED"],
    )
    assert (found["auc"], found["per_class"]["CHURN"]["auc"], found["per_class"]["FAILED"]["auc"]) == (0.75, 0.75, None)
    assert found["notes"] == ["auc is the mean over 2 of 3 classes: the labels are all or none FAILED"]
    assert main(["evaluate", "--store", store_url, "--model", "churn"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[13].split()[:6] == ["class", "precision", "recall", "f1", "auc", "average_precision"]
    assert shown.err == f"otel-ml evaluate: {found['notes'][0]}\n"


def test_probabilities_of_exactly_0_and_1_are_calibrated_like_others(truth: otel_ml.GroundTruth) -> None:
    """0.95 and 1.0 share the last bin, 0.0 is in the first, and the log loss is finite."""
    model = otel_ml.Model("sure", classes=["0", "1"], task="binary", ground_truth=truth)
    results = [{"prediction": int(share > 0.5), "score": share} for share in (0.95, 1.0, 0.0, 0.05)]
    found = measure(truth, model, results, [1, 0, 1, 0])
    assert [(each["count"], each["mean_probability"]) for each in found["calibration"]] == [(2, 0.025), (2, 0.975)]
    assert found["ece"] == pytest.approx(0.475)
    assert found["log_loss"] == pytest.approx((-2 * math.log(0.95) - 2 * math.log(2**-52)) / 4)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_missing_numbers_do_not_take_the_errors_of_the_rest(truth: otel_ml.GroundTruth) -> None:
    """A prediction that is NaN is in no figure, and a note counts it; a true 0 is a value like others."""
    model = otel_ml.Model("price", task="regression", ground_truth=truth)
    found = measure(truth, model, [{"prediction": each} for each in (10.0, math.nan, 3.0)], [8.0, 9.0, 0.0])
    assert (found["labelled"], found["count"], found["mae"], found["bias"]) == (3, 2, 2.5, 2.5)
    assert found["notes"] == ["1 of 3 labelled predictions have no number on both sides: no figure has them"]


def test_a_perfect_model_has_an_auc_of_1_and_not_more(truth: otel_ml.GroundTruth) -> None:
    """Its AUC has no interval, since no pair is in the wrong order; shares have one that ends at 1."""
    model = otel_ml.Model("perfect", classes=["0", "1"], task="binary", ground_truth=truth)
    shares = [0.1 + number / 1000 for number in range(20)] + [0.7 + number / 1000 for number in range(30)]
    results = [{"prediction": int(share > 0.5), "score": share} for share in shares]
    found = measure(truth, model, results, [0] * 20 + [1] * 30)
    assert (found["auc"], found["average_precision"], found["f1"]) == (1.0, 1.0, 1.0)
    assert "auc" not in found["intervals"]
    assert found["intervals"]["accuracy"] == [pytest.approx(0.9287, abs=1e-4), 1.0]


def test_sets_of_classes_are_measured_by_class_and_as_a_whole(truth: otel_ml.GroundTruth) -> None:
    """A multilabel model with its probabilities, and labels that are lists."""
    model = otel_ml.Model("tags", task="multilabel", classes=["a", "b"], ground_truth=truth)
    results = [
        {"prediction": ["a"], "score": [0.9, 0.2]},
        {"prediction": ["a", "b"], "score": [0.8, 0.7]},
        {"prediction": [], "score": [0.1, 0.4]},
    ]
    found = measure(truth, model, results, [["a"], ["b"], []])
    assert (found["exact_match"], found["hamming_loss"]) == (pytest.approx(2 / 3), pytest.approx(1 / 6))
    assert found["per_class"]["b"]["f1"] == 1.0
    assert (found["scored"], found["auc"]) == (3, 1.0)


def test_two_classes_of_a_multiclass_model_are_two_of_several(truth: otel_ml.GroundTruth) -> None:
    """None of them is the positive one, and a version with a third class does not take the figures."""
    old = otel_ml.Model("pets", "1", task="multiclass", classes=["cat", "dog"], ground_truth=truth)
    found = measure(
        truth, old, [{"score": each} for each in ([0.3, 0.7], [0.8, 0.2], [0.6, 0.4])], ["dog", "cat", "dog"]
    )
    assert (found["positive"], found["scored"], found["auc"], found["precision"]) == (None, 3, 1.0, 0.75)
    new = otel_ml.Model("pets", "2", task="multiclass", classes=["eel", "dog", "cat"], ground_truth=truth)
    new.record({}, score=[0.2, 0.1, 0.7], id="p0")
    truth.flush()
    found = truth.compute_metrics(0, 4e9, model="pets")
    assert (found["positive"], found["labelled"], found["scored"]) == (None, 4, 4)
    assert found["per_class"]["dog"]["precision"] == 1.0


def test_an_error_beyond_all_measure_does_not_take_the_others(
    truth: otel_ml.GroundTruth, telemetry: InMemoryTelemetry
) -> None:
    """It is in no figure, live and exact alike, and a note counts it; the squares of the largest others add up."""
    model = otel_ml.Model("price", task="regression", ground_truth=truth)
    predicted = [1e99, *(1e70 * (number % 2) for number in range(100))]
    found = measure(truth, model, [{"prediction": each} for each in predicted], [0.0] * 101)
    assert (found["count"], found["mae"], found["error_p99"]) == (100, 5e69, 1e70)
    assert found["notes"] == ["1 of 101 labelled predictions have an error beyond 1e+70: no figure has them"]
    assert all(map(math.isfinite, found["intervals"]["rmse"]))
    live = telemetry.metrics()
    assert [point["value"] for point in live["ml.eval.predictions"]] == [100]
    assert [point["value"] for point in live["ml.eval.squared_error.squares"]] == [pytest.approx(5e281)]


def test_gains_of_any_size_have_a_gain_of_1_at_most(truth: otel_ml.GroundTruth, telemetry: InMemoryTelemetry) -> None:
    """Revenue in the smallest unit is a gain as well as 0 to 3, and no sum of them is infinite."""
    model = otel_ml.Model("shop", task="ranking", ground_truth=truth)
    found = measure(truth, model, [{"prediction": ["x", "y"]}] * 2, [{"x": 1.5e308, "y": 1.5e308}, {"x": 5e-324}])
    assert (found["ndcg"], [point["value"] for point in telemetry.metrics()["ml.eval.ndcg"]]) == (1.0, [2.0])
