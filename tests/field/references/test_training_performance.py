"""Label, predicted class and probability of training data: which columns people have, and what tools make of them.

Sources: evidentlyai/evidently#1647 (with the probabilities beside the predicted labels the accuracy is wrong, precision
and recall are 0), evidentlyai/evidently#799 (one column of probabilities of the positive class is not recognised),
evidentlyai/evidently#27 (AUC and log loss differ from scikit-learn's), evidentlyai/evidently#524 (target drift fails if
there are only predictions, because labels come late), NannyML/nannyml#346 (figures of classes with text names are wrong).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from otel_ml import ReferenceProfile

RANDOM = np.random.default_rng(1647)
SCORES = RANDOM.random(3_000)
TRUTH = (RANDOM.random(3_000) < SCORES).astype(int)
PREDICTED = (SCORES > 0.671).astype(int)

SPELLED: dict[str, tuple[Any, Any, Any]] = {
    "numbers": ((0, 1), (0, 1), "p"),
    "booleans and numbers": ((False, True), (0, 1), "p"),
    "numbers and floats": ((0, 1), (0.0, 1.0), "p"),
    "numbers and texts": ((0, 1), ("0", "1"), "p"),
    "words": (("Not outcome", "outcome"), ("Not outcome", "outcome"), {"outcome": "p"}),
    "one and two": ((1, 2), (1, 2), {2: "p"}),
}


def frame_of(actual: Any, predicted: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": RANDOM.normal(size=3_000),
            "p": SCORES,
            "actual": [actual[each] for each in TRUTH],
            "predicted": [predicted[each] for each in PREDICTED],
        }
    )


@pytest.mark.parametrize("name", SPELLED)
def test_predicted_classes_and_probabilities_together(name: str) -> None:
    """Accuracy, precision and recall are those of the predicted classes, AUC and log loss those of the probabilities."""
    actual, predicted, score = SPELLED[name]
    profile = ReferenceProfile.fit(frame_of(actual, predicted), score=score, label="actual", prediction="predicted")
    assert profile.performance is not None
    figures: Mapping[str, float] = profile.performance.figures
    assert {
        key: figures[key] for key in ("accuracy", "precision", "recall", "log_loss", "brier_score")
    } == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(TRUTH, PREDICTED),
            "precision": metrics.precision_score(TRUTH, PREDICTED),
            "recall": metrics.recall_score(TRUTH, PREDICTED),
            "log_loss": metrics.log_loss(TRUTH, SCORES),
            "brier_score": metrics.brier_score_loss(TRUTH, SCORES),
        }
    )
    assert figures["auc"] == pytest.approx(metrics.roc_auc_score(TRUTH, SCORES), abs=0.001)


def test_a_probability_alone_is_enough() -> None:
    """Without a column of predicted classes, 0.5 decides; both are columns of the data and not features."""
    frame = frame_of((0, 1), (0, 1)).drop(columns="predicted")
    profile = ReferenceProfile.fit(frame, score="p", label="actual")
    assert profile.performance is not None
    assert (profile.performance.task, profile.columns) == ("binary", ("age",))
    assert profile.performance.figures["accuracy"] == metrics.accuracy_score(TRUTH, SCORES > 0.5)


def test_without_labels_the_output_is_compared_all_the_same() -> None:
    """Labels come late: a profile without one has the output, and data without one can be compared with any profile."""
    frame = frame_of((0, 1), (0, 1))
    without = ReferenceProfile.fit(frame.drop(columns="actual"), prediction="predicted")
    assert without.output is not None
    assert (without.output.categories, without.label, without.performance) == (("0", "1"), None, None)
    profile = ReferenceProfile.fit(frame, score="p", label="actual", prediction="predicted")
    found = {each.name for each in profile.compare(frame.drop(columns=["actual", "predicted"]), score="p").features}
    assert found == {"age", "__prediction__"}
