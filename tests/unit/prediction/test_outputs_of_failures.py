"""A prediction that failed has no output: that is an error, and no missing value of the output."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry

COLUMN = np.arange(1000.0)
PROFILE = otel_ml.ReferenceProfile.fit(pd.DataFrame({"x": COLUMN / 10 + 0.05, "score": COLUMN / 1000}), score="score")


def fail(features: Any) -> None:
    raise ValueError("no model")


def answer_and_fail(model: otel_ml.Model, features: Any, batch: bool) -> None:
    with model.prediction(features) as prediction:
        prediction.set_output([1] * len(features) if batch else 1, batch=batch)
        raise ValueError("too late")


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Any:
    with InMemoryTelemetry(mode=request.param) as kit:
        yield kit


@pytest.mark.parametrize("answers", [False, True], ids=["no output", "output"])
@pytest.mark.parametrize("rows", [0, 3, 500], ids=["row", "batch", "large batch"])
def test_a_failure_has_no_missing_output(kit: InMemoryTelemetry, rows: int, answers: bool) -> None:
    """The features of a failed prediction are counted; its output is neither a value nor missing."""
    features: Any = {"x": 5.0} if rows == 0 else [{"x": 5.0}] * (rows - 1) + [{"x": None}]
    model = otel_ml.Model("m", "1", task="binary", profile=PROFILE, batch=rows > 0)

    with suppress(ValueError):
        if answers:
            answer_and_fail(model, features, rows > 0)
        else:
            model.track(fail)(features)
    metrics = kit.metrics()

    def counted(metric: str, feature: str) -> float:
        return sum(p["value"] for p in metrics.get(metric, []) if p["attributes"]["ml.feature.name"] == feature)

    assert counted("ml.feature.missing", "__prediction__") == 0
    assert counted("ml.feature.values", "__prediction__") == 0
    assert counted("ml.feature.values", "x") == max(1, rows - 1)
    assert counted("ml.feature.missing", "x") == (rows > 0)


def test_a_prediction_without_an_answer_has_a_missing_output(kit: InMemoryTelemetry) -> None:
    """A prediction that went well and returned None has a missing output."""
    model = otel_ml.Model("m", "1", task="binary", profile=PROFILE)

    model.track(lambda features: None)({"x": 5.0})

    missing = {p["attributes"]["ml.feature.name"]: p["value"] for p in kit.metrics()["ml.feature.missing"]}
    assert missing == {"x": 0, "__prediction__": 1}
