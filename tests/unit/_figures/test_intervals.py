"""Intervals of figures: their formulas, and how often they hold the true value."""

from __future__ import annotations

import math
from array import array

import numpy as np
import pytest
from scipy import stats

from otel_ml._figures import intervals
from otel_ml._figures.confusion import ClassCounts, count_classes, macro
from otel_ml._figures.errors import measure_errors
from otel_ml._figures.ranks import rank

ROUNDS = 300


@pytest.mark.parametrize(("part", "whole"), [(0, 5), (5, 5), (3, 40), (999, 1000)])
def test_a_share_has_the_interval_of_wilson(part, whole):
    """It is that of scipy, and is defined for no and for all cases."""
    expected = stats.binomtest(part, whole).proportion_ci(method="wilson")
    value, interval = intervals.share(part, whole)
    assert value == part / whole
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_mean_has_two_standard_errors_on_both_sides():
    """Values that occur several times count so often; the ends stay within the range; one value has no interval."""
    value, interval = intervals.mean([0.0, 0.0, 1.0])
    error = stats.sem([0, 0, 1]) * stats.norm.ppf(0.975)
    assert (value, interval) == (pytest.approx(1 / 3), pytest.approx((1 / 3 - error, 1 / 3 + error)))
    assert intervals.mean([0.0, 1.0], 0.0, times=[2, 1]) == (value, pytest.approx((0.0, interval[1])))
    assert (intervals.mean([2.0]), intervals.mean([])) == ((2.0, None), (None, None))


@pytest.mark.parametrize(("count", "level"), [(10, 0.5), (100, 0.9), (1000, 0.99), (100_000, 0.5)])
def test_a_quantile_lies_between_two_ranks(count, level):
    """They are those of the binomial distribution."""
    low, high = intervals.quantile_ranks(count, level)
    below = stats.binom(count, level)
    assert below.cdf(low - 1) <= 0.025 < below.cdf(low)
    assert below.cdf(high - 2) < 0.975 <= below.cdf(high - 1)


def test_few_values_have_no_interval_of_a_quantile():
    """The 99th percentile takes 368 values; the value itself is that of numpy."""
    values = [float(each) for each in range(367)]
    assert intervals.quantile(values, 0.99) == (pytest.approx(np.quantile(values, 0.99)), None)
    assert intervals.quantile([*values, 400.0], 0.99).interval is not None
    assert intervals.quantile([], 0.5) == (None, None)


def _holds(truth, interval):
    return interval is not None and interval[0] <= truth <= interval[1]


def _confusion(rng):
    """Three classes, 300 predictions; the true figures are those of the probabilities of the outcomes."""
    shares = np.array([[0.4, 0.06, 0.02], [0.05, 0.2, 0.05], [0.05, 0.02, 0.15]])
    names = "abc"
    pairs = [(frozenset(names[row]), frozenset(names[column])) for row in range(3) for column in range(3)]

    def figures(counts):
        outcomes = {pair: times for pair, times in zip(pairs, counts, strict=True) if times}
        of_class = count_classes(outcomes, names)
        found = {f"macro {name}": macro(outcomes, of_class, name) for name in ("precision", "recall", "f1")}
        return {**found, "f1": of_class["c"].f1(), "precision": of_class["c"].precision()}

    truth = figures(shares.ravel() * 1_000_000)
    return truth, lambda: figures(rng.multinomial(300, shares.ravel()).tolist())


def _scores(rng):
    """Scores of 40 positives and 160 negatives, whose AUC is that of two normal distributions."""

    def figures():
        scores = array("d", np.concatenate([rng.normal(1, 1, 40), rng.normal(0, 1, 160)]))
        found = rank(scores, bytes([1] * 40 + [0] * 160))
        return {"auc": found.auc, "average_precision": found.average_precision}

    many = array("d", np.concatenate([rng.normal(1, 1, 40_000), rng.normal(0, 1, 160_000)]))
    truth = rank(many, bytes([1] * 40_000 + [0] * 160_000))
    return {"auc": truth.auc, "average_precision": truth.average_precision}, figures


def _errors(rng):
    """Normal errors with a bias."""
    names = ("mae", "rmse", "bias", "error_p50", "error_p90")

    def figures(count=300):
        found = measure_errors(rng.normal(0.5, 2, count).tolist(), [0.0] * count)
        return {name: found[name] for name in names}

    return figures(100_000), figures


@pytest.mark.parametrize("sample", [_confusion, _scores, _errors])
def test_intervals_hold_the_truth_in_95_of_100_samples(sample):
    """Of 300 samples 92 to 98 % have it, whatever the method."""
    rng = np.random.default_rng(7)
    truth, draw = sample(rng)
    drawn = [draw() for _ in range(ROUNDS)]
    coverage = {
        name: np.mean([_holds(each.value, found[name].interval) for found in drawn]) for name, each in truth.items()
    }
    assert {name: share for name, share in coverage.items() if not 0.92 <= share <= 0.985} == {}


def test_a_perfect_figure_has_an_interval_only_where_it_means_something():
    """F1 of a class has that of a share; a mean without any error has none, nor has an AUC of 1."""
    outcomes = {(frozenset("a"), frozenset("a")): 5, (frozenset("b"), frozenset("b")): 5}
    assert macro(outcomes, count_classes(outcomes, "ab"), "f1") == (1.0, None)
    assert ClassCounts(5, 0, 0).f1() == (1.0, (pytest.approx(0.7225, abs=1e-4), 1.0))
    assert rank(array("d", [0.1, 0.2, 0.8, 0.9]), bytes([0, 0, 1, 1])).auc == (1.0, None)
    assert math.isclose(measure_errors([1.0, 1.0], [1.0, 1.0])["rmse"].value, 0.0)
