"""The live counts of every task, beside the figures of scikit-learn from the same labels."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from sklearn import metrics as sk

from otel_ml._figures.bins import ERROR_BOUNDS, SCORE_BINS
from otel_ml._logged_prediction import LoggedModel, LoggedPrediction
from otel_ml._observed_series import ObservedSeries
from otel_ml._values.labels import gains_text, list_text, set_text
from otel_ml.cli._doctor import series
from otel_ml.ground_truth._records import Settled, StoredLabel
from otel_ml.ground_truth.live._label_counts import LabelCounts
from otel_ml.ground_truth.live._series import Sum
from otel_ml.ground_truth.live._task_counts import Expected

ROWS = 3000
LETTERS = ("a", "b", "c", "d")


@pytest.fixture
def counts(emitted):
    return LabelCounts(emitted.meter)


def prediction(task, **fields):
    made = LoggedPrediction("p", "m", "1", "primary", task, None, 0.0, None, None, None, 0, 0, False)
    return made._replace(**fields)


def add(counts, made, label, number=None):
    counts.count_settled([Settled("matched", made, StoredLabel("p", label, number, 1.0))])


def values(counts):
    """Values by metric and further attributes."""
    return {
        (metric.name.removeprefix("ml.eval."), *list(series.attributes.values())[3:]): value
        for metric, observed in counts.read()
        for series, value in observed
    }


def expect(counts, task, classes=None, positive=None, predicted=(), scores=False, probabilities=False):
    model = LoggedModel("m", "1", "primary", task, positive, classes)
    counts.expect(Expected(model, predicted, scores, probabilities))


def bins_of(found, name):
    """The score bins of a class: those of the others, and those of the class itself."""
    return np.array(
        [[found["score_bin", name, flag, f"{each:02d}"] for each in range(SCORE_BINS)] for flag in ("false", "true")]
    )


def auc_and_bound(bins):
    negatives, positives = bins / bins.sum(axis=1, keepdims=True)
    above = 1 - np.cumsum(positives)
    return float((negatives * (above + positives / 2)).sum()), float((negatives * positives).sum()) / 2


def mean(found, name):
    return found[(name,)] / found["predictions",]


def spread(found, name):
    """The standard deviation from the sum of squares."""
    return math.sqrt(mean(found, f"{name}.squares") - mean(found, name) ** 2)


@pytest.mark.parametrize("classes", [("0", "1"), None])
def test_a_binary_model(counts, classes):
    """Brier score and log loss are exact and the AUC is within its bound, with declared classes and without."""
    rng = np.random.default_rng(1)
    scores = rng.random(ROWS)
    actual = (rng.random(ROWS) < scores**2).astype(int)
    for score, truth in zip(scores.tolist(), actual.tolist(), strict=True):
        guess = str(int(score > 0.5))
        made = prediction("binary", positive=classes and "1", classes=classes, predicted=guess, score=score)
        add(counts, made, str(truth))
    found = values(counts)
    auc, bound = auc_and_bound(bins_of(found, "1"))
    losses = -np.log(np.where(actual, scores, 1 - scores))

    assert found["predictions",] == ROWS
    assert mean(found, "brier_score") == pytest.approx(sk.brier_score_loss(actual, scores), rel=1e-12)
    assert mean(found, "log_loss") == pytest.approx(sk.log_loss(actual, scores), rel=1e-12)
    assert spread(found, "brier_score") == pytest.approx(np.std((scores - actual) ** 2), rel=1e-9)
    assert spread(found, "log_loss") == pytest.approx(np.std(losses), rel=1e-9)
    assert abs(auc - sk.roc_auc_score(actual, scores)) <= bound < 0.01
    assert [found["outcomes", "1", truth] for truth in "01"] == [
        int(((scores > 0.5) & (actual == truth)).sum()) for truth in (0, 1)
    ]
    assert sum(found["score_sum", "1", f"{each:02d}"] for each in range(SCORE_BINS)) == pytest.approx(scores.sum())


def test_a_multiclass_model(counts):
    """Brier score and log loss are exact; the AUC of one class against the rest is within the mean of the bounds."""
    rng = np.random.default_rng(2)
    given = rng.dirichlet([0.5, 1, 2, 1], ROWS)
    actual = np.array([rng.choice(4, p=row) for row in given])
    for row, truth in zip(given.tolist(), actual.tolist(), strict=True):
        guess = LETTERS[int(np.argmax(row))]
        made = prediction("multiclass", classes=LETTERS, predicted=guess, probabilities=row)
        add(counts, made, LETTERS[truth])
    found = values(counts)
    curves = [auc_and_bound(bins_of(found, name)) for name in LETTERS]
    expected = sk.roc_auc_score(actual, given, multi_class="ovr", average="macro")

    assert mean(found, "brier_score") == pytest.approx(np.mean(((given - np.eye(4)[actual]) ** 2).sum(axis=1)))
    assert mean(found, "log_loss") == pytest.approx(sk.log_loss(actual, given))
    assert abs(np.mean([auc for auc, _ in curves]) - expected) <= np.mean([bound for _, bound in curves]) < 0.02
    assert sum(found["outcomes", name, name] for name in LETTERS) == int((given.argmax(axis=1) == actual).sum())


def test_a_multilabel_model(counts):
    """Outcomes by class are scikit-learn's, exact matches its accuracy; scores are means over the classes."""
    rng = np.random.default_rng(3)
    given = rng.random((ROWS, 4))
    actual, predicted = rng.random((ROWS, 4)) < given, given > 0.6
    for row, guess, truth in zip(given.tolist(), predicted, actual, strict=True):
        names = [set_text(np.array(LETTERS)[chosen].tolist()) for chosen in (guess, truth)]
        made = prediction("multilabel", classes=LETTERS, predicted=names[0], probabilities=row)
        add(counts, made, names[1])
    found = values(counts)
    outcomes = [[found["class_outcomes", name, each] for each in ("tn", "fp", "fn", "tp")] for name in LETTERS]
    columns = [(actual[:, place], given[:, place]) for place in range(4)]
    curves = [auc_and_bound(bins_of(found, name)) for name in LETTERS]

    assert outcomes == sk.multilabel_confusion_matrix(actual, predicted).reshape(4, 4).tolist()
    assert mean(found, "exact_matches") == pytest.approx(sk.accuracy_score(actual, predicted))
    assert mean(found, "brier_score") == pytest.approx(np.mean([sk.brier_score_loss(*each) for each in columns]))
    assert mean(found, "log_loss") == pytest.approx(np.mean([sk.log_loss(*each) for each in columns]))
    assert all(abs(auc - sk.roc_auc_score(*each)) <= bound for (auc, bound), each in zip(curves, columns, strict=True))


def test_a_regression(counts):
    """MAE, RMSE and bias are exact; a quantile of the absolute error is in the bin that the counts point to."""
    rng = np.random.default_rng(4)
    actual = rng.lognormal(3, 1, ROWS)
    predicted = actual + rng.normal(0.5, 3, ROWS)
    for value, truth in zip(predicted.tolist(), actual.tolist(), strict=True):
        add(counts, prediction("regression", value=value), str(truth), truth)
    found = values(counts)
    errors = np.abs(predicted - actual)
    below = [found["error_bin", f"{bound:.6g}"] for bound in ERROR_BOUNDS]
    place = next(each for each, count in enumerate(below) if count >= 0.9 * ROWS)

    assert mean({**found, ("mae",): found["absolute_error", "over"] + found["absolute_error", "under"]}, "mae") == (
        pytest.approx(sk.mean_absolute_error(actual, predicted), rel=1e-12)
    )
    assert math.sqrt(mean(found, "squared_error")) == pytest.approx(
        sk.root_mean_squared_error(actual, predicted), rel=1e-12
    )
    assert found["absolute_error", "over"] - found["absolute_error", "under"] == pytest.approx(
        float((predicted - actual).sum()), rel=1e-9
    )
    assert spread(found, "squared_error") == pytest.approx(np.std(errors**2), rel=1e-9)
    assert below == [int((errors <= bound).sum()) for bound in ERROR_BOUNDS]
    assert found["error_bin", "+Inf"] == ROWS
    assert ERROR_BOUNDS[place - 1] < np.quantile(errors, 0.9, method="inverted_cdf") <= ERROR_BOUNDS[place]


def test_a_ranking(counts):
    """NDCG@10 is scikit-learn's; a label may name gains, several relevant items, or one."""
    random.seed(5)
    names = [f"i{number}" for number in range(20)]
    expected = []
    for number in range(300):
        items = random.sample(names, 20)
        gains = {name: float(1 + number % 3) for name in random.sample(names, 1 + number % 4)}
        add(counts, prediction("ranking", predicted=list_text(items)), gains_text(gains))
        truth = [gains.get(name, 0.0) for name in items]
        expected.append(sk.ndcg_score([truth], [list(range(20, 0, -1))], k=10))
    found = values(counts)

    assert mean(found, "ndcg") == pytest.approx(np.mean(expected), rel=1e-12)
    assert spread(found, "ndcg") == pytest.approx(np.std(expected), rel=1e-9)
    for label in ("x", set_text(["x"]), gains_text({"x": 3})):
        add(counts, prediction("ranking", predicted=list_text(["y", "x"])), label)
    more = values(counts)
    assert [more[key,] - found[key,] for key in ("predictions", "reciprocal_rank", "hits")] == [3, 1.5, 3]


EXPECTED = {
    "binary": {"classes": ("0", "1"), "positive": "1", "scores": True},
    "multiclass": {"classes": LETTERS, "probabilities": True},
    "multilabel": {"classes": LETTERS, "probabilities": True},
    "regression": {},
    "ranking": {},
}
FIRST = {
    "binary": ({"classes": ("0", "1"), "positive": "1", "predicted": "1", "score": 0.7}, "0"),
    "multiclass": ({"classes": LETTERS, "predicted": "a", "probabilities": (0.7, 0.1, 0.1, 0.1)}, "d"),
    "multilabel": ({"classes": LETTERS, "predicted": '["a"]', "probabilities": (0.7, 0.1, 0.1, 0.1)}, '["b"]'),
    "regression": ({"value": 1.0}, "3"),
    "ranking": ({"predicted": '["a"]'}, '{"a": 2.0}'),
}
SERIES = {"binary": 3 + 4 + 150 + 5, "multiclass": 3 + 16 + 600 + 5, "multilabel": 3 + 16 + 1 + 600 + 5}
SERIES |= {"regression": 3 + 1 + 2 + 2 + 152, "ranking": 3 + 6}


@pytest.mark.parametrize("task", EXPECTED)
def test_all_series_start_at_0_before_the_first_label(counts, task):
    """A label adds to series that are there already, so that Prometheus sees it as an increase."""
    expect(counts, task, **EXPECTED[task])
    before = values(counts)
    fields, label = FIRST[task]
    add(counts, prediction(task, **fields), label, 3.0)

    assert set(before.values()) == {0}
    assert len(before) == SERIES[task]
    assert values(counts).keys() == before.keys()


def test_the_doctor_knows_what_labels_cost(counts):
    """The series that it names are those of the counts and the twelve of the histogram of the lag."""
    names = tuple(f"c{number}" for number in range(series._CLASSES))
    found = {}
    for task, more in EXPECTED.items():
        before = sum(1 for _, observed in counts.read() for _ in observed)
        model = LoggedModel(task, "1", "primary", task, more.get("positive"), more.get("classes") and names)
        model = model if task != "binary" else model._replace(classes=("0", "1"))
        counts.expect(Expected(model, (), more.get("scores", False), more.get("probabilities", False)))
        found[task] = sum(1 for _, observed in counts.read() for _ in observed) - before + 12

    assert found == series._LABEL_SERIES


def test_a_model_without_scores_has_no_series_of_scores(counts):
    """What a model cannot have does not stay at 0 for ever."""
    expect(counts, "binary", classes=("0", "1"), positive="1")
    expect(counts, "multiclass", classes=LETTERS, predicted={"a"})

    assert {key[0] for key in values(counts)} == {"outcomes", "labels"}


@pytest.mark.parametrize(
    "probabilities", [(0.5, 0.2, 0.1, 0.1), (1.2, -0.2, 0.0, 0.0), (math.nan, 0.5, 0.5, 0.0), (0.5, 0.5)]
)
def test_probabilities_that_are_none_are_not_counted(counts, caplog, probabilities):
    """One line says so, and the outcome is counted."""
    for _ in range(3):
        add(counts, prediction("multiclass", classes=LETTERS, predicted="a", probabilities=probabilities), "a")
    found = values(counts)

    assert (found["outcomes", "a", "a"], found["predictions",]) == (3, 0)
    assert [record.message for record in caplog.records] == [
        (
            "otel-ml: model 'm': probabilities that are not one for each declared class, in 0..1 and with the sum 1 are not "
            "counted for its live AUC, calibration, Brier score and log loss"
        )
    ]


def test_multilabel_probabilities_need_no_sum(counts, caplog):
    """Each is in 0..1; one that is not is left out with its prediction."""
    for first in (0.9, math.nan, 7.0):
        made = prediction("multilabel", classes=("a", "b"), predicted='["a"]', probabilities=(first, 0.9))
        add(counts, made, "a")
    found = values(counts)

    assert (found["predictions",], found["exact_matches",], found["class_outcomes", "a", "tp"]) == (1, 3, 3)
    assert len(caplog.records) == 1


def test_more_than_20_classes_have_no_bins(counts, caplog):
    """Their Brier score and log loss are counted; one line says what is not."""
    names = tuple(f"c{number}" for number in range(21))
    shares = [1 / 21] * 21
    expect(counts, "multiclass", classes=names, predicted={"c0"}, probabilities=True)
    for name in names:
        add(counts, prediction("multiclass", classes=names, predicted=name, probabilities=shares), name)
    found = values(counts)

    assert {key[0] for key in found} & {"score_bin", "score_sum"} == set()
    assert mean(found, "log_loss") == pytest.approx(math.log(21))
    assert (found["outcomes", "c19", "c19"], found["outcomes", "__other__", "__other__"]) == (1, 1)
    assert [record.message for record in caplog.records] == [
        (
            "otel-ml: model 'm' has 21 classes: its live AUC and calibration need bins of each class and are only counted "
            "for up to 20; compute_metrics has them"
        )
    ]


def test_many_classes_of_a_multilabel_model(counts):
    """The first 100 have outcomes of their own, the others have them together."""
    names = tuple(f"c{number}" for number in range(103))
    add(counts, prediction("multilabel", classes=names, predicted=set_text(["c1", "c101"])), set_text(["c1", "c102"]))
    found = values(counts)

    assert sum(key[0] == "class_outcomes" for key in found) == 404
    assert [found["class_outcomes", "c1", each] for each in ("tp", "fp", "fn", "tn")] == [1, 0, 0, 0]
    assert [found["class_outcomes", "__other__", each] for each in ("tp", "fp", "fn", "tn")] == [0, 1, 1, 1]


def test_all_classes_of_a_model_have_bins_or_none(counts, emitted, caplog):
    """19 classes fill the room of an SDK's meter; the 20th would make the mean over the classes another one."""
    names = tuple(f"c{number}" for number in range(20))
    made = prediction("multiclass", classes=names, predicted="c0", probabilities=[0.05] * 20)
    add(counts, made, "c0")
    kinds = {key[0] for key in emitted.metrics()}

    assert "ml.eval.score_bin" not in kinds
    assert "ml.eval.brier_score" in kinds
    assert "ml.eval.score_bin has no room" in caplog.text


def test_an_error_that_cannot_be_squared_is_left_out(counts, caplog):
    """The error is in no sum, and one line says so."""
    for value in (1e200, 1e80, 2.0):
        add(counts, prediction("regression", value=value), "1", 1.0)

    assert values(counts)["predictions",] == 1
    assert len(caplog.records) == 1


def test_a_label_without_a_number_is_no_error(counts):
    """Nor is one of a prediction without a value; bins and sums stay."""
    add(counts, prediction("regression", value=1.0), "many", None)
    add(counts, prediction("regression", value=None), "1", 1.0)

    assert {key for key in values(counts) if key[0] != "labels"} == set()


def test_a_small_term_beside_a_large_total_counts():
    """A plain sum would forget each of them."""
    made = Sum(ObservedSeries({}))
    made.add(1e16)
    for _ in range(1000):
        made.add(0.25)
    ((_, total),) = made.read()
    small_first = Sum(ObservedSeries({}))
    small_first.add(0.5)
    small_first.add(1e16)
    small_first.add(0.5)
    ((_, other),) = small_first.read()

    assert (total, other) == (1e16 + 250, 1e16 + 1)
    assert json.dumps(total) == "1.000000000000025e+16"
