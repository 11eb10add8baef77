"""A class is the same however prediction and label write it; two vocabularies that do not meet give no figure.

Sources: evidentlyai/evidently PR #1603 and scikit-learn/scikit-learn#2723 (labels True and False beside predictions 1 and 0),
NannyML/nannyml#384 and mlflow/mlflow#12790 (a window with one class, string labels), mlflow/mlflow#6696 (the positive class of
labels that are not 0 and 1), pandas-dev/pandas#8596 and #9958 (ids that a merge turns to floats, and their lost precision),
scikit-learn/scikit-learn#6882 (AUC of several classes).
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from postgresql_server import only_sqlite

import otel_ml
from otel_ml.cli import main
from otel_ml.testing import InMemoryTelemetry

pytestmark = pytest.mark.usefixtures("telemetry")


def evaluate(
    truth: otel_ml.GroundTruth, predictions: Sequence[Any], labels: Sequence[Any], **keywords: Any
) -> dict[str, Any]:
    """Records and labels predictions of a model; returns the exact figures."""
    model = otel_ml.Model("m", ground_truth=truth, **keywords)
    for number, prediction in enumerate(predictions):
        model.record({}, prediction=prediction, id=str(number))
    truth.flush()
    assert truth.record_labels(enumerate(labels)) == {"matched": len(labels)}
    return truth.compute_metrics(0, 4e9, model="m")


def outcomes(telemetry: InMemoryTelemetry) -> dict[tuple[str, str], float]:
    return {
        (point["attributes"]["ml.eval.predicted"], point["attributes"]["ml.eval.actual"]): point["value"]
        for point in telemetry.metrics().get("ml.eval.outcomes", [])
        if point["value"]
    }


@pytest.mark.parametrize(
    ("predictions", "labels", "classes"),
    [
        ([0, 1], [False, True], ["0", "1"]),
        ([0, 1], [np.False_, np.True_], ["0", "1"]),
        ([0, 1], ["false", "TRUE"], ["0", "1"]),
        ([0, 1], [0.0, "1.0"], ["0", "1"]),
        ([0, 1], [b"0\n", " 1"], ["0", "1"]),
        ([False, True], [0, 1], ["False", "True"]),
        ([False, True], [Decimal("0.0"), np.float32(1)], ["False", "True"]),
        (["false", "true"], [False, True], ["false", "true"]),
        (["0.0", "1.0"], [0, 1], ["0.0", "1.0"]),
        (["no", "yes"], ["no ", "yes\r\n"], ["no", "yes"]),
    ],
    ids=repr,
)
def test_a_label_is_read_in_the_words_of_the_predictions(
    telemetry: InMemoryTelemetry, truth: otel_ml.GroundTruth, predictions: Any, labels: Any, classes: list[str]
) -> None:
    """Without declared classes too, live and in the exact figures, right and wrong predictions alike."""
    both = [*predictions, *predictions, *predictions]
    found = evaluate(truth, both, [*labels, *labels, *labels[::-1]], task="binary")

    assert (found["accuracy"], found["positive"], list(found["per_class"])) == (2 / 3, classes[1], classes)
    assert outcomes(telemetry) == {
        (classes[0], classes[0]): 2,
        (classes[1], classes[1]): 2,
        (classes[0], classes[1]): 1,
        (classes[1], classes[0]): 1,
    }


@pytest.mark.parametrize(
    ("predictions", "labels", "accuracy"),
    [
        ([1, 2, 3, 3], [1.0, "2.0", True, 3], 0.75),
        (["1.0", "2.0", "3.0"], [1, 2, 2], 2 / 3),
        ([2, 3], [2.0, "03"], 0.5),
        (["a", "b"], [" a", "b\n"], 1.0),
    ],
    ids=repr,
)
def test_several_classes_are_compared_as_numbers(
    truth: otel_ml.GroundTruth, predictions: Any, labels: Any, accuracy: float
) -> None:
    """A code with a leading zero is no number, and equals only itself."""
    assert evaluate(truth, predictions, labels, task="multiclass")["accuracy"] == accuracy


@only_sqlite
def test_what_an_earlier_version_stored_is_compared_likewise(tmp_path: Path, truth: otel_ml.GroundTruth) -> None:
    """Predictions 0, 1 and True beside labels True, False and 1.0 in one store: one vocabulary in the figures."""
    evaluate(truth, [0, 1, 1, 0], [0, 1, 1, 0], task="binary")
    with closing(sqlite3.connect(tmp_path / "predictions.db")) as connection, connection:
        for name, predicted, label in (("0", "0", "False"), ("1", "1", "1.0"), ("2", "True", "1"), ("3", "0", "true")):
            connection.execute("UPDATE otel_ml_predictions SET predicted = ? WHERE id = ?", (predicted, name))
            connection.execute("UPDATE otel_ml_labels SET label = ? WHERE id = ?", (label, name))
    found = truth.compute_metrics(0, 4e9, model="m")

    assert (found["accuracy"], found["positive"], list(found["per_class"])) == (0.75, "1", ["0", "1"])
    assert truth.record_label("1", True) == "duplicate"


def test_versions_that_write_their_classes_differently_are_one_vocabulary(truth: otel_ml.GroundTruth) -> None:
    """A retrained model predicts booleans where its predecessor predicted 0 and 1."""
    for version, classes in (("1", [0, 1]), ("2", [False, True])):
        model = otel_ml.Model("m", version, task="binary", classes=classes, ground_truth=truth)
        for number, name in enumerate(classes):
            model.record({}, prediction=name, score=float(number), id=f"{version}-{number}")
    truth.flush()
    truth.record_labels({f"{version}-{number}": number for version in "12" for number in (0, 1)})
    found = truth.compute_metrics(0, 4e9, model="m")

    assert (found["accuracy"], found["f1"], found["auc"], found["positive"]) == (1.0, 1.0, 1.0, "1")


def test_declared_classes_that_tell_spellings_apart_stay_apart(truth: otel_ml.GroundTruth) -> None:
    """If 1 and True are two classes, they are two in the figures."""
    found = evaluate(truth, ["1", "True"], ["True", "True"], task="multiclass", classes=["1", "True"])
    assert (found["accuracy"], list(found["per_class"])) == (0.5, ["1", "True"])


@pytest.mark.parametrize(
    ("predictions", "labels"),
    [
        ([0, 1], ["negative", "positive"]),
        (["cat", "dog"], ["Cat", "Dog"]),
        (["LABEL_0", "LABEL_1"], [0, 1]),
        ([1, 2], [10, 20]),
        ([True, False], ["Y", "N"]),
    ],
    ids=repr,
)
def test_vocabularies_that_do_not_meet_have_no_figures(
    telemetry: InMemoryTelemetry,
    truth: otel_ml.GroundTruth,
    caplog: pytest.LogCaptureFixture,
    predictions: Any,
    labels: Any,
) -> None:
    """None instead of a confident 0, a note that names both, and one line as soon as 20 labels have come."""
    found = evaluate(truth, predictions * 10, labels * 10, task="multiclass")

    assert [found[name] for name in ("count", "accuracy", "precision", "recall", "f1")] == [20, None, None, None, None]
    assert {figure for of_class in found["per_class"].values() for figure in list(of_class.values())[:3]} == {None}
    words = [", ".join(sorted(map(str, names))) for names in (predictions, labels)]
    start = f"the predicted classes ({words[0]}) and the labels ({words[1]}) have no class in common"
    assert [note.partition(":")[0] for note in found["notes"]] == [start]
    live = [record.message for record in caplog.records if "counts them as they are" in record.message]
    assert [line.startswith(f"otel-ml: model 'm': {start}") for line in live] == [True]


@pytest.mark.parametrize(
    ("predictions", "labels", "start"),
    [
        (["yes", "no"], ["Yes", "no"], "some classes differ only in case (Yes, no, yes)"),
        ([0, 1], [-1, 1], "a binary model has more than two classes (-1, 0, 1)"),
    ],
    ids=repr,
)
def test_vocabularies_that_meet_in_part_are_said(
    truth: otel_ml.GroundTruth, caplog: pytest.LogCaptureFixture, predictions: Any, labels: Any, start: str
) -> None:
    """The figures are those of the words as they are; a note and a line say that this is hardly meant."""
    found = evaluate(truth, predictions * 10, labels * 10, task="binary")
    assert (found["accuracy"], found["notes"][0].partition(":")[0]) == (0.5, start)
    assert [message.partition("'m': ")[2].partition(":")[0] for message in caplog.messages] == [start]


@pytest.mark.parametrize(
    ("predictions", "labels", "keywords"),
    [
        ([0], [1], {}),
        ([True], ["0"], {}),
        (["no"], ["yes"], {}),
        (["legit"], ["fraud"], {"classes": ["legit", "fraud"]}),
        ([3, 4], [5, 5], {"classes": [3, 4, 5]}),
    ],
    ids=repr,
)
def test_a_model_that_is_always_wrong_has_figures(
    truth: otel_ml.GroundTruth,
    caplog: pytest.LogCaptureFixture,
    predictions: Any,
    labels: Any,
    keywords: dict[str, Any],
) -> None:
    """Declared classes and pairs such as no and yes are one vocabulary: the accuracy is 0, without a line."""
    found = evaluate(truth, predictions * 30, labels * 30, task="multiclass", **keywords)
    assert (found["accuracy"], "common" in str(found.get("notes")), caplog.messages) == (0.0, False, [])


@pytest.mark.parametrize("merged", [123.0, np.float64(123), Decimal(123), np.int64(123), "123"], ids=repr)
def test_an_id_that_a_merge_made_a_float_is_found(truth: otel_ml.GroundTruth, merged: Any) -> None:
    """Predictions under "123" and labels under 123.0, and the other way round."""
    model = otel_ml.Model("m", task="binary", ground_truth=truth)
    model.record({}, prediction=1, id="123")
    truth.flush()
    assert truth.record_labels(pd.DataFrame({"id": pd.Series([merged], dtype=object), "label": [1]})) == {"matched": 1}
    assert truth.record_label(merged, 1) == "duplicate"
    assert otel_ml.Model("other").record({}, prediction=1, id=merged).id == "123"


def test_ids_that_are_none_are_refused(truth: otel_ml.GroundTruth) -> None:
    """NaN in a merged column is no id, a boolean neither; a float too large to be exact is not taken for another id."""
    assert truth.record_labels([(float("nan"), 1), (None, 1), (pd.NA, 1), (True, 1)]) == {"failed": 4}
    assert truth.record_labels([(1.5, 1), (2.0**60, 1), (uuid.UUID(int=7), 1)]) == {"waiting": 3}
    otel_ml.Model("m", ground_truth=truth).record({}, prediction=1, id=2**60)
    truth.flush()
    assert truth.account().waiting == 3


@pytest.mark.parametrize("blank", ["", "  ", "\n"], ids=repr)
def test_a_blank_label_is_none(truth: otel_ml.GroundTruth, blank: str) -> None:
    """An empty cell of a CSV file is refused, not counted as a class."""
    assert truth.record_label("a", blank) == "failed"
    assert truth.account().failed == {"unreadable": 1}


@pytest.mark.parametrize(("name", "positive"), [("0", "1"), ("True", "True"), ("yes", "yes"), ("spam", None)])
def test_a_window_with_one_class_has_its_accuracy(truth: otel_ml.GroundTruth, name: str, positive: str | None) -> None:
    """All of it is right; the positive class is that of the pair, if there is one."""
    found = evaluate(truth, [name] * 5, [name] * 5, task="binary")
    assert (found["accuracy"], found["positive"], found["auc"]) == (1.0, positive, None)


def test_why_there_is_no_auc_is_said(
    truth: otel_ml.GroundTruth, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several classes, and of two of which neither is known to be the positive one."""
    several = otel_ml.Model("several", task="multiclass", classes=["a", "b", "c"], ground_truth=truth)
    unnamed = otel_ml.Model("unnamed", task="binary", ground_truth=truth)
    for number in range(15):
        several.record({}, prediction="a", score=0.6, id=f"s{number}")
        unnamed.record({}, prediction="ab"[number % 2], score=0.7, id=f"u{number}")
    truth.flush()
    truth.record_labels({f"s{number}": label for number, label in enumerate("abc" * 5)})
    truth.record_labels({f"u{number}": "ab"[number % 2] for number in range(15)})

    (of_several,) = truth.compute_metrics(0, 4e9, model="several")["notes"]
    (of_unnamed,) = truth.compute_metrics(0, 4e9, model="unnamed")["notes"]
    assert of_several.startswith(
        "auc and the other figures of probabilities are None: they take the probability of each"
    )
    assert of_unnamed.endswith("the positive class is not known; declare classes=[negative, positive] of the model")
    assert main(["evaluate", "--store", store_url, "--model", "several"]) == 0
    assert "otel-ml evaluate: auc and the other figures of probabilities are None" in capsys.readouterr().err
