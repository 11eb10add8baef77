"""The drawing of estimated and realised accuracy over time."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

WIDTH, HEIGHT = 720, 160
_FOOT = 0.1
"""Shares are drawn from the next lower tenth on."""


class Chart(NamedTuple):
    """Points of polylines, and of the polygon between both ends of the interval."""

    low: float
    """The share at the bottom; the one at the top is 1."""
    estimate: str
    band: str
    accuracy: list[tuple[float, float]]
    """Periods with labels."""
    training: float | None
    """Height of the training reference."""


def chart(periods: list[dict[str, Any]], training: float | None) -> Chart | None:
    """Returns the drawing of the periods; None unless two of them have something to show."""
    shown = [each for each in periods if each["estimate"] is not None or each["accuracy"] is not None]
    if len(shown) < 2:
        return None
    shares = [share for each in shown for share in (each["accuracy"], *(each["interval"] or ())) if share is not None]
    lowest = min(*shares, 1.0 if training is None else training)
    low = min(max(0.0, math.floor(lowest / _FOOT) * _FOOT), 1 - _FOOT)

    def height(share: float) -> float:
        return float(round(HEIGHT * (1 - share) / (1 - low), 1))

    places = [(round(WIDTH * (place + 0.5) / len(periods), 1), each) for place, each in enumerate(periods)]
    estimated = [(across, each) for across, each in places if each["estimate"] is not None]
    ends = [
        *((across, each["interval"][1]) for across, each in estimated),
        *((across, each["interval"][0]) for across, each in reversed(estimated)),
    ]
    return Chart(
        low,
        _line([(across, height(each["estimate"])) for across, each in estimated]),
        _line([(across, height(share)) for across, share in ends]),
        [(across, height(each["accuracy"])) for across, each in places if each["accuracy"] is not None],
        None if training is None else height(training),
    )


def _line(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{across},{down}" for across, down in points)
