"""The drawing of estimated and realised accuracy.

A line across a time without data looks as if the service had run then: elastic/uptime#54.
"""

from __future__ import annotations

import pytest

from otel_ml.console.web._chart import HEIGHT, WIDTH, chart


def period(estimate=None, accuracy=None, spread=0.05):
    interval = None if estimate is None else (estimate - spread, min(estimate + spread, 1.0))
    return {"estimate": estimate, "interval": interval, "accuracy": accuracy}


def points(text):
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def test_a_better_figure_is_drawn_higher():
    """The axis begins at the tenth below the lowest share, and ends at 1."""
    drawn = chart([period(1.0), period(0.9, 0.72), period(0.8)], training=0.86)
    assert drawn.low == pytest.approx(0.7)
    (run,) = drawn.estimates
    assert points(run.line) == [
        (0, 0), (WIDTH / 3, 0), (WIDTH / 3, pytest.approx(HEIGHT / 3, abs=0.1)),
        (WIDTH * 2 / 3, pytest.approx(HEIGHT / 3, abs=0.1)), (WIDTH * 2 / 3, pytest.approx(HEIGHT * 2 / 3, abs=0.1)),
        (WIDTH, pytest.approx(HEIGHT * 2 / 3, abs=0.1)),
    ]  # fmt: skip
    assert len(points(run.band)) == 12
    assert drawn.accuracy == [(WIDTH / 2, pytest.approx(HEIGHT * 0.28 / 0.3, abs=0.1))]
    assert drawn.training == pytest.approx(HEIGHT * 0.14 / 0.3, abs=0.1)


def test_a_time_without_predictions_is_a_gap():
    """The line ends where the predictions end; one period alone is a line as wide as the period."""
    drawn = chart([period(0.9), period(0.9), period(), period(accuracy=0.8), period(0.9), period()], None)
    assert [(points(run.line)[0][0], points(run.line)[-1][0]) for run in drawn.estimates] == [
        (0, WIDTH / 3),
        (WIDTH * 4 / 6, WIDTH * 5 / 6),
    ]


@pytest.mark.parametrize("periods", [[], [period()] * 30])
def test_nothing_is_drawn_without_data(periods):
    """Periods without predictions and labels have no drawing."""
    assert chart(periods, 0.9) is None


def test_shares_at_the_ends_are_drawn():
    """All wrong and all right have a place."""
    drawn = chart([period(0.0, 0.0, 0.0), period(1.0, 1.0, 0.0)], None)
    assert (drawn.low, [down for _, down in drawn.accuracy]) == (0, [HEIGHT, 0])
    assert chart([period(1.0, 1.0, 0.0)], 1.0).low == pytest.approx(0.9)
