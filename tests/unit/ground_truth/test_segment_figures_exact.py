"""Exact figures by segment beside scikit-learn's, the worst segment, and fairness."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from sklearn import metrics as sk

from otel_ml._figures.segments import Share, noise_limit, share_z
from otel_ml._values.labels import gains_text, list_text, set_text
from otel_ml.ground_truth import SegmentFigures
from otel_ml.ground_truth._segment_texts import segments_text
from otel_ml.ground_truth.exact._rows import LabelledRow
from otel_ml.ground_truth.exact._segments import LabelledSegments

REGIONS = ("north", "south", "east")
SIZES = (500, 300, 200)
NAMES = np.array(["a", "b", "c"])


def near(value):
    return pytest.approx(value, abs=1e-12, rel=1e-12)


def row(region, task, label, **values):
    """A labelled prediction in a region and on a device, with nothing else but what is named."""
    columns = {**dict.fromkeys(LabelledRow._fields), "task": task, "label": label, **values}
    return (*LabelledRow(**columns), region and segments_text(("device", "region"), ("phone", region)))


def measure(rows, column="region", classes=None):
    labelled = LabelledSegments(column)
    for start in range(0, len(rows), 70):  # they are read in parts
        labelled.add(rows[start : start + 70])
    return SegmentFigures(labelled.figures({None: None, "key": classes}), labelled.notes())


@pytest.fixture(scope="module")
def regions():
    """The region of each of 1,000 predictions, mixed."""
    return np.random.default_rng(16).permutation(np.repeat(REGIONS, SIZES))


@pytest.fixture(scope="module")
def binary(regions):
    """Scores, predicted and actual side of each; those of the south are often wrong."""
    random = np.random.default_rng(17)
    actual = random.random(1000) < 0.4
    scores = np.clip(random.normal(0.3 + 0.4 * actual, 0.15), 0.01, 0.99)
    scores = np.where(regions == "south", random.random(1000), scores)
    return scores, scores > 0.5, actual


@pytest.fixture(scope="module")
def found(regions, binary):
    columns = zip(regions.tolist(), *map(np.ndarray.tolist, binary), strict=True)
    rows = [
        row(region, "binary", str(int(truth)), positive="1", predicted=str(int(guess)), score=score)
        for region, score, guess, truth in columns
    ]
    return measure(rows)


def test_each_segment_has_the_figures_of_scikit_learn(found, regions, binary):
    """They are those of its rows alone, with intervals, and the largest segment comes first."""
    assert list(found) == list(REGIONS)
    for region in REGIONS:
        scores, guesses, actual = (each[regions == region] for each in binary)
        expected = {
            "accuracy": near(sk.accuracy_score(actual, guesses)),
            "precision": near(sk.precision_score(actual, guesses)),
            "recall": near(sk.recall_score(actual, guesses)),
            "f1": near(sk.f1_score(actual, guesses)),
            "auc": near(sk.roc_auc_score(actual, scores)),
            "brier_score": near(sk.brier_score_loss(actual, scores)),
        }
        assert {name: found[region][name] for name in expected} == expected
        assert found[region]["intervals"].keys() >= expected.keys()
        assert found[region]["labelled"] == len(scores)


def test_the_worst_segment_is_beyond_noise(found, regions, binary):
    """It is compared with all other segments together."""
    right = binary[1] == binary[2]
    south = regions == "south"
    z = share_z(
        Share(int((~right)[south].sum()), int(south.sum())), Share(int((~right)[~south].sum()), int((~south).sum()))
    )
    assert found.worst == {
        "segment": "south",
        "figure": "accuracy",
        "value": near(right[south].mean()),
        "rest": near(right[~south].mean()),
        "z": z,
        "limit": noise_limit(3),
        "is_beyond_noise": True,
    }


def test_fairness_is_that_of_the_rates(found, regions, binary):
    """Lowest over highest selection rate, and the differences of true and false positive rates."""
    _, guesses, actual = binary
    rates = [
        [guesses[(regions == region) & of].mean() for region in REGIONS]
        for of in (np.full(1000, fill_value=True), actual, ~actual)
    ]
    differences = [near(max(each) - min(each)) for each in rates]
    more = {"is_beyond_noise": True, "left_out": []}
    assert found.fairness == {
        "selection_ratio": {"value": near(min(rates[0]) / max(rates[0])), "is_beyond_noise": False, "left_out": []},
        "true_positive_rate_difference": {"value": differences[1], **more},
        "false_positive_rate_difference": {"value": differences[2], **more},
    }


def test_a_difference_by_chance_is_within_noise(binary):
    """Regions that were drawn at random do not differ by more than noise."""
    scores, guesses, actual = map(np.ndarray.tolist, binary)
    rows = [
        row(REGIONS[place % 3], "binary", str(int(truth)), positive="1", predicted=str(int(guess)), score=score)
        for place, (score, guess, truth) in enumerate(zip(scores, guesses, actual, strict=True))
    ]
    found = measure(rows)
    assert not found.worst["is_beyond_noise"]
    assert not any(each["is_beyond_noise"] for each in found.fairness.values())


@pytest.mark.parametrize("task", ["multiclass", "other"])
def test_several_classes_are_compared_by_accuracy(regions, task):
    """Their precision, recall and F1 are the means of scikit-learn; there is no fairness without a positive class."""
    random = np.random.default_rng(18)
    actual = NAMES[random.integers(0, 3, 1000)]
    chance = np.where(regions == "east", 0.3, 0.9)
    guesses = np.where(random.random(1000) < chance, actual, NAMES[random.integers(0, 3, 1000)])
    found = measure(
        [row(*each[:1], task, each[2], predicted=each[1]) for each in zip(regions, guesses, actual, strict=True)]
    )
    for region in REGIONS:
        of = regions == region
        assert found[region]["accuracy"] == near(sk.accuracy_score(actual[of], guesses[of]))
        assert found[region]["f1"] == near(sk.f1_score(actual[of], guesses[of], average="macro"))
    assert (found.worst["segment"], found.worst["figure"], found.fairness) == ("east", "accuracy", {})


def test_no_fairness_without_one_positive_class():
    """Segments whose versions declared other positive classes cannot be compared by it."""
    rows = [row(region, "binary", "1", predicted="0", positive=of) for region, of in (("north", "1"), ("south", "0"))]
    assert measure(rows).fairness == {}
    assert measure(rows).worst["figure"] == "accuracy"


def test_sets_are_compared_by_exact_matches_and_rankings_by_hits(regions):
    """The share of predictions that are right as a whole."""
    sets = [
        row(
            region,
            "multilabel",
            set_text(["a"]),
            predicted=set_text(["a"] if region != "south" or place % 3 else ["b"]),
        )
        for place, region in enumerate(regions)
    ]
    ranked = [
        row(
            region,
            "ranking",
            gains_text({"a": 1.0}),
            predicted=list_text(["b" if region == "east" and place % 2 else "a"]),
        )
        for place, region in enumerate(regions)
    ]
    worst = measure(sets).worst
    assert (worst["segment"], worst["figure"], worst["rest"], worst["is_beyond_noise"]) == (
        "south",
        "exact_match",
        1,
        True,
    )
    worst = measure(ranked).worst
    assert (worst["segment"], worst["figure"], worst["rest"], worst["is_beyond_noise"]) == ("east", "hit_rate", 1, True)


def test_a_regression_is_compared_by_its_mean_absolute_error(regions):
    """The figures are scikit-learn's by segment; the worst has the largest error beyond noise."""
    random = np.random.default_rng(19)
    actual = random.normal(100, 20, 1000)
    predicted = actual + random.normal(0, np.where(regions == "north", 4.0, 2.0))
    columns = zip(regions.tolist(), predicted.tolist(), actual.tolist(), strict=True)
    found = measure(
        [row(region, "regression", str(truth), value=value, number=truth) for region, value, truth in columns]
    )
    for region in REGIONS:
        of = regions == region
        assert found[region]["mae"] == near(sk.mean_absolute_error(actual[of], predicted[of]))
        assert found[region]["rmse"] == near(sk.root_mean_squared_error(actual[of], predicted[of]))
    rest = regions != "north"
    assert found.worst["segment"] == "north"
    assert found.worst["rest"] == near(sk.mean_absolute_error(actual[rest], predicted[rest]))
    assert found.worst["is_beyond_noise"]
    assert not math.isnan(found.worst["z"])


def test_predictions_without_the_column_are_in_no_figure():
    """A note counts them; if no prediction has the column, it names those that they have."""
    rows = [row("north", "binary", "1", predicted="1"), row(None, "binary", "1", predicted="0")]
    found = measure(rows)
    assert (list(found), found.worst, found.fairness) == (["north"], None, {})
    assert found.notes == ["1 labelled predictions have no segment column 'region': no figure has them"]
    assert measure(rows, "zone").notes == [
        "no labelled prediction has the segment column 'zone': they have device, region"
    ]
    assert measure(rows[1:]).notes == ["no labelled prediction has the segment column 'region': they have none"]
    assert (measure([]), measure([]).notes) == ({}, [])


def test_figures_by_segment_travel(found):
    """They can be pickled and copied with what belongs to them."""
    for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):  # noqa: S301
        assert (other, other.worst, other.fairness, other.notes) == (found, found.worst, found.fairness, found.notes)
