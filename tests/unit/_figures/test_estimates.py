"""Estimated figures from calibrated probabilities, against every possible outcome and against single rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from otel_ml._figures.bins import SCORE_BINS, score_bin
from otel_ml._figures.calibrated_shares import calibrated_shares
from otel_ml._figures.estimates import EstimateSums, delong_error
from otel_ml._figures.intervals import Z
from otel_ml._figures.score_probabilities import Calibration

RNG = np.random.default_rng(16)
NEVER_ENDING = 10**12
"""Rows of a training that has no error of its own."""


def sums_of(scores, predicted):
    sums = EstimateSums(2, is_binary=True)
    for score, place in zip(scores, predicted, strict=True):
        sums.add_binary(place, score_bin(score), score)
    return sums


def error(estimate):
    """The standard error that an interval is made of."""
    return (estimate.interval[1] - estimate.interval[0]) / 2 / Z


def binned(scores, actual):
    places = np.minimum((scores * SCORE_BINS).astype(int), SCORE_BINS - 1)
    positives = np.bincount(places, actual, SCORE_BINS).astype(int)
    sizes = np.bincount(places, minlength=SCORE_BINS)
    return positives.tolist(), (sizes - positives).tolist(), np.bincount(places, scores, SCORE_BINS).tolist(), places


def test_expected_counts_are_the_mean_over_all_outcomes():
    """Accuracy and its error are those of every possible outcome of eight predictions, weighted by its probability."""
    scores = RNG.random(8)
    predicted = (scores > 0.4).astype(int)
    found = sums_of(scores, predicted).figures(NEVER_ENDING)["accuracy"]
    outcomes = np.array(list(itertools.product((0, 1), repeat=8)))
    weights = np.prod(np.where(outcomes == 1, scores, 1 - scores), axis=1)
    accuracy = (outcomes == predicted).mean(axis=1)
    assert found.value == pytest.approx((weights * accuracy).sum())
    deviation = np.sqrt((weights * (accuracy - found.value) ** 2).sum())
    assert found.value - found.interval[0] == pytest.approx(Z * deviation)


@pytest.mark.parametrize("several", [False, True], ids=["binary", "multiclass"])
def test_figures_and_intervals_are_those_of_simulated_labels(several):
    """Drawn labels of the same predictions have these figures on average, and vary as the interval says."""
    size, draws = 2_000, 120
    scores = RNG.random((size, 1)) if not several else RNG.dirichlet((1, 1, 2), size)
    chances = np.column_stack([1 - scores[:, 0], scores[:, 0]]) if not several else scores
    predicted = chances.argmax(axis=1)
    sums = EstimateSums(chances.shape[1], is_binary=not several)
    if several:
        sums.add_all(predicted, chances)
    else:
        for place, chance in zip(predicted.tolist(), chances[:, 1].tolist(), strict=True):
            sums.add_binary(place, score_bin(chance), chance)
    found = sums.figures(NEVER_ENDING)
    drawn = np.array([macro_figures(draw(chances), predicted, sums.averaged) for _ in range(draws)])
    for name, values in zip(("precision", "recall", "f1"), drawn.T, strict=True):
        assert values.mean() == pytest.approx(found[name].value, abs=4 * error(found[name]) / draws**0.5 + 2e-4)
        ratio = error(found[name]) / values.std()
        assert 0.8 < ratio < (2.2 if several else 1.25), (name, ratio)


def draw(chances):
    return (chances.cumsum(axis=1) > RNG.random((len(chances), 1))).argmax(axis=1)


def macro_figures(actual, predicted, classes):
    """Mean precision, recall and F1 over some classes."""
    right = np.array([np.sum((actual == each) & (predicted == each)) for each in classes])
    given, true = (np.array([np.sum(side == each) for each in classes]) for side in (predicted, actual))
    return [float(np.mean(each)) for each in (right / given, right / true, 2 * right / (given + true))]


def test_the_binned_auc_is_that_of_all_pairs_and_its_bound_holds():
    """It is what pairs of rows give whose chances are weights; half of the pairs in one bin bound the error."""
    scores = np.round(RNG.random(300), 3)
    found = sums_of(scores, (scores > 0.5).astype(int)).figures(NEVER_ENDING)["auc"]
    pairs = np.outer(scores, 1 - scores)

    def area(ranks):
        wins = (ranks[:, None] > ranks) + 0.5 * (ranks[:, None] == ranks)
        return (pairs * wins).sum() / pairs.sum()

    places = np.array([score_bin(score) for score in scores])
    assert found.value == pytest.approx(area(places), rel=1e-12)
    bound = 0.5 * (pairs * (places[:, None] == places)).sum() / pairs.sum()
    assert abs(area(scores) - found.value) <= bound < 0.02


def test_the_error_of_the_auc_is_that_of_delong():
    """With whole counts it is what DeLong gives pair by pair; with less than two of a kind there is none."""
    positives, negatives = RNG.integers(0, 5, 10).tolist(), RNG.integers(0, 5, 10).tolist()
    up, down = (np.repeat(np.arange(10), each) for each in (positives, negatives))
    wins = (up[:, None] > down) + 0.5 * (up[:, None] == down)
    expected = np.sqrt(wins.mean(1).var(ddof=1) / len(up) + wins.mean(0).var(ddof=1) / len(down))
    assert delong_error(positives, negatives, wins.mean()) == pytest.approx(expected)
    assert delong_error([0.5, 0.5], [3, 3], 0.5) is None


def test_little_training_data_widens_the_interval():
    """The calibration of as many rows as are estimated has as large an error as their labels."""
    scores = RNG.random(500)
    sums = sums_of(scores, (scores > 0.5).astype(int))
    assert error(sums.figures(500)["f1"]) == pytest.approx(2**0.5 * error(sums.figures(NEVER_ENDING)["f1"]), rel=1e-6)


def test_nothing_predicted_has_no_figures():
    """Without predictions no figure is defined; without a predicted positive only precision is not."""
    assert {each.value for each in EstimateSums(2, is_binary=True).figures(100).values()} == {None}
    found = sums_of([0.1, 0.2], [0, 0]).figures(100)
    assert {name for name, each in found.items() if each.value is None} == {"precision", "auc"}


def test_calibrated_shares_are_the_isotonic_regression_of_scikit_learn():
    """The shares of the bins ascend; a bin without rows is on the line between its neighbours."""
    scores = RNG.beta(0.7, 1.4, 3_000)
    scores = scores[(scores < 0.4) | (scores > 0.5)]
    actual = RNG.random(len(scores)) < scores**2
    positives, negatives, totals, places = binned(scores, actual)
    expected = IsotonicRegression(out_of_bounds="clip").fit(places, actual).predict(np.arange(SCORE_BINS))
    assert calibrated_shares(positives, negatives, totals) == pytest.approx(expected.tolist())


def test_scores_that_are_right_stay_as_they_are():
    """Nothing is fitted to scores that chance explains; at most one training set in ten is."""
    fitted = 0
    for _ in range(100):
        scores = RNG.random(2_000)
        fitted += bool(calibrated_shares(*binned(scores, RNG.random(2_000) < scores)[:3]))
    assert fitted <= 10


CALIBRATION = Calibration(1_000, ("no", "yes"), True, ((),))
SPECIES = Calibration(1_000, ("a", "b", "c"), False, ((), (0.25,) * SCORE_BINS, ()))


def test_a_calibration_in_the_classes_of_the_model():
    """It takes the names and the order that the model declares; a model of another task or other classes has none."""
    assert CALIBRATION.of_model("binary", None) == CALIBRATION
    assert CALIBRATION.of_model("binary", ["0", "1"]).classes == ("0", "1")
    assert CALIBRATION.of_model("multiclass", ["no", "yes"]) is None
    assert SPECIES.of_model("multiclass", ["c", "a", "b"]).shares[2] == SPECIES.shares[1]
    assert [SPECIES.of_model("multiclass", each) for each in (None, ["a", "b"], ["a", "b", "d"])] == [None] * 3


def test_chances_of_a_prediction():
    """They sum to 1; without a probability there are none; a score a little beyond 0 or 1 is at the end."""
    assert CALIBRATION.chances(0.3, None) == (0.7, 0.3)
    assert [CALIBRATION.chances(score, None) for score in (None, 1.2, -0.3, float("nan"))] == [None] * 4
    assert CALIBRATION.chances(1.0005, None) == (0.0, 1.0)
    assert SPECIES.chances(None, (0.5, 0.3, 0.2)) == pytest.approx((0.5 / 0.95, 0.25 / 0.95, 0.2 / 0.95))
    assert [SPECIES.chances(0.5, given) for given in (None, (0.5, 0.5), (0.9, 0.9, 0.9))] == [None] * 3


def test_a_calibration_is_read_back():
    """What was written is read; other bins or other numbers of classes are refused."""
    assert [Calibration.from_text(each.to_text()) for each in (CALIBRATION, SPECIES)] == [CALIBRATION, SPECIES]
    for wrong in (SPECIES._replace(classes=("a", "b")), CALIBRATION._replace(shares=((0.5,),))):
        with pytest.raises(ValueError, match="calibration"):
            Calibration.from_text(wrong.to_text())
