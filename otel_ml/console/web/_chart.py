"""The drawing of estimated and realised accuracy over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from typing import Any, Final, NamedTuple

WIDTH: Final = 720
HEIGHT: Final = 160
_TENTH: Final = 0.1


class Run(NamedTuple):
    """Successive periods with an estimate, as points of a stepped line and of the polygon of its interval."""

    line: str
    band: str


class Chart(NamedTuple):
    """What is drawn of all periods."""

    low: float
    """The share at the bottom; the one at the top is 1."""
    estimates: list[Run]
    accuracy: list[tuple[float, float]]
    """The middle of each period with labels."""
    training: float | None
    """Height of the training reference."""


def chart(periods: list[dict[str, Any]], training: float | None) -> Chart | None:
    """Returns the drawing of the periods, with gaps where there were no predictions; None if all are without data."""
    shares = [share for each in periods for share in (each["accuracy"], *(each["interval"] or ())) if share is not None]
    if not shares:
        return None
    lowest = min(*shares, 1.0 if training is None else training)
    low = min(max(0.0, math.floor(lowest / _TENTH) * _TENTH), 1 - _TENTH)

    def height(share: float) -> float:
        return float(round(HEIGHT * (1 - share) / (1 - low), 1))

    step = WIDTH / len(periods)
    runs = groupby(enumerate(periods), lambda item: item[1]["estimate"] is not None)
    return Chart(
        low,
        [_run(list(run), step, height) for has_estimate, run in runs if has_estimate],
        [
            (round(step * (place + 0.5), 1), height(each["accuracy"]))
            for place, each in enumerate(periods)
            if each["accuracy"] is not None
        ],
        None if training is None else height(training),
    )


def _run(run: list[tuple[int, dict[str, Any]]], step: float, height: Callable[[float], float]) -> Run:
    def steps(share: Callable[[dict[str, Any]], float]) -> list[str]:
        return [
            f"{round(step * across, 1)},{height(share(each))}" for place, each in run for across in (place, place + 1)
        ]

    upper, lower = steps(lambda each: each["interval"][1]), steps(lambda each: each["interval"][0])
    return Run(" ".join(steps(lambda each: each["estimate"])), " ".join([*upper, *reversed(lower)]))
