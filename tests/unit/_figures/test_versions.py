"""Differences between two versions, beside scipy; and how often equal versions are called different."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from otel_ml._figures import versions
from otel_ml._figures.intervals import Z

RNG = np.random.default_rng(16)


@pytest.mark.parametrize("pair", [(0, 0), (0, 3), (5, 5), (9, 15), (14, 10), (24, 0)])
def test_mcnemar_of_few_pairs_is_exact(pair: tuple[int, int]) -> None:
    """Below 25 discordant pairs the p-value is that of the binomial test."""
    expected = stats.binomtest(pair[0], sum(pair)).pvalue if sum(pair) else 1.0
    assert versions.mcnemar(*pair) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("pair", [(10, 15), (25, 0), (30, 31), (100, 140), (2000, 1800)])
def test_mcnemar_of_many_pairs_has_the_continuity_correction(pair: tuple[int, int]) -> None:
    """From 25 on it is the chi-square test with continuity correction."""
    corrected = max(abs(pair[0] - pair[1]) - 1, 0) ** 2 / sum(pair)
    assert versions.mcnemar(*pair) == pytest.approx(stats.chi2.sf(corrected, 1), rel=1e-12)


@pytest.mark.parametrize(("right", "counts"), [((900, 80), (1000, 100)), ((5, 9), (10, 10)), ((700, 700), (1000, 990))])
def test_two_proportions_are_those_of_scipy(right: tuple[int, int], counts: tuple[int, int]) -> None:
    """The p-value is that of the chi-square test without correction, the interval Newcombe's."""
    found = versions.compare_shares(right, counts)
    table = [[part, whole - part] for part, whole in zip(right, counts, strict=True)]
    assert found.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)
    (low, high), (other_low, other_high) = (
        stats.binomtest(part, whole).proportion_ci(0.95, "wilson") for part, whole in zip(right, counts, strict=True)
    )
    one, other = (part / whole for part, whole in zip(right, counts, strict=True))
    expected = (
        other - one - math.hypot(other - other_low, high - one),
        other - one + math.hypot(other_high - other, one - low),
    )
    assert found.interval == pytest.approx(expected, rel=1e-9)


def test_errors_are_compared_as_scipy_does() -> None:
    """Of many pairs the statistic is that of the paired t-test; its p-value takes the normal distribution."""
    errors, others = RNG.gamma(2, 1, 500), RNG.gamma(2, 1.05, 500)
    difference = others - errors
    found = versions.compare_errors(500, difference.sum(), (difference**2).sum(), errors.sum())
    expected = stats.ttest_rel(errors, others)
    assert found.z == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(expected.statistic)), rel=1e-9)
    assert found.interval == pytest.approx(
        (difference.mean() - Z * stats.sem(difference), difference.mean() + Z * stats.sem(difference)), rel=1e-9
    )


def limits(information: np.ndarray) -> np.ndarray:
    return np.vectorize(versions.boundary)(np.maximum(information, 1e-6))


def test_the_interval_of_a_paired_difference_holds_the_true_one() -> None:
    """It has the true difference in 93 to 97 of 100 samples, also of few pairs."""
    for size, shares in ((30, (0.7, 0.1, 0.1, 0.1)), (200, (0.9, 0.02, 0.05, 0.03))):
        samples = RNG.multinomial(size, shares, 2000)
        intervals = [versions.compare_pairs(each.tolist()).interval for each in samples]
        held = np.mean([one is not None and one[0] <= shares[2] - shares[1] <= one[1] for one in intervals])
        assert 0.93 <= held <= 0.985


class TestRepeatedReading:
    """The verdict is read after every pair, up to 2,000 times: what is stated holds over the whole comparison."""

    RUNS, PAIRS = 1000, 2000

    def crossed(self, z: np.ndarray, information: np.ndarray) -> float:
        counts = np.unique(information)
        limit = np.zeros(counts.max() + 1)
        limit[counts] = limits(counts)
        return float((np.abs(z) > limit[information]).any(axis=1).mean())

    @pytest.mark.parametrize("rate", [0.05, 0.3])
    def test_equal_versions_under_the_same_ids(self, rate: float) -> None:
        """Fewer than 1 of 100 are ever called better or worse; a test at 5 % that is read as often calls most so."""
        steps = RNG.choice([-1, 0, 1], (self.RUNS, self.PAIRS), p=[rate / 2, 1 - rate, rate / 2])
        total, discordant = steps.cumsum(axis=1), np.abs(steps).cumsum(axis=1)
        z = total / np.sqrt(np.maximum(discordant, 1))
        assert self.crossed(z, discordant) <= versions.LEVEL
        assert (np.abs(z) > Z).any(axis=1).mean() > 0.3

    @pytest.mark.parametrize(("share", "split"), [(0.9, 1), (0.9, 10), (0.98, 4)])
    def test_equal_versions_with_requests_of_their_own(self, share: float, split: int) -> None:
        """The same of two proportions, also if the canary has a tenth of the traffic and few are wrong."""
        count, runs = np.arange(10, self.PAIRS + 1, 10), 4 * self.RUNS
        right = RNG.binomial(10, share, (runs, len(count))).cumsum(axis=1)
        other = RNG.binomial(10 * split, share, (runs, len(count))).cumsum(axis=1)
        pooled = (right + other) / (count * (1 + split))
        information = count * split / (1 + split)
        with np.errstate(all="ignore"):
            z = (right / count - other / (count * split)) / np.sqrt(pooled * (1 - pooled) / information)
        smoothed = (right + other + 1) / (count * (1 + split) + 2)
        least = np.maximum(versions.LEAST, versions.LEAST_OF_KIND / np.minimum(smoothed, 1 - smoothed))
        z = np.where(count >= least, np.nan_to_num(z), 0)
        assert (np.abs(z) > limits(information)).any(axis=1).mean() <= versions.LEVEL

    def test_equal_errors(self) -> None:
        """The same of errors with a long tail."""
        difference = RNG.gamma(0.7, 1, (self.RUNS, self.PAIRS)) - RNG.gamma(0.7, 1, (self.RUNS, self.PAIRS))
        count = np.arange(1, self.PAIRS + 1)
        mean = difference.cumsum(axis=1) / count
        variance = ((difference**2).cumsum(axis=1) / count - mean**2)[:, versions.LEAST :]
        z = mean[:, versions.LEAST :] / np.sqrt(variance / count[versions.LEAST :])
        assert (np.abs(z) > limits(count[versions.LEAST :])).any(axis=1).mean() <= versions.LEVEL

    @pytest.mark.parametrize(("rate", "difference"), [(0.1, 0.02), (0.3, 0.05)])
    def test_the_number_needed_finds_the_stated_difference(self, rate: float, difference: float) -> None:
        """With as many pairs as are said to be needed, 90 to 97 of 100 such differences are found."""
        needed = math.ceil(versions.needed(rate, difference, rate))
        steps = RNG.choice([-1, 0, 1], (500, needed), p=[(rate - difference) / 2, 1 - rate, (rate + difference) / 2])
        total, discordant = steps.cumsum(axis=1), np.abs(steps).cumsum(axis=1)
        assert 0.9 <= self.crossed(total / np.sqrt(np.maximum(discordant, 1)), discordant) <= 0.97


def test_what_has_no_data_has_no_verdict() -> None:
    """Without pairs, labels, or errors nothing is said; without errors of the baseline no number is needed."""
    for found in (
        versions.compare_pairs((0, 0, 0, 0)),
        versions.compare_shares((0, 0), (0, 5)),
        versions.compare_errors(1, 1, 1, 1),
    ):
        assert found == versions.UNKNOWN
    assert versions.compare_errors(500, 0, 0, 0).verdict == versions.NOT_ENOUGH
    assert versions.compare_shares((99, 99), (99, 99)).verdict == versions.NOT_ENOUGH
