"""Ordinary results are read, or the user is told once what to do.

Sources: return values of public prediction services, tried as a user would; tensorflow/tensorboard#2946 (the only key of a
result is the result), SuperCowPowers/workbench#456 (one column for the probability of each class), autogluon/autogluon#1044
(class, score and id), owalid/leaf-valley#8 (a prediction among other values), GoogleCloudPlatform/data-science-on-gcp#115
(a list of lists under one key), stevennovations/fastapi-ml-queue-tasks (a number as a text).
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from typing import Any, NamedTuple

import pandas as pd
import pytest
from pydantic import BaseModel

import otel_ml
from otel_ml.testing import InMemoryTelemetry


class House(BaseModel):
    median_house_value: float
    currency: str


class Species(BaseModel):
    predicted_class: str
    confidence: float


@dataclasses.dataclass
class Churn:
    churn_probability: float
    churn: bool


class Pair(NamedTuple):
    class_name: str
    score: float


READ = [
    ("multiclass", {"predicted_class": "setosa", "confidence": 0.9}, ("setosa", None, 0.9)),
    ("multiclass", {"predictedClass": "setosa", "Confidence": 0.9}, ("setosa", None, 0.9)),
    ("multiclass", {"species": "setosa"}, ("setosa", None, None)),
    ("multiclass", {"class_name": "setosa", "class_id": 2}, ("setosa", None, None)),
    ("multiclass", {"species": "setosa", "model_version": "1.2", "latency_ms": 12}, ("setosa", None, None)),
    ("multiclass", Species(predicted_class="setosa", confidence=0.9), ("setosa", None, 0.9)),
    ("multiclass", Pair("setosa", 0.9), ("setosa", None, 0.9)),
    ("multiclass", {"result": {"label": "setosa", "score": 0.9}}, ("setosa", None, 0.9)),
    ("multiclass", {"prediction": {"label": "setosa", "score": 0.9}}, ("setosa", None, 0.9)),
    ("multiclass", {"predictions": [{"label": "setosa", "score": 0.9}]}, ("setosa", None, 0.9)),
    ("multiclass", {"status": "ok", "data": {"species": "setosa"}}, ("setosa", None, None)),
    ("multiclass", {"PREDICTION": "setosa"}, ("setosa", None, None)),
    ("binary", {"prediction": "Yes", "churn_probability": 0.7}, ("Yes", None, 0.7)),
    ("binary", {"churn_prediction": 1}, ("1", None, None)),
    ("binary", {"churn_probability": 0.3, "churn": False}, ("False", None, 0.3)),
    ("binary", Churn(0.3, churn=False), ("False", None, 0.3)),
    ("binary", {"result": 1}, ("1", None, None)),
    ("binary", {"is_fraud": True, "prob": 0.8}, ("True", None, 0.8)),
    ("binary", {"label": 1, "risk_score": 640}, ("1", None, None)),
    ("regression", {"price": 12.5}, (None, 12.5, None)),
    ("regression", {"price": 12.5, "currency": "EUR"}, (None, 12.5, None)),
    ("regression", {"output": 1.2}, (None, 1.2, None)),
    ("regression", {"y_hat": 1.2}, (None, 1.2, None)),
    ("regression", {"value": 1.2}, (None, 1.2, None)),
    ("regression", {"predicted_price": 1.2, "rooms": 3}, (None, 1.2, None)),
    ("regression", House(median_house_value=2.5, currency="USD"), (None, 2.5, None)),
    ("regression", {"predictions": [[0.6]]}, (None, 0.6, None)),
    ("multiclass", {"class": "dress", "score": 0.57, "id": 3, "image": "a.jpg"}, ("dress", None, 0.57)),
    ("multiclass", {"prediction": "healthy", "accuracy": 0.9, "im_withoutbg_b64": "iVBO"}, ("healthy", None, None)),
    ("other", {"churn_prediction": "no"}, ("no", None, None)),
    ("regression", "497.9787", (None, 497.9787, None)),
    ("regression", {"predicted_price": "12.50"}, (None, 12.5, None)),
    ("regression", {"price": 12.5, "article": "4711"}, (None, 12.5, None)),
    ("regression", {"prediction": ["-1.5e3"]}, (None, -1500.0, None)),
    ("binary", {"label": "fraud", "score": "0.93"}, ("fraud", None, 0.93)),
    ("binary", {"label": "1", "probability": "0.9"}, ("1", None, 0.9)),
    ("other", {"prediction": "12.5"}, ("12.5", None, None)),
]


def record(task: str, result: Any, **keywords: Any) -> tuple[InMemoryTelemetry, dict[str, Any], dict[str, Any]]:
    """Returns the kit, the attributes of the event and the metrics of one call with this result."""
    with InMemoryTelemetry() as kit:
        model = otel_ml.Model("shop", "1", task=task, events="all", **keywords)
        assert model.track(lambda features: result)({"a": 1}) is result
        (event,) = kit.events("ml.prediction")
        return kit, event["attributes"], kit.metrics()


@pytest.mark.parametrize(("task", "result", "expected"), READ, ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)))
def test_a_result_with_one_answer_is_read(task: Any, result: Any, expected: Any) -> None:
    """Known words in any spelling or as a part of a name, one plain value, and the same one level down."""
    _, attributes, metrics = record(task, result)

    names = ("ml.prediction.class", "ml.prediction.value", "ml.prediction.score")
    assert tuple(attributes.get(name) for name in names) == expected
    assert sum(point["value"] for point in metrics["otelml.unrecognised.outputs"]) == 0
    assert not metrics.get("otelml.prediction.omissions")


OPEN = [
    ("regression", {"low": 1.0, "high": 2.0}),
    ("regression", {"message": "done"}),
    ("regression", "nan"),
    ("regression", "12,5"),
    ("regression", {"price": "12 EUR"}),
    ("regression", [1.2, 3.4]),
    ("regression", pd.Series([1.2, 3.4])),
    ("binary", {"error": "no such customer"}),
    ("binary", {"status": "ok"}),
    ("multiclass", {"first_label": "a", "second_label": "b"}),
    ("multiclass", {"features": {"species": "setosa"}}),
    ("multiclass", {"id": 7, "features": {"label": "x"}}),
    ("binary", lambda: 1),
    ("binary", object()),
]


@pytest.mark.parametrize(("task", "result"), OPEN, ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)))
def test_a_result_that_is_open_is_refused(task: Any, result: Any) -> None:
    """What could be several things is not guessed: it is counted as not recognised."""
    _, attributes, metrics = record(task, result)

    assert not {"ml.prediction.class", "ml.prediction.value", "ml.prediction.score"} & set(attributes)
    assert sum(point["value"] for point in metrics["otelml.unrecognised.outputs"]) == 1


def test_the_line_names_the_keys_the_words_and_every_remedy(caplog: pytest.LogCaptureFixture) -> None:
    """Keys that look like names are shown, values and anything else never."""
    with caplog.at_level(logging.WARNING, "otel_ml"):
        record("regression", {"low": 1.25, "high": 2.5, "ann@example.com": 1.0})
    (line,) = [found.getMessage() for found in caplog.records if "no prediction was recognised" in found.getMessage()]

    for part in (
        "low, high",
        "prediction",
        "probability",
        "output=",
        "batch=True",
        "set_output()",
        "What is understood",
    ):
        assert part in line
    assert "ann@" not in line
    assert "1.25" not in line


PARTS = [
    ("binary", 0.73),
    ("multiclass", {"confidence": 0.9}),
    ("binary", {"prediction": 1, "probability_no": 0.2, "probability_yes": 0.8}),
]


@pytest.mark.parametrize(("task", "result"), PARTS, ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)))
def test_a_result_of_which_a_part_was_read_is_told(caplog: pytest.LogCaptureFixture, task: Any, result: Any) -> None:
    """A score without a class, or a score that may be one of several: a line, and a count that goes on."""
    with caplog.at_level(logging.WARNING, "otel_ml"):
        _, _, metrics = record(task, result)

    assert [
        (p["attributes"]["otelml.omission.reason"], p["value"]) for p in metrics["otelml.prediction.omissions"]
    ] == [("part", 1)]
    assert [found for found in caplog.records if "understood in part" in found.getMessage()]


@pytest.mark.parametrize(
    "result",
    [
        [{"species": "a", "confidence": 0.9}, {"species": "b", "confidence": 0.8}],
        {"predicted_class": ["a", "b"], "confidence": [0.9, 0.8]},
        pd.DataFrame({"predicted_class": ["a", "b"], "confidence": [0.9, 0.8]}),
        {"predictions": [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.8}]},
    ],
    ids=lambda result: type(result).__name__,
)
def test_the_same_names_are_read_in_batches(result: Any) -> None:
    """Rows, columns and frames follow the same rule."""
    with InMemoryTelemetry() as kit:
        model = otel_ml.Model("shop", "1", task="multiclass", events="all")
        model.track(lambda features: result)([{"a": 1}, {"a": 2}])
        (event,) = kit.events("ml.prediction")

    rows = json.loads(event["body"])["rows"]
    assert [(row["prediction"], row["score"]) for row in rows] == [("a", 0.9), ("b", 0.8)]
