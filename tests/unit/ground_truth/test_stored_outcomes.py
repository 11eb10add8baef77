"""Outputs and labels of a window, and the profile that is made of them."""

from __future__ import annotations

import random

import pytest
from truth_rows import log

from otel_ml import ReferenceProfile
from otel_ml.cli import main
from otel_ml.ground_truth import StoredOutcomes, StoreError


def test_outcomes_of_a_window_come_with_the_labels_that_there_are(truth):
    """The window is that of the predictions; one without a label is there too, another role or version is not."""
    for place, name in enumerate("abc"):
        log(truth, name, predicted="10"[place % 2], score=0.1 * place, predicted_at=100.0 + place)
    log(truth, "d", role="shadow", predicted_at=101.0)
    truth.flush()
    truth.record_label("a", 0, at=500)
    truth.record_label("a", 1, at=600)
    assert truth.read_outcomes(100, 102, model="fraud") == StoredOutcomes(
        "binary", "1", ["1", "0"], [0.0, pytest.approx(0.1)], ["1", None]
    )
    assert truth.read_outcomes(100, 102, model="other") == StoredOutcomes(None, None, [], [], [])


def test_numbers_and_sets_are_read_back(truth):
    """A regression has numbers, a multilabel model lists, a ranking lists and gains."""
    log(truth, "r", model="price", task="regression", positive=None, predicted=None, score=None, value=2.5)
    log(truth, "m", model="tags", task="multilabel", positive=None, predicted='["a", "b"]', score=None)
    log(truth, "k", model="search", task="ranking", positive=None, predicted='["x", "y"]', score=None)
    truth.flush()
    truth.record_label("r", 3, model="price")
    truth.record_label("m", ["b"], model="tags")
    truth.record_label("k", {"x": 2.0}, model="search")
    found = [truth.read_outcomes(0, 1000, model=name) for name in ("price", "tags", "search")]
    assert [(one.predictions, one.labels) for one in found] == [
        ([2.5], [3.0]),
        ([["a", "b"]], [["b"]]),
        ([["x", "y"]], [{"x": 2.0}]),
    ]


def test_outcomes_of_several_tasks_are_refused(truth):
    """Versions of different tasks have no common outputs."""
    log(truth, "a")
    log(truth, "b", version="2", task="regression", value=1.0)
    truth.flush()
    with pytest.raises(StoreError, match="several tasks"):
        truth.read_outcomes(0, 1000, model="fraud")
    assert truth.read_outcomes(0, 1000, model="fraud", version="2").task == "regression"


def test_a_profile_is_made_of_a_store(truth, url, tmp_path, capsys):
    """It has outputs, labels and performance, no features, and its name."""
    rng = random.Random(1)
    for number in range(300):
        score = rng.random()
        log(truth, f"p{number}", score=score, predicted="1" if score > 0.5 else "0", predicted_at=1000.0 + number)
    truth.flush()
    truth.record_labels((f"p{number}", int(rng.random() < 0.5)) for number in range(200))
    path = tmp_path / "week.json"
    window = ["--since", "1970-01-01", "--until", "1970-01-02"]
    arguments = ["--from-store", url, "--model", "fraud", "--name", "week", "--output", str(path)]
    assert main(["profile", *arguments, *window]) == 0
    made = ReferenceProfile.load(path)
    assert (made.name, made.rows, made.features, len(made.output.counts)) == ("week", 300, (), 20)
    assert (sum(made.label.counts), made.performance.rows, made.performance.task) == (200, 200, "binary")
    assert main(["profile", *arguments, "--since", "1h"]) == 2
    assert "no prediction of 'fraud' in this window" in capsys.readouterr().err
