"""The scores of one labelled prediction beside scikit-learn."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn import metrics

from otel_ml._figures import single


def test_a_binary_score_and_loss() -> None:
    """The means over many are scikit-learn's Brier score and log loss; certain predictions included."""
    random.seed(1)
    scores = [0.0, 1.0, 0.0, 1.0, *(random.random() for _ in range(200))]
    actual = [False, True, True, False, *(random.random() < 0.4 for _ in range(200))]
    pairs = list(zip(scores, actual, strict=True))

    brier = np.mean([single.brier_score(score, is_actual=truth) for score, truth in pairs])
    loss = np.mean([single.log_loss(score, is_actual=truth) for score, truth in pairs])

    assert brier == pytest.approx(metrics.brier_score_loss(actual, scores), rel=1e-12)
    assert loss == pytest.approx(metrics.log_loss(actual, scores), rel=1e-12)


def test_a_multiclass_score_and_loss() -> None:
    """The Brier score sums over the classes and is not halved, as in scikit-learn since 1.7."""
    rng = np.random.default_rng(2)
    given = rng.dirichlet([0.5, 1, 2, 1], 300)
    actual = rng.integers(0, 4, 300)

    brier = np.mean([single.multiclass_brier_score(row, one) for row, one in zip(given, actual, strict=True)])
    loss = np.mean([single.multiclass_log_loss(row, one) for row, one in zip(given, actual, strict=True)])
    onehot = np.eye(4)[actual]

    assert brier == pytest.approx(np.mean(np.sum((given - onehot) ** 2, axis=1)), rel=1e-12)
    assert loss == pytest.approx(metrics.log_loss(actual, given, labels=range(4)), rel=1e-12)


def test_a_multilabel_score_and_loss() -> None:
    """Both are the mean over the classes of the binary one."""
    rng = np.random.default_rng(3)
    given, actual = rng.random((100, 3)), rng.random((100, 3)) < 0.5
    sets = [set(np.flatnonzero(row)) for row in actual]

    brier = np.mean([single.multilabel_brier_score(row, one) for row, one in zip(given, sets, strict=True)])
    loss = np.mean([single.multilabel_log_loss(row, one) for row, one in zip(given, sets, strict=True)])
    each = [(actual[:, column], given[:, column]) for column in range(3)]

    assert brier == pytest.approx(np.mean([metrics.brier_score_loss(*pair) for pair in each]), rel=1e-12)
    assert loss == pytest.approx(np.mean([metrics.log_loss(*pair) for pair in each]), rel=1e-12)


def test_a_ranking() -> None:
    """NDCG@10 is scikit-learn's, with relevant items that the ranking leaves out too; rank and hit end at 10."""
    random.seed(4)
    names = [f"i{number}" for number in range(15)]
    for _ in range(50):
        ranking = random.sample(names, 12)
        gains = {name: float(random.randint(1, 3)) for name in random.sample(names, random.randint(1, 6))}
        truth = [[gains.get(name, 0.0) for name in names]]
        score = [[-float(ranking.index(name)) if name in ranking else -99.0 - names.index(name) for name in names]]

        assert single.ndcg(ranking, gains) == pytest.approx(metrics.ndcg_score(truth, score, k=10), rel=1e-12)

    assert single.reciprocal_rank(["a", "b", "c"], {"c": 1.0, "b": 2.0}) == 0.5
    assert single.reciprocal_rank(names, {"i10": 1.0}) == 0.0
    assert [single.is_hit(names, {item: 1.0}) for item in ("i9", "i10")] == [True, False]
    assert (single.ndcg(names, {}), single.reciprocal_rank([], {"a": 1.0}), single.is_hit([], {})) == (0.0, 0.0, False)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ((0.2, 0.8), True),
        ((0.33, 0.33, 0.33), True),
        ((0.2, 0.7), False),
        ((-0.1, 1.1), False),
        ((float("nan"), 1.0), False),
    ],
)
def test_what_is_a_distribution(probabilities: tuple[float, ...], expected: bool) -> None:
    """Rounded probabilities are one; those outside 0..1, that sum to something else, or are no numbers, are not."""
    assert single.is_distribution(probabilities) is expected
