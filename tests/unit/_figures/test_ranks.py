"""AUC, its interval, and average precision."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn import metrics

from otel_ml._figures.ranks import compare, macro_auc, rank


def draw(seed, count=300, decimals=1):
    """Scores with ties, and sides."""
    rng = np.random.default_rng(seed)
    sides = (rng.random(count) < 0.3).astype(np.uint8)
    return array("d", np.round(rng.normal(sides, 1), decimals)), sides.tobytes()


def test_figures_are_those_of_scikit_learn():
    """AUC and average precision, with and without ties, equal those of scikit-learn."""
    scores, sides = draw(1)
    found = rank(scores, sides)
    assert found.auc.value == pytest.approx(metrics.roc_auc_score(list(sides), scores), abs=1e-12)
    assert found.average_precision.value == pytest.approx(
        metrics.average_precision_score(list(sides), scores), abs=1e-12
    )


def test_the_variance_is_that_of_delong():
    """By all pairs of a positive and a negative, as in the definition."""
    scores, sides = draw(2, 60)
    values, is_positive = np.array(scores), np.frombuffer(sides, np.uint8) == 1
    above = np.sign(np.subtract.outer(values[is_positive], values[~is_positive])) / 2 + 0.5
    variance = above.mean(1).var(ddof=1) / above.shape[0] + above.mean(0).var(ddof=1) / above.shape[1]
    found = rank(scores, sides)
    assert sum(move * move for move in found.moves) == pytest.approx(variance, rel=1e-12)
    auc = above.mean()
    ends = logit(auc) + np.array([-1, 1]) * norm.ppf(0.975) * variance**0.5 / (auc * (1 - auc))
    assert found.auc.interval == pytest.approx(expit(ends), abs=1e-12)


def test_numpy_compares_the_same():
    """With numpy the ranks are the same, bit for bit."""
    scores, sides = draw(3, 1000)
    assert compare(scores, sides, many=0) == compare(scores, sides)


def test_without_one_side_there_is_no_auc():
    """Average precision takes positives alone."""
    scores = array("d", [0.2, 0.4])
    assert [each.value for each in rank(scores, bytes([1, 1]))[:2]] == [None, 1.0]
    assert [each.value for each in rank(scores, bytes([0, 0]))[:2]] == [None, None]


def test_the_interval_of_a_mean_knows_that_classes_go_together():
    """The same class twice has the interval of one; the mean skips a class without an AUC."""
    scores, sides = draw(4)
    one, none = rank(scores, sides), rank(scores, bytes(len(sides)))
    both = macro_auc([one, one, none])
    assert (both.value, both.interval) == (one.auc.value, pytest.approx(one.auc.interval))
    assert macro_auc([none]) == (None, None)
