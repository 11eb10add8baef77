"""Segments of a column: which one is worse than the rest, beyond noise or not, and how fairly they are treated."""

from __future__ import annotations

import math
from itertools import starmap

import numpy as np
import pytest
from scipy import stats

from otel_ml._distances import psi_noise
from otel_ml._figures import segments
from otel_ml._figures.segments import Contrast, Errors, SegmentOutcomes, Share

OUTCOMES = {
    "group 1": SegmentOutcomes(31, 9, 12, 48),
    "group 2": SegmentOutcomes(18, 14, 7, 61),
    "group 3": SegmentOutcomes(9, 2, 11, 28),
}
NEVER_POSITIVE = {**OUTCOMES, "group 4": SegmentOutcomes(fp=1, tn=9)}
ONE = {"north": Share(3, 10), "south": Share(0, 0)}


@pytest.mark.parametrize("table", [((3, 20), (30, 900)), ((40, 50), (500, 510)), ((0, 7), (1, 2)), ((5, 5), (1, 9))])
def test_two_shares_differ_by_the_root_of_the_likelihood_ratio(table):
    """It is that of scipy, positive if the segment has the higher share, and the same from the other side."""
    (part, whole), (rest, others) = table
    cells = [[part, whole - part], [rest, others - rest]]
    found = stats.chi2_contingency(cells, correction=False, lambda_="log-likelihood").statistic
    expected = math.copysign(math.sqrt(found), part / whole - rest / others)
    assert segments.share_z(Share(part, whole), Share(rest, others)) == pytest.approx(expected, abs=1e-9)
    assert segments.share_z(Share(rest, others), Share(part, whole)) == pytest.approx(-expected, abs=1e-9)


def test_equal_shares_and_no_rows_are_no_difference():
    """Shares of 0 and of 1 on both sides differ by nothing; without rows there is no answer."""
    pairs = [(Share(0, 5), Share(0, 9)), (Share(5, 5), Share(9, 9)), (Share(2, 4), Share(3, 6))]
    assert [abs(z) for z in starmap(segments.share_z, pairs)] == [0.0, 0.0, 0.0]
    assert segments.share_z(Share(0, 0), Share(1, 2)) is None


def test_the_limit_is_one_false_alarm_in_a_thousand_over_all_segments():
    """It is the normal quantile of Bonferroni's share of 0.001."""
    numbers = np.arange(1, 21)
    limits = [segments.noise_limit(number) for number in numbers]
    assert limits == pytest.approx(stats.norm.isf(0.001 / numbers), abs=1e-4)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_clean_windows_are_within_noise(share):
    """Of 2,000 windows without a bad segment few are beyond noise, also with rare errors and small segments."""
    random = np.random.default_rng(16)
    sizes = np.array([1000, 300, 200, 100, 60, 40, 20, 10])
    beyond = 0
    for parts in random.binomial(sizes, share, (2_000, len(sizes))).tolist():
        shares = {str(place): Share(*pair) for place, pair in enumerate(zip(parts, sizes.tolist(), strict=True))}
        beyond += segments.highest_share(shares).is_beyond_noise
    assert beyond <= 8  # 0.001 of 2,000 are 2; 9 or more come by chance once in 4,000


def test_the_worst_segment_is_the_one_that_is_most_surely_worse():
    """A segment of two rows with both wrong has a higher share, but is not as sure."""
    wrong = {"north": Share(20, 1000), "south": Share(60, 800), "east": Share(2, 2), "west": Share(0, 0)}
    found = segments.highest_share(wrong)
    z = segments.share_z(Share(60, 800), Share(22, 1002))
    assert found == Contrast("south", 60 / 800, 22 / 1002, z, segments.noise_limit(3))
    assert found.is_beyond_noise
    right = {name: Share(share.whole - share.part, share.whole) for name, share in wrong.items()}
    lowest = segments.lowest_share(right)
    assert lowest == (found.segment, pytest.approx(740 / 800), pytest.approx(980 / 1002), found.z, found.limit)


def test_a_share_that_is_too_high_is_a_difference_as_one_that_is_too_low():
    """The limit is that of twice as many comparisons, since both directions count."""
    shares = {"north": Share(500, 1000), "south": Share(425, 1000)}
    limits = [segments.noise_limit(number) for number in (2, 4)]
    z = segments.highest_share(shares).z
    assert limits[0] < z < limits[1]
    assert not segments.is_any_beyond_noise(shares)
    for part in (410, 590):
        assert segments.is_any_beyond_noise({**shares, "south": Share(part, 1000)})
    assert not segments.is_any_beyond_noise(ONE)


def test_one_segment_has_no_rest():
    """With less than two segments that have rows nothing is worse, and no ratio or difference is known."""
    for compare in (segments.highest_share, segments.lowest_share, segments.ratio, segments.difference):
        assert (compare(ONE), compare({})) == (None, None)


def test_means_differ_by_welch_unless_the_column_varies_more():
    """With variances above that of the column the statistic is scipy's; otherwise the variance is the column's."""
    random = np.random.default_rng(5)
    left, right = np.abs(random.normal(0, 3, 50)), np.abs(random.normal(0, 1, 400))
    sums = [Errors(len(each), each.sum(), (each**2).sum()) for each in (left, right)]
    column = np.concatenate([left, right]).var(ddof=1)
    assert left.var(ddof=1) > column > right.var(ddof=1)
    expected = (left.mean() - right.mean()) / math.sqrt(left.var(ddof=1) / 50 + column / 400)
    assert segments.mean_z(*sums) == pytest.approx(expected)
    wide = [Errors(50, 0.0, 50.0), Errors(50, 0.0, 50.0)]
    assert segments.mean_z(*wide) == 0.0


def test_the_mean_of_few_errors_is_not_judged():
    """A segment with less than 10 errors, or such a rest, is never the worst; one value in all errors is no noise."""
    many, few = Errors(50, 50.0, 50.0), Errors(9, 900.0, 90000.0)
    assert segments.mean_z(few, many) is segments.mean_z(many, few) is None
    assert segments.highest_mean({"north": many, "south": few}) is None
    assert segments.highest_mean({"north": many}) is segments.highest_mean({}) is None
    found = segments.highest_mean({"north": many, "south": few, "east": many._replace(total=60.0, squares=80.0)})
    assert (found.segment, found.value, found.limit) == ("east", 60 / 50, segments.noise_limit(3))
    assert segments.mean_z(many, many) == 0.0


def test_a_shift_of_scores_is_the_psi_of_a_segment_against_the_rest():
    """Bins that the column does not have are left out; both sides are smoothed towards the column."""
    own, rest = [30, 10, 0, 0, 20], [100, 300, 0, 40, 60]
    column = np.array([130, 310, 40, 80]) / 560
    p = (np.array([30, 10, 0, 20]) + 4 * column) / 64
    q = (np.array([100, 300, 40, 60]) + 4 * column) / 504
    assert segments.score_shift(own, rest) == pytest.approx(float(((p - q) * np.log(p / q)).sum()))
    assert segments.score_shift(rest, own) == pytest.approx(segments.score_shift(own, rest))
    expected = psi_noise(column.tolist(), 60, 500, segments.noise_limit(8))
    assert segments.score_shift_noise(own, rest, 8) == segments.score_shift_noise(rest, own, 8) == expected
    assert segments.score_shift([0] * 5, rest) is segments.score_shift([0] * 5, [0] * 5) is None
    assert segments.score_shift_noise([0] * 5, rest, 8) is None


def test_fairness_is_that_of_fairlearn():
    """Ratio of selection rates, and differences of true and false positive rates, as Fairlearn 0.15 gives them."""
    selected = {name: outcomes.selected for name, outcomes in OUTCOMES.items()}
    found = {name: outcomes.true_positives for name, outcomes in OUTCOMES.items()}
    false = {name: outcomes.false_positives for name, outcomes in OUTCOMES.items()}
    assert segments.ratio(selected) == pytest.approx(0.5499999999999999)
    assert segments.difference(found) == pytest.approx(0.27093023255813947)
    assert segments.difference(false) == pytest.approx(0.12000000000000001)
    assert max(segments.difference(found), segments.difference(false)) == pytest.approx(0.27093023255813947)


def test_a_segment_without_positive_labels_has_no_true_positive_rate():
    """It is left out of the difference instead of counting as 0, and nobody selected is no ratio."""
    rates = {name: outcomes.true_positives for name, outcomes in NEVER_POSITIVE.items()}
    assert segments.difference(rates) == pytest.approx(0.27093023255813947)
    assert rates["group 4"].value is None
    assert segments.ratio({"north": Share(0, 5), "south": Share(0, 7)}) is None
