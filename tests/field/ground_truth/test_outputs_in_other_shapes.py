"""Predictions, scores and labels in tables of one column, sets in sparse tables, and margins instead of probabilities.

Sources: scikit-learn/scikit-learn#28935 and microsoft/ml-wrappers#55 (the classes of a multiclass CatBoost model are a column),
scikit-multilearn/scikit-multilearn#96 and scikit-learn/scikit-learn#5132 (predicted sets are sparse), probabl-ai/skore#1873 (an AUC
of margins).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import otel_ml
from otel_ml.testing import InMemoryTelemetry

CLASSES = ["a", "b", "c"]
SETS = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]])
LIKELY = np.array([[0.7, 0.2, 0.6], [0.1, 0.8, 0.1], [0.2, 0.2, 0.3]])


@pytest.fixture
def truth(telemetry: InMemoryTelemetry, tmp_path: Path) -> Iterator[otel_ml.GroundTruth]:
    made = otel_ml.GroundTruth(f"sqlite:///{tmp_path}/predictions.db")
    yield made
    made.close()


def measure(truth: otel_ml.GroundTruth, labels: Any) -> dict[str, Any]:
    truth.flush()
    assert truth.record_labels((f"p{number}", label) for number, label in enumerate(labels)) == {"matched": len(labels)}
    return truth.compute_metrics(0, 4e9, model="m")


def ids(features: pd.DataFrame) -> list[str]:
    return list(features["id"])


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"p{number}" for number in range(rows)]})


@pytest.mark.parametrize("rows", [1, 2, 3, 300])
@pytest.mark.parametrize("form", ["pair", "mapping", "record"])
def test_classes_in_a_column_keep_their_probabilities(truth: otel_ml.GroundTruth, rows: int, form: str) -> None:
    """In one row, in few and in many, returned or recorded, they are read as classes in one dimension are."""
    shares = np.tile([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], (rows // 3 + 1, 1))[:rows]
    column = np.array(["c", "b", "a"] * rows, dtype=object)[:rows, None]
    model = otel_ml.Model("m", task="multiclass", classes=CLASSES, ground_truth=truth, id=ids, batch=True)
    if form == "record":
        model.record(frame(rows), prediction=column, score=shares)
    else:
        result = (column, shares) if form == "pair" else {"prediction": column, "probability": shares}
        model.track(lambda features: result)(frame(rows))
    found = measure(truth, column)
    assert (found["count"], found["scored"], found["accuracy"]) == (rows, rows, 1.0)


def test_one_row_without_a_batch(truth: otel_ml.GroundTruth) -> None:
    """What ``predict`` and ``predict_proba`` return for one row is one prediction."""
    model = otel_ml.Model("m", task="multiclass", classes=CLASSES, ground_truth=truth, id=lambda row: row["id"])
    model.track(lambda row: (np.array([["b"]]), np.array([[0.7, 0.2, 0.1]])))({"id": "p0"})
    found = measure(truth, [np.array([["b"]])])
    assert (found["count"], found["scored"], found["accuracy"]) == (1, 1, 1.0)


def test_a_binary_column_beside_its_scores(truth: otel_ml.GroundTruth) -> None:
    """The score is a column too."""
    model = otel_ml.Model("m", task="binary", classes=[0, 1], ground_truth=truth)
    scores = np.linspace(0.0, 1.0, 100, dtype="f4")[:, None]
    model.record(frame(100), prediction=(scores > 0.5).astype(int), score=scores, id=ids(frame(100)), batch=True)
    found = measure(truth, (scores > 0.5).astype(int))
    assert (found["count"], found["accuracy"], found["auc"]) == (100, 1.0, 1.0)


@pytest.mark.parametrize("label", [np.array([2.5]), np.array([[2.5]]), np.array(2.5)], ids=repr)
def test_the_row_of_a_column_is_a_number(truth: otel_ml.GroundTruth, label: Any) -> None:
    """As iterating over the column of labels gives it."""
    otel_ml.Model("m", task="regression", ground_truth=truth).record({}, prediction=np.array([[2.0]]), id="p0")
    assert measure(truth, [label])["bias"] == -0.5


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.lil_matrix, sp.coo_array, sp.csc_array])
def test_sets_in_a_sparse_table(truth: otel_ml.GroundTruth, form: Any) -> None:
    """Predicted sets, their probabilities and their labels."""
    model = otel_ml.Model("m", task="multilabel", classes=CLASSES, ground_truth=truth)
    model.record(frame(3), prediction=form(SETS), score=form(LIKELY), id=ids(frame(3)), batch=True)
    found = measure(truth, [form(row) for row in SETS[:, None]])
    assert (found["exact_match"], found["scored"], found["auc"]) == (1.0, 3, 1.0)
    assert truth.record_label("p0", form(SETS)) == "failed"


@pytest.mark.parametrize("score", [[2.0, -1.0, 0.5], [-0.4, -1.6, -2.3], [0.4, 0.3, 0.6], [70.0, 20.0, 10.0]], ids=repr)
def test_margins_are_no_probabilities(
    truth: otel_ml.GroundTruth, telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, score: list[float]
) -> None:
    """Those of an SVM, logarithms, shares that do not add up and percentages: one line says so, and the class counts."""
    model = otel_ml.Model("m", task="multiclass", classes=CLASSES, ground_truth=truth)
    model.record({}, prediction="a", score=score, id="p0")
    found = measure(truth, ["a"])
    assert (found["accuracy"], found["scored"]) == (1.0, 0)
    assert [point["value"] for point in telemetry.metrics()["otelml.prediction.omissions"]] == [1]
    assert any("margins and logits are no probabilities" in message for message in caplog.messages)
