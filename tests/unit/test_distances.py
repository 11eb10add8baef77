"""Distances, compared with numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2

from otel_ml._distances import jensen_shannon_distance, psi, psi_noise

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
    with np.errstate(invalid="ignore"):  # of equal shares scipy may take the root of -1e-17
        expected = np.nan_to_num(jensenshannon(p, q, base=2))
    assert jensen_shannon_distance(counts, shares) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bins", [3, 5, 10, 20])
def test_the_noise_level_is_the_chi_square_quantile(bins):
    """Wilson and Hilferty's formula stays within 3 % of the exact quantile at 0.999."""
    exact = chi2.ppf(0.999, bins - 1) * (1 / 500 + 1 / 6000)
    assert psi_noise([1 / bins] * bins, 500, 6000) == pytest.approx(exact, rel=0.03)


def test_without_values_there_is_no_distance():
    """An empty window or a single bin has None."""
    assert (psi([0, 0], [0.5, 0.5]), jensen_shannon_distance([0, 0], [0.5, 0.5])) == (None, None)
    assert (psi_noise([0.5, 0.5], 0, 9), psi_noise([0.5, 0.5], 9, 0), psi_noise([1.0], 9, 9)) == (None, None, None)


@pytest.mark.parametrize("count", [300, 1000, 3000, 10_000])
@pytest.mark.parametrize(
    "shares",
    [[0.1] * 10, [0.995, *[0.005 / 9] * 9], [0.995, 0.005], [0.999, 0.0005, 0.0005], [0.9, *[0.1 / 30] * 30]],
    ids=["equal bins", "nearly constant", "two bins", "two rare bins", "thirty rare bins"],
)
def test_clean_samples_stay_below_the_noise_level(shares, count):
    """Of 2,000 windows without drift at most the stated share exceeds the noise (demml/scouter#90, evidently#50)."""
    windows = np.random.default_rng(7).multinomial(count, shares, size=2000).tolist()
    noise = psi_noise(shares, count, 10**9)
    assert sum(psi(counts, shares) > noise for counts in windows) <= 12
