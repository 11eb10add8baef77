"""Distances, compared with numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2

from otel_ml.quality import jensen_shannon_distance, psi, psi_null_quantile

WINDOWS = st.integers(2, 24).flatmap(
    lambda bins: st.tuples(
        st.lists(st.integers(0, 10_000), min_size=bins, max_size=bins).filter(any),
        st.lists(st.floats(0.001, 1.0), min_size=bins, max_size=bins),
    )
)


def smooth(counts, shares):
    counts, shares = np.array(counts), np.array(shares)
    return (counts + len(counts) * shares) / (counts.sum() + len(counts))


@given(WINDOWS)
def test_distances_are_those_of_numpy_and_scipy(window):
    """PSI and the Jensen-Shannon distance of the smoothed shares, for any counts."""
    counts, weights = window
    shares = (np.array(weights) / sum(weights)).tolist()
    p, q = smooth(counts, shares), np.array(shares)
    assert psi(counts, shares) == pytest.approx(float(((p - q) * np.log(p / q)).sum()), abs=1e-9)
    assert jensen_shannon_distance(counts, shares) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-6)


@pytest.mark.parametrize("bins", [3, 5, 10, 20])
def test_the_noise_level_is_the_chi_square_quantile(bins):
    """Wilson and Hilferty's formula stays within 3 % of the exact quantile at 0.999."""
    exact = chi2.ppf(0.999, bins - 1) * (1 / 500 + 1 / 6000)
    assert psi_null_quantile(bins, 500, 6000) == pytest.approx(exact, rel=0.03)


def test_without_values_there_is_no_distance():
    """An empty window or a single bin has None."""
    assert (psi([0, 0], [0.5, 0.5]), jensen_shannon_distance([0, 0], [0.5, 0.5])) == (None, None)
    assert (psi_null_quantile(2, 0, 9), psi_null_quantile(2, 9, 0), psi_null_quantile(1, 9, 9)) == (None, None, None)


def test_clean_samples_stay_below_the_noise_level():
    """Of 500 windows without drift hardly any exceeds the 0.999 quantile."""
    random = np.random.default_rng(7)
    shares = [0.1] * 10
    windows = random.multinomial(300, shares, size=500).tolist()
    noise = psi_null_quantile(10, 300, 10**9)
    assert sum(psi(counts, shares) > noise for counts in windows) <= 3
