"""The verdict on one feature: what is found, by which share, and how severe."""

from __future__ import annotations

import numpy as np
import pytest

from otel_ml._distances import share_noise
from otel_ml._verdicts import Reference, WindowCounts, judge

EXPECTED = {"missing": 0.001, "invalid": 0.0001, "unseen": 0.0001, "out_of_range": 0.0004}
REFERENCE = Reference([0.25] * 4, 5000, EXPECTED)


def verdict(counts, **found):
    return judge(REFERENCE, WindowCounts(counts, found))


@pytest.mark.parametrize(
    ("counts", "found", "findings", "most_severe"),
    [
        ([250] * 4, {}, (), "ok"),
        ([25] * 4, {}, (), "too_few"),
        ([700, 100, 100, 100], {}, ("drifted",), "drifted"),
        ([140, 20, 20, 20], {}, (), "too_few"),
        ([0] * 4, {"missing": 1000}, ("missing",), "missing"),
        ([0] * 4, {"missing": 1000, "absent": 1000}, ("absent",), "absent"),
        ([248, 250, 250, 250], {"invalid": 2}, (), "ok"),
        ([230] * 4, {"invalid": 80}, ("invalid",), "invalid"),
        ([250] * 4, {"unseen": 40}, ("unseen",), "unseen"),
        ([250] * 4, {"out_of_range": 40}, ("out_of_range",), "out_of_range"),
        ([0] * 4, {}, (), "too_few"),
    ],
)
def test_everything_that_is_counted_is_judged(counts, found, findings, most_severe):
    """A share above what training lets expect, beyond 0.01 and beyond chance, is a finding; the most severe comes first."""
    judgement = verdict(counts, **found)
    assert (judgement.findings, judgement.verdict) == (findings, most_severe)


def test_without_values_there_is_no_distance():
    """A feature that went away has no PSI, never 0."""
    judgement = verdict([0] * 4, missing=500)
    assert (judgement.psi, judgement.psi_noise, judgement.jensen_shannon) == (None, None, None)


def test_fewer_missing_values_than_in_training_are_found():
    """A missing share that falls from a half to nothing differs from training too."""
    reference = Reference([0.5, 0.5], 5000, {"missing": 0.5})
    assert judge(reference, WindowCounts([300, 300])).findings == ("missing",)


def test_a_periodic_feature_does_not_drift():
    """The distribution of an hour of the day is no evidence, but its missing values are."""
    reference = Reference([0.25] * 4, 5000, EXPECTED, periodic=True)
    judgement = judge(reference, WindowCounts([600, 0, 0, 0], {"missing": 100}))
    assert (judgement.psi > 1, judgement.findings) == (True, ("missing",))


def test_one_feature_of_a_thousand_exceeds_the_noise_by_chance():
    """The excess that chance explains is exceeded at about the stated level, for small and for large shares."""
    random = np.random.default_rng(3)
    for share in (0.0005, 0.01, 0.3):
        for count in (50, 300, 5000):
            noise = share_noise(share, count, 10**9)
            exceeded = random.binomial(count, share, size=20_000) / count - share > noise
            assert exceeded.mean() <= 0.002


@pytest.mark.parametrize(
    ("law", "rows", "window"),
    [
        (lambda random, size: np.where(random.random(size) < 0.7, 0, random.poisson(5, size)), 300, 1000),
        (lambda random, size: random.integers(0, 100, size), 300, 5000),
        (lambda random, size: random.integers(0, 1000, size), 3000, 20_000),
        (lambda random, size: random.zipf(1.3, size), 300, 1000),
    ],
    ids=["zero-inflated counts", "100 categories", "1,000 categories", "a long tail"],
)
def test_new_categories_of_a_small_reference_are_expected(law, rows, window):
    """The share of unseen categories is estimated from few of them, so that its noise is larger than that of a count."""
    random = np.random.default_rng(11)
    found = 0
    for _ in range(150):
        known, times = np.unique(law(random, rows), return_counts=True)
        reference = Reference([1.0], rows, {"unseen": (int((times == 1).sum()) + 0.5) / (rows + 1)})
        live = law(random, window)
        unseen = int((~np.isin(live, known)).sum())
        found += "unseen" in judge(reference, WindowCounts([window], {"unseen": unseen})).findings
    assert found <= 3
