"""In which direction a figure becomes worse."""

from __future__ import annotations

import pytest

from otel_ml import semconv
from otel_ml.ground_truth._decay import DAY, measure_decay
from otel_ml.ground_truth.storage._windows import TruthWindow

FALLS = {
    "accuracy",
    "precision",
    "recall",
    "f1",
    "auc",
    "average_precision",
    "exact_match",
    "ndcg",
    "reciprocal_rank",
    "hit_rate",
    "r2",
}
DAYS = 12


def is_worse(figure: str, start: float, step: float) -> bool:
    """Follows a figure that changes by the same step every day."""

    def measure(window: TruthWindow) -> dict[str, object]:
        value = start + step * window.end / DAY
        return {"labelled": 500, "count": 500, "scored": 500, figure: value, "intervals": {}}

    window = TruthWindow(0.0, DAYS * DAY, "m", None, "primary", "predicted_at")
    return bool(measure_decay(measure, window, figure, None, None)["trend"]["is_worse"])


@pytest.mark.parametrize("figure", sorted({*semconv.FIGURES, "r2"} - {"bias"}))
def test_a_figure_becomes_worse_in_one_direction(figure: str) -> None:
    """A share of right predictions that falls is worse, and so is an error that rises, with its quantiles."""
    assert (is_worse(figure, 0.9, -0.01), is_worse(figure, 0.5, 0.01)) == (figure in FALLS, figure not in FALLS)


@pytest.mark.parametrize("side", [1, -1])
def test_a_bias_becomes_worse_away_from_zero(side: int) -> None:
    """Predictions that are more and more too high, or too low, are worse; those that come closer are not."""
    assert is_worse("bias", side * 0.5, side * 0.1)
    assert not is_worse("bias", side * 5.0, side * -0.1)
