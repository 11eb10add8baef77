"""The rows in the requests of model servers are found, counted and paired with the outputs.

Sources: mlflow/mlflow#5522 (a request in the split orientation gives its columns in its own order), SeldonIO/MLServer#1263
(a runtime reads the data out of the response that it wraps), kserve/kserve#2814 (metrics of a model's own behind KServe).
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import otel_ml
from otel_ml.testing import InMemoryTelemetry

TRAIN = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0] * 50, "income": [1.5, 2.5, 3.5, 4.5] * 50})
PROFILE = otel_ml.ReferenceProfile.fit(TRAIN)
ROWS = [{"age": 30.0, "income": 2.5}, {"age": 40.0, "income": 3.5}]
LISTS = [[30.0, 2.5], [40.0, 3.5]]
SWAPPED = {"columns": ["income", "age"], "index": [0, 1], "data": [[2.5, 30.0], [3.5, 40.0]]}


class Applicant(BaseModel):
    age: float
    income: float


class Request(BaseModel):
    applicants: list[Applicant]
    explain: bool = False


def tensor(name: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP32", "data": data}


REQUESTS: dict[str, Any] = {
    "KServe": {"instances": ROWS},
    "KServe with lists": {"instances": LISTS},
    "Vertex": {"instances": ROWS, "parameters": {"threshold": 0.5}},
    "TensorFlow": {"signature_name": "x", "inputs": {"age": [30.0, 40.0], "income": [2.5, 3.5]}},
    "protocol 2": {"id": "1", "inputs": [tensor("income", [2], [2.5, 3.5]), tensor("age", [2, 1], [30.0, 40.0])]},
    "protocol 2, one tensor": {"inputs": [tensor("x", [2, 2], [30.0, 2.5, 40.0, 3.5])]},
    "protocol 2, nested": {"inputs": [tensor("x", [2, 2], LISTS)]},
    "MLflow split": {"dataframe_split": SWAPPED},
    "MLflow records": {"dataframe_records": ROWS},
    "split": SWAPPED,
    "Azure ML": json.dumps({"input_data": SWAPPED, "params": {}}),
    "Azure ML before": json.dumps({"data": LISTS}),
    "Azure ML designer": {"Inputs": {"data": ROWS}, "GlobalParameters": 1.0},
    "Seldon": {"data": {"names": ["income", "age"], "ndarray": SWAPPED["data"]}, "meta": {}},
    "Seldon without names": {"data": {"ndarray": LISTS}},
    "Seldon tensor": {"data": {"names": ["age", "income"], "tensor": {"shape": [2, 2], "values": [30, 2.5, 40, 3.5]}}},
    "TorchServe": [{"body": row} for row in ROWS],
    "TorchServe in bytes": [{"data": json.dumps(row).encode()} for row in ROWS],
    "Lambda": {"headers": {"host": "x"}, "body": json.dumps(ROWS)},
    "JSON": json.dumps(ROWS).encode(),
    "a service's own model": Request(applicants=[Applicant(**row) for row in ROWS]),
    "a service's own key": {"request_id": 7, "customers": ROWS},
}


@pytest.mark.parametrize("mode", ["own", "guest"])
@pytest.mark.parametrize("request_given", REQUESTS.values(), ids=REQUESTS)
def test_the_rows_are_found(mode: Any, request_given: Any) -> None:
    """Each row is in the bins and in the event, beside its own output."""
    with InMemoryTelemetry(mode, events="all") as kit:
        model = otel_ml.Model("m", "1", task="binary", profile=PROFILE)
        model.track(lambda payload: {"predictions": [1, 0]})(request_given)
        (event,) = kit.events("ml.prediction")
        metrics = kit.metrics()

    rows = json.loads(event["body"])["rows"]
    assert [(row["features"], row["prediction"]) for row in rows] == [(ROWS[0], "1"), (ROWS[1], "0")]
    assert sum(point["value"] for point in metrics["ml.feature.values"]) == 4
    assert sum(point["value"] for point in metrics["ml.feature.missing"]) == 0
    assert not metrics.get("otelml.prediction.omissions")


@pytest.mark.parametrize("request_given", [REQUESTS["KServe"], REQUESTS["protocol 2"], REQUESTS["MLflow split"]])
def test_rows_are_counted_without_a_profile(request_given: Any) -> None:
    """A result as long as the rows of the request is a batch, whether or not the features are read."""
    with InMemoryTelemetry() as kit:
        otel_ml.Model("m", "1", task="binary").track(lambda payload: {"predictions": [1, 0]})(request_given)

        classes = {p["attributes"]["ml.prediction.class"]: p["value"] for p in kit.metrics()["ml.predictions"]}
    assert classes == {"1": 1, "0": 1}


ROW_ITSELF = [
    {"age": 30.0, "income": 2.5, "history": [{"age": 29.0}, {"age": 28.0}]},
    {"age": 30.0, "income": 2.5, "data": {"x": [1, 2]}},
    {"age": 30.0, "income": 2.5, "inputs": [[1.0]]},
]


@pytest.mark.parametrize("row", ROW_ITSELF, ids=["history", "data", "inputs"])
def test_a_row_with_rows_in_it_is_one_row(telemetry: InMemoryTelemetry, row: Any) -> None:
    """What has a declared column is the row, whatever else is in it."""
    model = otel_ml.Model("m", "1", task="binary", profile=PROFILE, events="all")
    model.track(lambda payload: {"prediction": 1, "probability": 0.9})(row)
    (event,) = telemetry.events("ml.prediction")

    assert json.loads(event["body"])["features"] == ROWS[0]


def test_a_text_that_is_no_request_stays_a_text(telemetry: InMemoryTelemetry) -> None:
    """A text is read as JSON only if it is a mapping or a list."""
    model = otel_ml.Model("m", "1", task="other", capture_features="all", events="all")
    for text in ("[sic] a review", "{", "12", "null"):
        model.track(lambda text: "positive")(text)

    bodies = [json.loads(event["body"]) for event in telemetry.events("ml.prediction")]
    assert [body["features"] for body in bodies] == [{"value": text} for text in ("[sic] a review", "{", "12", "null")]
