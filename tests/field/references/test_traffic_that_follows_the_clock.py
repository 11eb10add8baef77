"""Verdicts against last week over 1,000 clean weeks of traffic that follows the clock.

Source: evidentlyai/evidently#171.
"""

from __future__ import annotations

import numpy as np
import pytest

from otel_ml import semconv
from otel_ml._distances import NULL_Z
from otel_ml._verdicts import PSI_LIMIT, Reference, WindowCounts, judge

WEEKS, HOURS = 1000, 168


def shares_of(counts: np.ndarray) -> np.ndarray:
    """The shares that a profile of these counts has."""
    return (counts + 0.5) / (counts.sum(axis=-1, keepdims=True) + 0.5 * counts.shape[-1])


def figures(counts: np.ndarray, shares: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PSI and its noise of many windows at once; a test below compares them with those of `judge`."""
    bins, total = counts.shape[-1], counts.sum(axis=-1)
    window = (counts + bins * shares) / (total + bins)[..., None]
    psi = ((window - shares) * np.log(window / shares)).sum(axis=-1)
    empty = np.maximum(np.log((total + bins) / bins), 1)
    expected = total[..., None] * shares
    never = np.exp(-expected)
    mean = bins - 1 + (empty - 1) * (expected * never).sum(axis=-1)
    variance = 2 * (bins - 1) + (empty**2 - 1) * (expected**2 * never).sum(axis=-1)
    spread = variance / (9 * mean**2)
    return psi, mean * (1 - spread + NULL_Z * np.sqrt(spread)) ** 3 * (1 / total + 1 / size)


def is_drifted(counts: np.ndarray, shares: np.ndarray, size: np.ndarray) -> np.ndarray:
    psi, noise = figures(counts, shares, size)
    return (psi > PSI_LIMIT) & (psi > noise)


def clean_weeks(bins: int, by_night: int, by_day: int, weeks: int = WEEKS) -> np.ndarray:
    """Counts by week, hour and bin. The law of an hour depends on the time of day and on the weekend, not on the week."""
    rng = np.random.default_rng(1)
    laws = rng.dirichlet(np.full(bins, 2.0), 3)  # day, night, weekend
    hour = np.arange(HOURS)
    is_day, is_weekend = (hour % 24 >= 8) & (hour % 24 < 20), hour >= 120
    law = laws[np.where(is_weekend & is_day, 2, np.where(is_day, 0, 1))]
    return rng.multinomial(np.where(is_day, by_day, by_night), law, (weeks + 1, HOURS))


@pytest.mark.parametrize("bins", [4, 10, 20])
def test_clean_weeks_alarm_against_training_and_not_against_last_week(bins):
    """In 1,000 clean weeks at most 1 of 1,000 windows has drifted from the same hour last week, while training, which
    is the mean of a week, finds drift in more than one of five. Values that change their bin are found."""
    weeks = clean_weeks(bins, by_night=300, by_day=1500)
    now, before = weeks[1:], weeks[:-1]
    size = before.sum(axis=-1)

    assert is_drifted(now, shares_of(before), size).mean() <= 0.001

    training = weeks[0].sum(axis=0)
    assert is_drifted(now, shares_of(training), training.sum()).mean() > 0.2

    assert is_drifted(np.roll(now, 1, axis=-1), shares_of(before), size).mean() > 0.8


def test_the_figures_of_many_windows_are_those_of_the_verdict():
    """What the rates are counted with is what judges a feature."""
    weeks = clean_weeks(10, by_night=300, by_day=1500, weeks=1)
    before, now = weeks[0], weeks[1]
    psi, noise = figures(now, shares_of(before), before.sum(axis=-1))
    judged = [
        judge(Reference(shares.tolist(), int(size)), WindowCounts(counts.tolist()))
        for shares, size, counts in zip(shares_of(before), before.sum(axis=-1), now, strict=True)
    ]
    assert [one.psi for one in judged] == pytest.approx(psi.tolist(), rel=1e-9)
    assert [one.psi_noise for one in judged] == pytest.approx(noise.tolist(), rel=1e-9)
    assert [semconv.DRIFTED in one.findings for one in judged] == is_drifted(
        now, shares_of(before), before.sum(axis=-1)
    ).tolist()
