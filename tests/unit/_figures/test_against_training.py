"""Whether a figure is worse than in training."""

from __future__ import annotations

import numpy as np
import pytest

from otel_ml._figures.against_training import is_worse
from otel_ml._figures.intervals import Estimate, Interval, share


@pytest.mark.parametrize(
    ("name", "value", "interval", "training", "expected"),
    [
        ("accuracy", 0.75, (0.7, 0.8), 0.83, True),
        ("accuracy", 0.75, (0.7, 0.8), 0.82, False),
        ("accuracy", 0.75, (0.74, 0.85), 0.9, False),
        ("accuracy", 0.95, (0.92, 0.97), 0.9, False),
        ("mae", 1.2, (1.15, 1.4), 1.1, True),
        ("mae", 1.2, (1.15, 1.4), 1.13, False),
        ("log_loss", 0.5, (0.45, 0.55), 0.4, True),
        ("mae", 0.75, (0.7, 0.8), 1.0, False),
        ("bias", 1.15, (1.1, 1.2), 0.0, False),
        ("accuracy", 0.75, None, 0.9, False),
        ("accuracy", 0.75, (0.7, 0.8), None, False),
    ],
)
def test_a_figure_is_worse_beyond_noise_and_on_the_wrong_side(
    name: str, value: float, interval: Interval, training: float | None, expected: bool
) -> None:
    """The limit is 3.09 of the errors of which the interval has 1.96; of errors more is worse, a bias has no side."""
    assert is_worse(name, Estimate(value, interval), training) is expected


def test_chance_makes_a_figure_worse_in_one_of_a_thousand_windows() -> None:
    """That holds if training has no more rows than the window, since its figure has an error of its own."""
    generator = np.random.default_rng(7)
    now, then = generator.binomial(700, 0.8, (2, 10_000))
    found = [
        is_worse("accuracy", share(float(right), 700), float(before) / 700, 700, 700)
        for right, before in zip(now, then, strict=True)
    ]
    assert 0.3 <= 1000 * np.mean(found) <= 2
