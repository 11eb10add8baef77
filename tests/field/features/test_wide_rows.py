"""Of a row of more than 1,000 values the first ones are read; a monitored column beyond them is not missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from otel_ml import Model, ReferenceProfile
from otel_ml.testing import InMemoryTelemetry

NAMES = [f"c{place}" for place in range(1200)]
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(80, len(NAMES))), columns=NAMES)

SHAPES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "frame": lambda frame: frame,
    "polars": pl.from_pandas,
    "array": lambda frame: frame.to_numpy(),
    "lists": lambda frame: frame.to_numpy().tolist(),
    "rows": lambda frame: frame.to_dict("records"),
    "columns": lambda frame: frame.to_dict("list"),
}


def found(kit: InMemoryTelemetry, metric: str) -> dict[str, int]:
    counts = dict.fromkeys(("c0", "c1100"), 0)
    for point in kit.metrics().get(metric, []):
        name = point["attributes"].get("ml.feature.name")
        if name in counts:
            counts[name] += point["value"]
    return counts


@pytest.mark.parametrize("name", SHAPES)
def test_a_monitored_column_beyond_the_limit_is_not_missing(name):
    """Whatever the shape of the batch, what was not read is no violation."""
    profile = ReferenceProfile.fit(FRAME[["c0", "c1100"]])
    profile = ReferenceProfile(profile.features, None, profile.rows, columns=tuple(NAMES))
    with InMemoryTelemetry() as kit:
        Model("wide", profile=profile).record(SHAPES[name](FRAME), prediction=np.ones(80, int), batch=True)
        assert found(kit, "ml.feature.values") == {"c0": 80, "c1100": 0}
        assert found(kit, "ml.feature.missing") == {"c0": 0, "c1100": 0}
        assert found(kit, "ml.data.violations") == {"c0": 0, "c1100": 0}


@pytest.mark.parametrize("row", [FRAME.iloc[0].to_numpy(), FRAME.iloc[0].tolist(), FRAME.iloc[0].to_dict()])
def test_so_it_is_in_one_row(row):
    """An array, a list and a mapping."""
    profile = ReferenceProfile.fit(FRAME[["c0", "c1100"]])
    profile = ReferenceProfile(profile.features, None, profile.rows, columns=tuple(NAMES))
    with InMemoryTelemetry() as kit:
        Model("wide", profile=profile).record(row, prediction=1)
        assert found(kit, "ml.feature.values") == {"c0": 1, "c1100": 0}
        assert found(kit, "ml.feature.missing") == {"c0": 0, "c1100": 0}
