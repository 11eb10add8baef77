"""Counts of the errors of a regression over whole columns, and the figures from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from otel_ml._figures.bins import ERROR_BOUNDS, ERROR_LABELS
from otel_ml._figures.from_counts import QUANTILES, binned_error_quantile
from otel_ml._figures.single import LARGEST_ERROR

if TYPE_CHECKING:
    from otel_ml._figures.data_sets.tally import Tally
    from otel_ml._values.arrays import Array


def add_errors(tally: Tally, predicted: Array, actual: Array) -> None:
    """Counts the rows in which both are there and the error is not too large."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        errors = predicted - actual
    errors = errors[np.abs(errors) <= LARGEST_ERROR]
    sizes = np.abs(errors)
    tally.count(len(errors), "rows")
    tally.add_all(sizes[errors > 0], "over")
    tally.add_all(sizes[errors < 0], "under")
    tally.add_all(errors * errors, "squared_error")
    places = np.searchsorted(np.array(ERROR_BOUNDS), sizes, side="left")
    for place, times in enumerate(np.bincount(places, minlength=len(ERROR_LABELS)).tolist()):
        tally.count(times, "error_bin", ERROR_LABELS[place])


def error_figures(tally: Tally) -> dict[str, float | None]:
    """Returns the figures of a regression."""
    rows = tally.counts["rows",]
    if not rows:
        return {}
    over, under = tally.value("over"), tally.value("under")
    bins = [tally.counts["error_bin", label] for label in ERROR_LABELS]
    return {
        "mae": (over + under) / rows,
        "rmse": math.sqrt(tally.value("squared_error") / rows),
        "bias": (over - under) / rows,
        **{name: binned_error_quantile(bins, level) for name, level in QUANTILES.items()},
    }
