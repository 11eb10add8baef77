"""Features are recorded as they came in, even if the wrapped code changes them."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry

RESULT = {"prediction": 1, "probability": 0.9}
GIVEN = {"a": 1.0, "b": 2.0}


def change(row):
    row["a"] = 99.0
    row.pop("b")
    row["made"] = "up"
    return RESULT


def change_nested(row):
    row["b"].append(3)
    return RESULT


def change_array(array):
    array[:] = 7.0
    return RESULT


def tracked(model, function, features):
    model.track(function)(features)


def awaited(model, function, features):
    async def predict(features):
        return function(features)

    asyncio.run(model.track(predict)(features))


def streamed(model, function, features):
    def predict(features):
        yield function(features)

    list(model.track(predict)(features))


def in_a_block(model, function, features):
    with model.prediction(features) as prediction:
        prediction.set_output(function(features)["prediction"])


@pytest.mark.parametrize("mode", ["own", "guest"])
@pytest.mark.parametrize("run", [tracked, awaited, streamed, in_a_block])
@pytest.mark.parametrize(
    ("function", "features", "expected"),
    [
        (change, GIVEN, GIVEN),
        (change_nested, {"a": 1.0, "b": [1, 2]}, {"a": 1.0, "b": [1, 2]}),
        (change, {**GIVEN, **{f"x{number}": 0.5 for number in range(80)}}, None),
        (change_array, np.array([1.0, 2.0]), {"f0": 1.0, "f1": 2.0}),
    ],
)
def test_features_are_recorded_as_they_came_in(mode, run, function, features, expected):
    """A model that scales, fills or drops columns in place does not change what is recorded."""
    given = features.copy() if isinstance(features, np.ndarray) else json.loads(json.dumps(features))
    with InMemoryTelemetry(mode) as telemetry:
        run(otel_ml.Model("m", "1", task="binary", capture_features="all", events="all"), function, given)
        (event,) = telemetry.events("ml.prediction")

    assert json.loads(event["body"])["features"] == (features if expected is None else expected)


def test_a_failed_prediction_keeps_the_features_that_it_was_given():
    """The event of an error shows the features that led to it."""

    def spoil(row):
        change(row)
        raise ValueError("no")

    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", capture_features="all", events="errors")
        with pytest.raises(ValueError, match="no"):
            model.track(spoil)(dict(GIVEN))
        (event,) = telemetry.events("ml.prediction")

    assert json.loads(event["body"])["features"] == GIVEN
