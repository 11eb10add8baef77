"""How often estimates alarm without cause: in 1,000 windows in which a score means what it did in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from otel_ml._figures.bins import SCORE_BINS
from otel_ml._figures.calibrated_shares import calibrated_shares
from otel_ml._figures.estimates import COVERED, GAP_Z, EstimateSums, estimate_gaps
from otel_ml._figures.from_counts import confusion_figures

RNG = np.random.default_rng(1_000)
TRAINING, WINDOW = 3_000, 200
POINTS, WORSE_Z = 0.05, 3.54
"""What the rules ask for."""


def rows(count):
    """Scores that are too high, and their labels."""
    scores = RNG.beta(1, 2, count)
    return scores, (RNG.random(count) < scores**1.4).astype(int)


def realised(scores, actual):
    places = (scores > 0.5).astype(int)
    return confusion_figures(
        {(str(p), str(a)): int(np.sum((places == p) & (actual == a))) for p in (0, 1) for a in (0, 1)}, "1"
    )


def calibrated():
    """Calibrated shares of a training set, and the figures of that set."""
    scores, actual = rows(TRAINING)
    places = (scores * SCORE_BINS).astype(int)
    sizes, sums = (np.bincount(places, each, SCORE_BINS) for each in (None, scores))
    positives = np.bincount(places, actual, SCORE_BINS).astype(int)
    shares = calibrated_shares(positives.tolist(), (sizes - positives).tolist(), sums.tolist())
    return np.array(shares), realised(scores, actual)


def expected(shares, scores):
    sums = EstimateSums(2, is_binary=True)
    places = (scores * SCORE_BINS).astype(int)
    cells, chances = ((scores > 0.5) + 1) * SCORE_BINS + places, shares[places]
    weights = (None, chances, chances**2)
    sums.add_cells(*(np.bincount(cells, each, 3 * SCORE_BINS).reshape(3, SCORE_BINS) for each in weights))
    return sums


def test_clean_windows_hardly_ever_alarm():
    """At most 5 of 1,000 windows contradict one of the four figures, and none is estimated to be worse than training."""
    wrong = worse = 0
    for _ in range(100):
        shares, training = calibrated()
        for _ in range(10):
            scores, actual = rows(WINDOW)
            sums = expected(shares, scores)
            gaps = estimate_gaps(sums, realised(scores, actual), TRAINING).values()
            wrong += any(abs(gap) > POINTS and z is not None and abs(z) > GAP_Z for gap, z in gaps)
            falls = [
                (training[name] - value, error)
                for name, (value, error) in sums.errors(TRAINING).items()
                if name in training
            ]
            worse += any(fall > max(POINTS, WORSE_Z * error) for fall, error in falls)
    assert wrong <= 5
    assert worse == 0


def test_the_rules_have_the_same_limits():
    """Page, rules and simulation ask for the same number of standard errors, and the same share of labels."""
    rules = (Path(__file__).parents[3] / "deploy/prometheus/rules/estimate_1h.yaml").read_text()
    for limit in (f"> bool {GAP_Z})", f"> bool {WORSE_Z} *", f"* {COVERED} <="):
        assert limit in rules
