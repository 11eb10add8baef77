"""The exact figures of every task beside scikit-learn's, to 1e-12."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from sklearn import metrics as sk

from otel_ml._values.labels import gains_text, list_text, set_text
from otel_ml.ground_truth.exact._labelled import Labelled
from otel_ml.ground_truth.exact._rows import LabelledRow

NAMES = ("a", "b", "c", "d")
MACRO = {"average": "macro", "zero_division": 0}


def near(value):
    return pytest.approx(value, abs=1e-12, rel=1e-12)


def row(task, label, **values):
    """A labelled prediction with nothing but what is named."""
    columns = {**dict.fromkeys(LabelledRow._fields), "task": task, "label": label, **values}
    return LabelledRow(**columns)


def pack(vector):
    return struct.pack(f"<{len(vector)}d", *vector)


def figures(rows, classes=NAMES):
    labelled = Labelled()
    for start in range(0, len(rows), 70):  # they are read in parts
        labelled.add(rows[start : start + 70])
    return labelled.figures({None: None, "key": classes})


def binned_error(sides, scores):
    """The calibration error of ten uniform bins."""
    places = np.minimum((np.asarray(scores) * 10).astype(int), 9)
    gaps = np.bincount(places, np.asarray(sides, float) - scores, 10)
    return np.abs(gaps).sum() / len(places)


@pytest.fixture(scope="module")
def vectors():
    """400 vectors of probabilities of four classes, a class for each, and what a model would answer."""
    rng = np.random.default_rng(5)
    given = rng.dirichlet([0.7, 1, 1.5, 0.4], 400)
    actual = np.array([rng.choice(4, p=0.7 * each + 0.3 / 4) for each in given])
    return given, actual, given.argmax(axis=1)


def test_binary(vectors):
    """Of the positive class, from class and score; with the calibration in ten bins."""
    scores, sides = vectors[0][:, 2], vectors[1] == 2
    guesses = scores > 0.4
    names = np.array(["no", "yes"])
    found = figures(
        [
            row("binary", names[int(side)], positive="yes", predicted=names[int(guess)], score=float(score))
            for score, side, guess in zip(scores, sides, guesses, strict=True)
        ]
    )
    bins = found["calibration"]
    assert {name: found[name] for name in list(found)[:12]} == {
        "count": 400,
        "labelled": 400,
        "scored": 400,
        "accuracy": near(sk.accuracy_score(sides, guesses)),
        "positive": "yes",
        "precision": near(sk.precision_score(sides, guesses)),
        "recall": near(sk.recall_score(sides, guesses)),
        "f1": near(sk.f1_score(sides, guesses)),
        "auc": near(sk.roc_auc_score(sides, scores)),
        "average_precision": near(sk.average_precision_score(sides, scores)),
        "brier_score": near(sk.brier_score_loss(sides, scores)),
        "log_loss": near(sk.log_loss(sides, scores)),
    }
    assert found["ece"] == near(binned_error(sides, scores))
    assert (sum(each["count"] for each in bins), bins[0]["low"], bins[0]["high"]) == (400, 0.0, 0.1)
    first = scores < 0.1
    assert (bins[0]["mean_probability"], bins[0]["share"]) == (near(scores[first].mean()), near(sides[first].mean()))
    assert sorted(set(found["intervals"])) == sorted({*list(found)[7:12], "accuracy", "precision", "recall"})


def multiclass(vectors, **changes):
    return [
        row(
            "multiclass",
            NAMES[side],
            predicted=NAMES[guess],
            classes="key",
            **{"probabilities": pack(vector), **changes},
        )
        for vector, side, guess in zip(*vectors, strict=True)
    ]


def test_multiclass(vectors):
    """Means over the classes, each against the rest, and every class by itself."""
    given, actual, guesses = vectors
    found = figures(multiclass(vectors))
    report = sk.classification_report(actual, guesses, output_dict=True, zero_division=0)
    binary = np.eye(4)[actual]
    assert {name: found[name] for name in list(found)[:13]} == {
        "count": 400,
        "labelled": 400,
        "scored": 400,
        "accuracy": near(sk.accuracy_score(actual, guesses)),
        "positive": None,
        "precision": near(sk.precision_score(actual, guesses, **MACRO)),
        "recall": near(sk.recall_score(actual, guesses, **MACRO)),
        "f1": near(sk.f1_score(actual, guesses, **MACRO)),
        "auc": near(sk.roc_auc_score(actual, given, multi_class="ovr", average="macro")),
        "average_precision": near(sk.average_precision_score(binary, given, average="macro")),
        "brier_score": near(sk.brier_score_loss(actual, given)),
        "log_loss": near(sk.log_loss(actual, given)),
        "ece": near(np.mean([binned_error(actual == k, given[:, k]) for k in range(4)])),
    }
    assert found["weighted"] == {
        name: near(report["weighted avg"][key])
        for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score"))
    }
    assert found["micro"] == dict.fromkeys(("precision", "recall", "f1"), near(found["accuracy"]))
    for place, name in enumerate(NAMES):
        of_class = found["per_class"][name]
        assert {key: of_class[key] for key in of_class if key != "intervals"} == {
            "precision": near(report[str(place)]["precision"]),
            "recall": near(report[str(place)]["recall"]),
            "f1": near(report[str(place)]["f1-score"]),
            "auc": near(sk.roc_auc_score(actual == place, given[:, place])),
            "average_precision": near(sk.average_precision_score(actual == place, given[:, place])),
            "ece": near(binned_error(actual == place, given[:, place])),
            "count": int((actual == place).sum()),
        }
    assert set(found["intervals"]) == {"accuracy", "precision", "recall", "f1", "auc", "brier_score", "log_loss"}


def test_multilabel(vectors):
    """Sets of classes: exact match, Hamming loss, means over all declared classes, and the scores of the vectors."""
    rng = np.random.default_rng(6)
    given = rng.random((300, 4))
    actual, guesses = rng.random((300, 4)) < given, given > 0.6
    guesses[:, 3] = False  # a class that is never predicted
    found = figures(
        [
            row(
                "multilabel",
                set_text(np.array(NAMES)[side]),
                predicted=set_text(np.array(NAMES)[guess]),
                classes="key",
                probabilities=pack(vector),
            )
            for vector, side, guess in zip(given, actual, guesses, strict=True)
        ]
    )
    averages = ("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)
    assert {name: found[name] for name in list(found)[:13]} == {
        "count": 300,
        "labelled": 300,
        "scored": 300,
        "exact_match": near(sk.accuracy_score(actual, guesses)),
        "hamming_loss": near(sk.hamming_loss(actual, guesses)),
        **{name: near(score(actual, guesses, **MACRO)) for name, score in averages},
        "auc": near(sk.roc_auc_score(actual, given, average="macro")),
        "average_precision": near(sk.average_precision_score(actual, given, average="macro")),
        "brier_score": near(np.mean([sk.brier_score_loss(actual[:, k], given[:, k]) for k in range(4)])),
        "log_loss": near(np.mean([sk.log_loss(actual[:, k], given[:, k]) for k in range(4)])),
        "ece": near(np.mean([binned_error(actual[:, k], given[:, k]) for k in range(4)])),
    }
    for average in ("micro", "weighted"):
        expected = {name: near(score(actual, guesses, average=average, zero_division=0)) for name, score in averages}
        assert found[average] == expected
    assert found["per_class"]["d"]["precision"] is None
    assert found["per_class"]["b"]["f1"] == near(sk.f1_score(actual[:, 1], guesses[:, 1]))


def test_regression():
    """Errors, their quantiles and R2; a row without one of the numbers is in none of them, and a note says so."""
    rng = np.random.default_rng(7)
    actual = rng.normal(100, 20, 200)
    guesses = actual + rng.normal(1, 5, 200)
    rows = [row("regression", f"{a}", value=float(g), number=float(a)) for a, g in zip(actual, guesses, strict=True)]
    found = figures([*rows, row("regression", "x", value=1.0)])
    errors = np.abs(guesses - actual)
    intervals = found.pop("intervals")
    assert found == {
        "count": 200,
        "labelled": 201,
        "mae": near(sk.mean_absolute_error(actual, guesses)),
        "rmse": near(sk.root_mean_squared_error(actual, guesses)),
        "bias": near((guesses - actual).mean()),
        "r2": near(sk.r2_score(actual, guesses)),
        "error_p50": near(sk.median_absolute_error(actual, guesses)),
        "error_p90": near(np.quantile(errors, 0.9)),
        "error_p99": near(np.quantile(errors, 0.99)),
        "notes": ["1 of 201 labelled predictions have no number on both sides: no figure has them"],
    }
    assert sorted(intervals) == ["bias", "error_p50", "error_p90", "mae", "rmse"]  # 200 are too few for the last


def test_ranking():
    """NDCG, reciprocal rank and hit rate within the first ten; gains, or a set of relevant items."""
    rng = np.random.default_rng(8)
    items = [f"i{number}" for number in range(12)]
    gains = rng.integers(0, 4, (60, 12)) * (rng.random((60, 12)) < 0.2)
    gains[:, 0] = 1  # each has a relevant item
    scores = np.array([rng.permutation(12) for _ in range(60)])
    rows = [
        row(
            "ranking",
            gains_text(dict(zip(items, map(float, gain), strict=True))),
            predicted=list_text([items[place] for place in np.argsort(-score)]),
        )
        for gain, score in zip(gains, scores, strict=True)
    ]
    places = [min(11 - score[gain > 0]) + 1 for gain, score in zip(gains, scores, strict=True)]
    found = figures(rows)
    assert {name: found[name] for name in list(found)[:5]} == {
        "count": 60,
        "labelled": 60,
        "ndcg": near(sk.ndcg_score(gains, scores, k=10)),
        "reciprocal_rank": near(np.mean([1 / place if place <= 10 else 0 for place in places])),
        "hit_rate": near(np.mean([place <= 10 for place in places])),
    }
    assert set(found["intervals"]) == {"ndcg", "reciprocal_rank", "hit_rate"}
    assert figures([row("ranking", json.dumps(["i1"]), predicted=json.dumps(["i2", "i1"]))])["reciprocal_rank"] == 0.5


def test_a_class_without_labels_is_named_and_left_out(vectors):
    """The AUC is the mean over the classes that have labels."""
    given, actual, _ = (each[vectors[1] != 3] for each in vectors)
    found = figures(multiclass((given, actual, given.argmax(axis=1))))
    assert found["auc"] == near(np.mean([sk.roc_auc_score(actual == k, given[:, k]) for k in range(3)]))
    assert found["log_loss"] == near(sk.log_loss(actual, given, labels=range(4)))
    assert found["notes"] == ["auc is the mean over 3 of 4 classes: the labels are all or none d"]


def test_versions_with_other_classes_are_measured_together(vectors):
    """A class that an earlier version did not know has the probability 0 in it."""
    given, actual, guesses = vectors
    early = [
        row("multiclass", "ab"[n % 2], predicted="a", classes="old", probabilities=pack([0.8, 0.2])) for n in range(9)
    ]
    labelled = Labelled()
    labelled.add([*multiclass(vectors), *early])
    found = labelled.figures({"key": NAMES, "old": NAMES[:2]})
    shares = [*given[:, 2], *([0.0] * 9)]
    assert found["per_class"]["c"]["auc"] == near(sk.roc_auc_score([*(actual == 2), *([False] * 9)], shares))


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        (
            [row("multiclass", "a", predicted="b", score=0.7)],
            "auc and the other figures of probabilities are None: they",
        ),
        ([row("binary", "a", predicted="b", score=0.7)], "auc and the other figures of scores are None: the positive"),
        ([row("binary", "a", predicted="b", positive="b")], "auc and the other figures of scores are None: no score"),
        (
            [row("binary", "a", predicted="b", positive="b", score=0.7)],
            "auc is None: it needs labels of both classes, and all or none are b",
        ),
        (
            [row("binary", each, predicted="b", positive="b", score=3.0) for each in "ab"],
            "brier_score, log_loss and ece are None: scores outside 0..1",
        ),
        (
            [row("multiclass", each, predicted="a", classes="key", probabilities=pack([3, 0, 0, 0])) for each in NAMES],
            "brier_score, log_loss and ece are None: some probabilities are outside 0..1, or do not sum to 1",
        ),
    ],
)
def test_a_note_says_why_a_figure_is_none(rows, note):
    """The note of an undefined figure names the reason and what to do."""
    (found,) = figures(rows)["notes"]
    assert found.startswith(note)


def test_scores_of_0_and_1_are_in_the_outer_bins():
    """Both ends belong to a bin."""
    rows = [row("binary", side, predicted=side, positive="1", score=float(side)) for side in "01"]
    assert [(each["low"], each["high"], each["share"]) for each in figures(rows)["calibration"]] == [
        (0.0, 0.1, 0.0),
        (0.9, 1.0, 1.0),
    ]
