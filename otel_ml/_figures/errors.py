"""Errors of regressions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from otel_ml._figures.from_counts import QUANTILES
from otel_ml._figures.intervals import NONE, Estimate, mean, quantile


def measure_errors(predicted: Sequence[float], actual: Sequence[float]) -> dict[str, Estimate]:
    """Returns the figures of a regression; an error is prediction minus truth."""
    errors = [guess - truth for guess, truth in zip(predicted, actual, strict=True)]
    squares = [error * error for error in errors]
    absolute = sorted(map(abs, errors))
    return {
        "mae": mean(absolute, low=0.0),
        "rmse": root(mean(squares)),
        "bias": mean(errors),
        "r2": _determination(squares, actual),
        **{name: quantile(absolute, level) for name, level in QUANTILES.items()},
    }


def root(squared: Estimate) -> Estimate:
    """Returns the root of a mean square, with the interval of the delta method."""
    if squared.value is None:
        return NONE
    value = math.sqrt(squared.value)
    if squared.interval is None or not value:
        return Estimate(value)
    error = (squared.interval[1] - squared.value) / (2 * value)
    return Estimate(value, (max(0.0, value - error), value + error))


def _determination(squares: Sequence[float], actual: Sequence[float]) -> Estimate:
    """Returns R2, which has no interval here; None if all true values are the same."""
    if not actual:
        return NONE
    centre = math.fsum(actual) / len(actual)
    spread = math.fsum((truth - centre) ** 2 for truth in actual)
    return Estimate(1 - math.fsum(squares) / spread) if spread > 0 else NONE
