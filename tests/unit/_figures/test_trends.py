"""The trend of a figure, beside scipy; and how often figures without a trend are said to have one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from otel_ml._figures import trends
from otel_ml._figures.intervals import Z

RNG = np.random.default_rng(17)


@pytest.mark.parametrize("count", [10, 14, 30])
def test_a_trend_is_that_of_scipy(count: int) -> None:
    """Slope, interval and the line now are those of `linregress`; quantiles of Student's distribution to 0.1 %."""
    days = np.sort(RNG.choice(40, count, replace=False)).astype(float) + 20_000
    values = 0.9 - 0.002 * days + RNG.normal(0, 0.01, count)
    found = trends.fit(days.tolist(), values.tolist(), 20_045.0)
    expected = stats.linregress(days, values)
    assert found is not None
    half = stats.t.ppf(0.975, count - 2) * expected.stderr
    assert found.slope == pytest.approx(expected.slope, rel=1e-9)
    assert found.level == pytest.approx(expected.intercept + expected.slope * 20_045, rel=1e-9)
    assert found.interval == pytest.approx((expected.slope - half, expected.slope + half), rel=1e-4)
    assert found.noise == pytest.approx(
        stats.t.isf(stats.norm.sf(trends.NULL_Z), count - 2) * expected.stderr, rel=2e-3
    )


def test_a_limit_is_crossed_where_the_line_meets_it() -> None:
    """The days until then; None if the line leads away from the limit or is beyond it."""
    found = trends.fit(range(20), [0.9 - 0.005 * day for day in range(20)], 20.0)
    assert found is not None
    assert trends.days_until(found, 0.75) == pytest.approx(10)
    assert (trends.days_until(found, 0.95), trends.fit(range(9), [1.0] * 9, 9.0)) == (None, None)
    assert trends.days_until(found._replace(slope=0.0), 0.75) is None
    assert Z < trends.student(Z, 20) < trends.student(Z, 8)


def test_figures_without_a_trend_seldom_seem_to_have_one() -> None:
    """Read every day over 14 and 30 days, three figures of a model alarm in fewer than 1 of 100 weeks, weekends or not."""
    for weekend in (0.0, 2.0):
        shared = RNG.normal(size=(1500, 1, 80))
        values = (shared + RNG.normal(size=(1500, 3, 80))) / np.sqrt(2) + weekend * (np.arange(80) % 7 >= 5)
        alarms = np.zeros((1500, 80), bool)
        for window in (14, 30):
            level = stats.t.isf(stats.norm.sf(trends.NULL_Z), window - 2)
            x = np.arange(window) - (window - 1) / 2
            for day in range(31, 80):
                part = values[:, :, day - window : day]
                part = part - part.mean(axis=2, keepdims=True)
                slope = part @ x / (x @ x)
                rest = ((part - slope[..., None] * x) ** 2).sum(axis=2)
                alarms[:, day] |= (-slope > level * np.sqrt(rest / (window - 2) / (x @ x))).any(axis=1)
        assert alarms[:, 31:80].reshape(1500, 7, 7).any(axis=2).mean() < 0.01
