"""Live counts by segment: each column by itself, equal to scikit-learn's, bounded, and at 0 before the first label."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from otel_ml._figures.segments import Errors, mean_z
from otel_ml._logged_prediction import LoggedModel, LoggedPrediction
from otel_ml._values.labels import list_text, set_text
from otel_ml.ground_truth._records import Settled, StoredLabel
from otel_ml.ground_truth.live._label_counts import LabelCounts
from otel_ml.ground_truth.live._task_counts import Expected

ROWS = 600
SEGMENTS = {"region": "north", "device": "phone"}
OUTCOMES = ("tp", "fp", "fn", "tn")


@pytest.fixture
def counts(emitted):
    return LabelCounts(emitted.meter)


@pytest.fixture
def regions():
    return np.random.default_rng(1).choice(["north", "south"], ROWS)


def add(counts, task, label, number=None, **fields):
    made = LoggedPrediction("p", "m", "1", "primary", task, None, 0.0, None, None, None, 0, 0, False)
    made = made._replace(**fields)
    counts.count_settled([Settled("matched", made, StoredLabel("p", label, number, 1.0))])


def values(counts):
    """Values of the counts by segment, by metric and further attributes."""
    return {
        (metric.name.removeprefix("ml.eval.segment."), *list(series.attributes.values())[3:]): value
        for metric, observed in counts.read()
        for series, value in observed
        if metric.name.startswith("ml.eval.segment")
    }


@pytest.mark.parametrize("positive", ["1", None])
def test_a_binary_model(counts, regions, positive):
    """Outcomes are scikit-learn's confusion matrix of each segment, with a declared positive class and without."""
    random = np.random.default_rng(2)
    actual, predicted = random.random((2, ROWS)) < 0.4
    for region, guess, truth in zip(regions.tolist(), predicted.tolist(), actual.tolist(), strict=True):
        segments = {"region": region, "device": "phone"}
        add(counts, "binary", str(int(truth)), positive=positive, predicted=str(int(guess)), segments=segments)
    found = values(counts)
    of_all = sk.confusion_matrix(actual, predicted).ravel().tolist()
    assert [found["outcomes", "device", "phone", name] for name in ("tn", "fp", "fn", "tp")] == of_all
    for region in ("north", "south"):
        expected = sk.confusion_matrix(actual[regions == region], predicted[regions == region]).ravel().tolist()
        assert [found["outcomes", "region", region, name] for name in ("tn", "fp", "fn", "tp")] == expected


@pytest.mark.parametrize("task", ["multiclass", "other", "multilabel"])
def test_other_classes_are_correct_or_wrong(counts, regions, task):
    """The share of correct ones is scikit-learn's accuracy; a set is correct if it is the true one."""
    random = np.random.default_rng(3)
    actual, predicted = random.integers(0, 3, (2, ROWS))
    names = [set_text([name, "z"]) for name in "abc"] if task == "multilabel" else list("abc")
    for region, guess, truth in zip(regions.tolist(), predicted.tolist(), actual.tolist(), strict=True):
        add(counts, task, names[truth], predicted=names[guess], classes=tuple("abcz"), segments={"region": region})
    found = values(counts)
    for region in ("north", "south"):
        of = regions == region
        right = found["outcomes", "region", region, "correct"]
        assert right == sk.accuracy_score(actual[of], predicted[of], normalize=False)
        assert found["outcomes", "region", region, "wrong"] == of.sum() - right


def test_one_class_is_a_set_of_one(counts):
    """A text that is no list is one class, equal to the list of it and to no other class."""
    for label in ("a", set_text(["a"]), "b"):
        add(counts, "multilabel", label, predicted="a", segments={"region": "north"})
    assert values(counts) == {
        ("outcomes", "region", "north", "correct"): 2,
        ("outcomes", "region", "north", "wrong"): 1,
    }


def test_a_set_is_correct_in_any_order(counts):
    """The order of its classes does not count."""
    add(counts, "multilabel", list_text(["a", "b"]), predicted=list_text(["b", "a"]), segments={"region": "north"})
    assert values(counts) == {
        ("outcomes", "region", "north", "correct"): 1,
        ("outcomes", "region", "north", "wrong"): 0,
    }


def test_a_regression(counts, regions):
    """MAE and RMSE are scikit-learn's, and the sums are those of the comparison with the rest."""
    random = np.random.default_rng(4)
    actual = random.normal(0, 10, ROWS)
    predicted = actual + random.normal(0, 1, ROWS)
    for region, value, truth in zip(regions.tolist(), predicted.tolist(), actual.tolist(), strict=True):
        add(counts, "regression", str(truth), truth, value=value, segments={"region": region})
    found = values(counts)
    sums = {}
    for region in ("north", "south"):
        of = regions == region
        size, total, squares = (
            found[name, "region", region] for name in ("predictions", "absolute_error", "squared_error")
        )
        assert (size, total / size) == (of.sum(), pytest.approx(sk.mean_absolute_error(actual[of], predicted[of])))
        assert math.sqrt(squares / size) == pytest.approx(sk.root_mean_squared_error(actual[of], predicted[of]))
        sums[region] = Errors(size, total, squares)
    assert abs(mean_z(sums["north"], sums["south"])) < 4


def test_what_has_no_outcome_is_not_counted(counts):
    """A prediction without a class or a number, an error that is too large, a ranking, and one without segments."""
    add(counts, "binary", "1", predicted=None, score=0.4, segments=SEGMENTS)
    add(counts, "regression", "1", 1.0, value=None, segments=SEGMENTS)
    add(counts, "regression", "many", None, value=1.0, segments=SEGMENTS)
    add(counts, "regression", "1", 1.0, value=1e200, segments=SEGMENTS)
    add(counts, "ranking", "a", predicted=list_text(["a"]), segments=SEGMENTS)
    add(counts, "binary", "1", predicted="1")
    assert values(counts) == {}


@pytest.mark.parametrize(
    ("task", "predicted", "expected"),
    [
        ("binary", ["1"], {("outcomes", *pair, name) for pair in SEGMENTS.items() for name in OUTCOMES}),
        (
            "multiclass",
            ["a"],
            {("outcomes", *pair, name) for pair in SEGMENTS.items() for name in ("correct", "wrong")},
        ),
        (
            "regression",
            [],
            {(name, *pair) for pair in SEGMENTS.items() for name in ("predictions", "absolute_error", "squared_error")},
        ),
        ("ranking", [], set()),
    ],
)
def test_series_start_at_0_with_the_first_prediction(counts, task, predicted, expected):
    """A label adds to series that are there already, so that Prometheus sees it as an increase."""
    model = LoggedModel("m", "1", "primary", task, None, None, segments=tuple(SEGMENTS))
    counts.expect(Expected(model, predicted, has_scores=False, has_probabilities=False, segments=SEGMENTS.items()))
    assert values(counts) == dict.fromkeys(expected, 0)


def test_segments_are_bounded(counts):
    """Twelve segments of a column have a name, further ones share one; a fourth column is not counted."""
    names = [*(f"city {number}" for number in range(14)), "__missing__", "__other__", "city 0"]
    for name in names:
        segments = {"city": name, **dict.fromkeys(("a", "b", "c"), "x")}
        add(counts, "multiclass", "a", predicted="a", segments=segments)
    found = values(counts)
    of_city = {key[2]: value for key, value in found.items() if key[1] == "city" and key[3] == "correct"}
    assert of_city == {
        **{f"city {number}": 1 for number in range(12)},
        "city 0": 2,
        "__other__": 3,
        "__missing__": 1,
    }
    assert {key[1] for key in found} == {"city", "a", "b"}


def test_a_meter_that_never_forgets_has_room_for_so_many(counts, emitted, caplog):
    """Beyond 1,900 series of a metric no further segments are counted, and one line says so."""
    for number in range(200):
        segments = {"region": f"r{number % 12}", "device": f"d{number % 12}", "age": f"a{number % 12}"}
        add(counts, "binary", "1", model=f"m{number // 12}", predicted="1", segments=segments)
    assert sum(key[0] == "ml.eval.segment.outcomes" for key in emitted.metrics()) == 1900
    assert caplog.text.count("ml.eval.segment.outcomes has no room") == 1
