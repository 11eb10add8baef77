"""What was predicted is read out of a response: of a web framework, of a model server, as JSON, or with a share for each class.

Sources: SeldonIO/MLServer#1263 (what a model says is one level inside the response), datarobot/datarobot-user-models#905
(predictions beside other parts of a response), SuperCowPowers/workbench#456 (one column for the probability of each class),
aio-libs/aiohttp#5587 (a handler of aiohttp has to return `json_response`, and no mapping).
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, RootModel
from starlette.responses import Response

import otel_ml
from otel_ml.testing import InMemoryTelemetry

R = {"prediction": 1, "probability": 0.9}
TEXT = json.dumps(R)
SHARES = {"yes": 0.9, "no": 0.1}
WEB = type("Response", (), {"__module__": "werkzeug.wrappers", "is_sequence": True, "response": [TEXT.encode()]})
STREAM = type("Response", (), {"__module__": "werkzeug.wrappers", "is_sequence": False, "response": iter([b"x"])})
DJANGO = type("HttpResponse", (), {"__module__": "django.http", "content": TEXT.encode()})
LITESTAR = type("Response", (), {"__module__": "litestar.response", "content": R})
AIOHTTP = type("Response", (dict,), {"__module__": "aiohttp.web_response", "body": TEXT.encode()})
SANIC = type(
    "JSONResponse", (type("HTTPResponse", (), {"__module__": "sanic.response.types", "body": TEXT.encode()}),), {}
)
QUART = type("Response", (), {"__module__": "quart.wrappers", "response": SimpleNamespace(data=TEXT.encode())})
BLACKSHEEP = type("Response", (), {"__module__": "blacksheep.messages", "content": SimpleNamespace(body=TEXT.encode())})


class Label(BaseModel):
    label: str
    score: float


def tensor(name: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP32", "data": data}


def record(task: str, features: Any, result: Any, classes: Any = None) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Returns the attributes and the body of the event, and the metrics, of one call with this result."""
    with InMemoryTelemetry() as kit:
        model = otel_ml.Model("shop", "1", task=task, classes=classes, events="all")  # type: ignore[arg-type]
        assert model.track(lambda features: result)(features) is result
        (event,) = kit.events("ml.prediction")
        return event["attributes"], json.loads(event["body"]), kit.metrics()


READ: list[tuple[str, Any, tuple[Any, Any, Any]]] = [
    ("binary", JSONResponse(R), ("1", None, 0.9)),
    ("binary", Response(TEXT, media_type="application/json"), ("1", None, 0.9)),
    ("multiclass", PlainTextResponse("setosa"), ("setosa", None, None)),
    ("binary", WEB(), ("1", None, 0.9)),
    ("binary", DJANGO(), ("1", None, 0.9)),
    ("binary", LITESTAR(), ("1", None, 0.9)),
    ("binary", AIOHTTP(), ("1", None, 0.9)),
    ("binary", SANIC(), ("1", None, 0.9)),
    ("binary", QUART(), ("1", None, 0.9)),
    ("binary", BLACKSHEEP(), ("1", None, 0.9)),
    ("binary", TEXT, ("1", None, 0.9)),
    ("other", TEXT.encode(), ("1", None, 0.9)),
    ("binary", (R, 200), ("1", None, 0.9)),
    ("binary", (TEXT, 200, {"x-model": "1"}), ("1", None, 0.9)),
    ("binary", {"statusCode": 200, "body": TEXT}, ("1", None, 0.9)),
    ("regression", {"outputs": [tensor("predict", [1], [1.5])]}, (None, 1.5, None)),
    ("multiclass", {"outputs": [tensor("label", [1], ["a"]), tensor("score", [1], [0.9])]}, ("a", None, 0.9)),
    ("multiclass", RootModel[list[Label]]([Label(label="a", score=0.9)]), ("a", None, 0.9)),
    ("other", '["not", "a", "prediction"]', ('["not", "a", "prediction"]', None, None)),
    ("multiclass", SHARES, ("yes", None, 0.9)),
    ("multiclass", {"probabilities": SHARES}, ("yes", None, 0.9)),
    ("multiclass", {"prediction": "no", "probabilities": SHARES}, ("no", None, 0.1)),
    ("multiclass", {"labels": ["yes", "no"], "scores": [0.9, 0.1], "sequence": "x"}, ("yes", None, 0.9)),
    ("multiclass", [{"label": "no", "score": 0.1}, {"label": "yes", "score": 0.9}], ("yes", None, 0.9)),
    ("multiclass", [[{"label": "no", "score": 0.1}, {"label": "yes", "score": 0.9}]], ("yes", None, 0.9)),
    ("multiclass", pd.DataFrame([SHARES]), ("yes", None, 0.9)),
    ("regression", pd.DataFrame([[1.5]]), (None, 1.5, None)),
    ("multiclass", ("yes", [0.9, 0.1]), ("yes", None, 0.9)),
    ("multiclass", (np.array(["no"]), np.array([[0.9, 0.1]])), ("no", None, 0.9)),
]


@pytest.mark.parametrize(
    ("task", "result", "expected"), READ, ids=lambda value: re.sub(r" at 0x\w+", "", repr(value))[:60]
)
def test_it_is_read(task: str, result: Any, expected: Any) -> None:
    """The body, without status and headers, is the result; a share for each class names the likeliest."""
    attributes, _, metrics = record(task, {"a": 1}, result)

    names = ("ml.prediction.class", "ml.prediction.value", "ml.prediction.score")
    assert tuple(attributes.get(name) for name in names) == expected
    assert not metrics.get("otelml.prediction.omissions")


@pytest.mark.parametrize("result", [SHARES, {"prediction": "no", "probability": SHARES}, pd.DataFrame([SHARES])])
def test_the_score_of_a_binary_model_is_that_of_its_positive_class(result: Any) -> None:
    """The names of the shares say which it is, whatever their order; without declared classes there is no score."""
    assert record("binary", {"a": 1}, result, ["no", "yes"])[0]["ml.prediction.score"] == 0.9
    assert record("binary", {"a": 1}, result, ["yes", "no"])[0]["ml.prediction.score"] == 0.1
    attributes, _, metrics = record("binary", {"a": 1}, result)

    assert "ml.prediction.score" not in attributes
    assert [point["value"] for point in metrics["otelml.prediction.omissions"]] == [1]


ROWS = [{"a": 1}, {"a": 2}]
BATCHES: list[tuple[Any, Any]] = [
    (ROWS, JSONResponse({"predictions": ["yes", "no"], "scores": [0.9, 0.2]})),
    (ROWS, [SHARES | {"yes": 0.9}, {"yes": 0.2, "no": 0.8}]),
    (ROWS, pd.DataFrame([SHARES, {"yes": 0.2, "no": 0.8}])),
    (ROWS, (np.array(["yes", "no"]), np.array([0.9, 0.2]))),
    (ROWS, [[{"label": "yes", "score": 0.9}, {"label": "no", "score": 0.1}], [{"label": "no", "score": 0.2}]]),
    ({"instances": ROWS}, {"outputs": [tensor("label", [2], ["yes", "no"]), tensor("score", [2], [0.9, 0.2])]}),
]


@pytest.mark.parametrize(("features", "result"), BATCHES)
def test_the_same_is_read_in_batches(features: Any, result: Any) -> None:
    """Rows follow the rules of single results, a batch of two rows too."""
    _, body, _ = record("multiclass", features, result)

    assert [row["prediction"] for row in body["rows"]] == ["yes", "no"]
    assert [row["score"] for row in body["rows"]][0] == 0.9


def test_a_pair_of_two_rows_that_may_be_rows_is_refused() -> None:
    """Two vectors for two rows are their probabilities, not two columns."""
    _, body, _ = record("binary", ROWS, ([0.1, 0.9], [0.8, 0.2]), ["no", "yes"])

    assert [row["prediction"] for row in body["rows"]] == ["yes", "no"]


REFUSED: list[tuple[str, Any]] = [
    ("binary", HTMLResponse("<b>yes</b>")),
    ("binary", StreamingResponse(iter([b"x"]))),
    ("binary", STREAM()),
    ("binary", JSONResponse({"detail": "no such customer"}, 404)),
    ("binary", '{"detail": "no such customer"}'),
    ("regression", {"low": 0.4, "high": 0.6}),
    ("multiclass", {"class_a": 0.4, "class_b": 0.6}),
    ("multiclass", {"a": 0.4, "b": 0.4}),
    ("multiclass", [{"label": "a", "score": 0.4, "box": [1]}, {"label": "b", "score": 0.6, "box": [2]}]),
    ("multiclass", [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.9}]),
    ("multiclass", []),
]


@pytest.mark.parametrize(("task", "result"), REFUSED, ids=lambda value: re.sub(r" at 0x\w+", "", repr(value))[:60])
def test_what_has_no_answer_is_refused(task: str, result: Any) -> None:
    """Pages, streams, errors and values that are no shares are counted as not recognised."""
    attributes, _, metrics = record(task, {"a": 1}, result)

    assert not {"ml.prediction.class", "ml.prediction.value", "ml.prediction.score"} & set(attributes)
    assert sum(point["value"] for point in metrics["otelml.unrecognised.outputs"]) == 1
    assert "otelml.internal.errors" not in metrics or not any(p["value"] for p in metrics["otelml.internal.errors"])
