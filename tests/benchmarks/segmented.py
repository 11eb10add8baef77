"""A model with two segment columns, beside the same one with the same rows and no segments."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import cycle
from typing import Any

from load import FEATURES, Flush, Load, Predict
from profiled import otel_ml_model

ROWS = [
    {**FEATURES, "feature_0": region, "feature_1": device}
    for region in ("north", "south", "east", "west", "centre", "islands", "abroad", "unknown")
    for device in ("phone", "tablet", "desktop")
]
"""Each combination of 8 regions and 3 devices."""


def _setup(events: str, **declared: Any) -> Callable[[Predict, Load], tuple[Predict, Flush]]:
    def set_up(model: Predict, load: Load) -> tuple[Predict, Flush]:
        if events == "off":
            os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
        function, flush = otel_ml_model(model, load, capture_features="all", events=events, **declared)
        rows = cycle(ROWS)
        return lambda _: function(next(rows)), flush

    kind = "metrics" if events == "off" else "everything"
    set_up.__name__ = f"ours_{kind}_{'segments' if declared else 'rows'}"
    return set_up


SEGMENTED = [
    _setup(events, **declared)
    for events in ("off", "all")
    for declared in ({}, {"segments": ("feature_0", "feature_1")})
]
