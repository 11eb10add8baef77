"""A row of a frame is read by its names, as the mapping is that it stands for.

Sources: schuderer/mllaunchpad#24, SeldonIO/seldon-core#2281 (models that return what pandas gives them).
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import otel_ml
from otel_ml.testing import InMemoryTelemetry

CLASSES = ["no", "yes"]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (pd.DataFrame({"prediction": ["yes", "no"], "probability": [0.9, 0.2]}).iloc[0], ("yes", 0.9)),
        (pd.Series({"churn_prediction": 1.0, "churn_probability": 0.9}), ("yes", 0.9)),
        (pd.Series({"yes": 0.9, "no": 0.1}), ("yes", 0.9)),  # not in the order of the classes
        (pd.Series([0.1, 0.9]), ("yes", 0.9)),
        (pd.Series([0.1, 0.9], index=["a", "b"]), ("yes", 0.9)),
    ],
)
def test_a_series_with_names_is_one_row(telemetry: InMemoryTelemetry, result: Any, expected: tuple[str, float]) -> None:
    """Its names say what its values are; without such names it is the vector that it was."""
    classes = ["0", "1"] if "churn_prediction" in result.index else CLASSES
    otel_ml.Model("churn", "1", task="binary", classes=classes).track(lambda features: result)({"a": 1})

    (span,) = telemetry.spans()
    attributes = span["attributes"]
    found = CLASSES[classes.index(attributes["ml.prediction.class"])]
    assert (found, attributes["ml.prediction.score"]) == expected


def test_a_series_of_several_answers_is_a_batch(telemetry: InMemoryTelemetry) -> None:
    """Its index names the rows there."""
    frame = pd.DataFrame({"a": [1, 2]}, index=["prediction", "score"])
    otel_ml.Model("churn", "1", task="binary", classes=CLASSES).track(
        lambda features: features.a.map({1: "no", 2: "yes"})
    )(frame)

    counted = {p["attributes"]["ml.prediction.class"]: p["value"] for p in telemetry.metrics()["ml.predictions"]}
    assert counted == {"no": 1, "yes": 1}
