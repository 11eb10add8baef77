"""Labels of models whose classes are declared."""

from __future__ import annotations

import numpy as np
import pytest
from truth_rows import log

from otel_ml.ground_truth import GroundTruth

TWO = ["0", "1"]


@pytest.mark.parametrize("label", [1, True, np.True_, 1.0, np.float32(1), "1", "1.0", "True"])
def test_a_label_is_the_declared_class_that_it_equals(truth, emitted, label):
    """Booleans and whole floats are counted as the classes 0 and 1, before and after the prediction."""
    assert truth.record_label("early", label) == "waiting"
    log(truth, "early", classes=TWO)
    log(truth, "late", classes=TWO)
    truth.flush()
    states = [truth.record_label(name, value) for name, value in (("late", label), ("late", 1), ("early", 1))]
    assert states == ["matched", "duplicate", "duplicate"]
    found = emitted.metrics()
    assert (found["ml.eval.outcomes", "fraud", "1", "primary", "1", "1"], len(emitted.events())) == (2, 2)
    assert list(truth.compute_metrics(0, 2000, model="fraud")["per_class"]) == ["1"]


@pytest.mark.parametrize(
    ("classes", "label", "expected"),
    [
        (TWO, np.False_, "0"),
        (["False", "True"], 1, "True"),
        (["False", "True"], "0.0", "False"),
        (["1", "True"], True, "True"),
        (["1", "True"], 1.0, "1"),
        (["-3", "12"], -3.0, "-3"),
        (["no", "yes"], "yes", "yes"),
    ],
)
def test_equal_labels_are_one_class(truth, emitted, classes, label, expected):
    """The canonical text is compared first, then the number."""
    log(truth, "p", classes=classes, task="multiclass", positive=None)
    truth.flush()
    assert truth.record_label("p", label) == "matched"
    assert [event.attributes["ml.label.value"] for event in emitted.events()] == [expected]


@pytest.mark.parametrize("label", [2, 0.5, "yes", "01", "nan", "1_0", 2.0**80, "9" * 100])
def test_a_label_outside_the_declared_classes_fails(truth, emitted, caplog, label):
    """Nothing is stored or counted, before or after the prediction, and one line says why."""
    assert truth.record_label("early", label) == "waiting"
    log(truth, "early", classes=TWO)
    log(truth, "late", classes=TWO)
    truth.flush()
    assert [truth.record_label("late", label) for _ in range(2)] == ["failed", "failed"]
    assert [record.message.partition(" is ")[2] for record in caplog.records] == [
        "not a declared class of model 'fraud' (0, 1): such labels are not recorded; record one of these, or add it to classes= of the model"
    ]
    assert (emitted.events(), truth.compute_metrics(0, 2000, model="fraud")["labelled"]) == ([], 0)
    assert [truth.record_label(name, 1) for name in ("early", "late")] == ["matched", "matched"]


def test_without_declared_classes_a_label_is_spelled_as_the_prediction(truth, emitted):
    """A text that is no number stays as it is; classes of a regression do not matter."""
    log(truth, "p")
    log(truth, "t")
    log(truth, "r", task="regression", predicted=None, value=1.0, classes=TWO)
    truth.flush()
    assert truth.record_labels([("p", True), ("t", "yes"), ("r", 41.5)]) == {"matched": 3}
    assert [event.attributes["ml.label.value"] for event in emitted.events()] == ["1", "yes", "41.5"]


def test_a_prediction_is_the_declared_class_that_it_equals(truth):
    """A boolean prediction of the classes 0 and 1 agrees with a boolean label."""
    log(truth, "p", predicted="True", classes=TWO)
    truth.flush()
    assert truth.record_label("p", True) == "matched"
    figures = truth.compute_metrics(0, 2000, model="fraud")
    assert (figures["accuracy"], list(figures["per_class"])) == (1.0, ["1"])


def test_another_process_knows_the_classes(truth, url):
    """Declared classes are in the store, since a nightly job that labels has no model."""
    log(truth, "p", classes=TWO)
    log(truth, "q", classes=TWO)
    truth.flush()
    other = GroundTruth(url)
    assert [other.record_label(name, label) for name, label in (("p", True), ("q", "yes"))] == ["matched", "failed"]
    other.close()


def test_each_prediction_has_the_classes_of_its_time(truth):
    """A later model of the same name does not change earlier predictions."""
    log(truth, "old", classes=TWO)
    log(truth, "new", classes=["0", "1", "2"])
    truth.flush()
    assert [truth.record_label(name, 2) for name in ("old", "new")] == ["failed", "matched"]
