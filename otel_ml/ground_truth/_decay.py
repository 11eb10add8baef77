"""The figures of a model day by day, and their trend."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_ml import semconv
from otel_ml._figures import trends
from otel_ml._figures.against_training import RISING
from otel_ml.ground_truth.storage._windows import TruthWindow

DAY: Final = 86_400.0
LEAST_LABELS: Final = 100
"""With fewer labels a day is not part of the trend."""
_MOST_DAYS: Final = 400


def measure_decay(
    measure: Callable[[TruthWindow], dict[str, Any]],
    window: TruthWindow,
    figure: str | None,
    trained_at: float | None,
    limit: float | None,
) -> dict[str, Any]:
    """Returns a figure of each day before the end of a window, and the trend.

    Args:
        measure: Computes the figures of a window.
        window: The whole window; a day that it only has a part of is left out.
        figure: The figure; None for the main one of the task.
        trained_at: When the model was trained.
        limit: The value that the figure must not cross.
    """
    count = math.floor((window.end - window.start) / DAY)
    if not 1 <= count <= _MOST_DAYS:
        raise ValueError(f"a trend needs from 1 to {_MOST_DAYS} whole days")
    days = []
    for step in range(count, 0, -1):
        start = window.end - step * DAY
        figures = measure(window._replace(start=start, end=start + DAY))
        figure = figure or next(
            (name for name in semconv.MAIN_FIGURES if figures["labelled"] and name in figures), None
        )
        days.append(_day(figures, figure, start + DAY, trained_at))
    known = [day for day in days if day["value"] is not None and day["labels"] >= LEAST_LABELS]
    ends = [day["end"] / DAY for day in known]
    trend = trends.fit(ends, [day["value"] for day in known], window.end / DAY)
    return {"figure": figure, "days": days, "trend": None if trend is None else _describe(trend, figure, limit)}


def _day(figures: Mapping[str, Any], figure: str | None, end: float, trained_at: float | None) -> dict[str, Any]:
    is_of_scores = figure in semconv.SCORE_FIGURES
    return {
        "end": end,
        "age": None if trained_at is None else (end - trained_at) / DAY,
        "value": figures.get(figure or ""),
        "interval": figures["intervals"].get(figure),
        "labels": figures["scored" if is_of_scores else "count"] if figures["labelled"] else 0,
    }


def _describe(trend: trends.Trend, figure: str | None, limit: float | None) -> dict[str, Any]:
    is_up_worse = trend.level > 0 if figure == "bias" else figure in RISING
    return {
        "slope": trend.slope,
        "interval": trend.interval and list(trend.interval),
        "noise": trend.noise,
        "is_worse": (trend.slope if is_up_worse else -trend.slope) > trend.noise,
        "level": trend.level,
        "days": trend.days,
        "limit": limit,
        "days_until_limit": None if limit is None else trends.days_until(trend, limit),
    }


def check_figure(figure: str | None) -> None:
    """Refuses a name that is not a figure.

    Raises:
        ValueError: It is none of `semconv.FIGURES`.
    """
    if figure is not None and figure not in (*semconv.FIGURES, "r2"):
        raise ValueError(f"{figure!r} is not a figure: {', '.join(semconv.FIGURES)}")
