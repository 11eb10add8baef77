"""The features of a call are found by the signature of the function, or one line says that they were not.

Sources: mlflow/mlflow#3683 (a pyfunc model takes `context` and `model_input`); public services that predict from scalar parameters.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import numpy as np
import pandas as pd
import pytest
from fastapi import Depends, Header, Query
from fastapi import Request as WebRequest
from pydantic import BaseModel

import otel_ml
from otel_ml.config import ConfigError
from otel_ml.testing import InMemoryTelemetry

R = {"prediction": 1, "probability": 0.9}
TRAIN = pd.DataFrame({"age": [20.0, 30.0, 40.0, 50.0] * 50, "income": [1.5, 2.5, 3.5, 4.5] * 50})
PROFILE = otel_ml.ReferenceProfile.fit(TRAIN)
ROW = {"age": 30.0, "income": 2.5}


class Applicant(BaseModel):
    age: float
    income: float


class Fields(TypedDict):
    age: float
    income: float


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param, events="all") as telemetry:
        yield telemetry


def counts(kit: InMemoryTelemetry) -> tuple[int, int, int]:
    metrics = kit.metrics()
    names = ("ml.feature.values", "ml.feature.missing", "ml.data.violations")
    bins, missing, violations = (sum(point["value"] for point in metrics[name]) for name in names)
    return bins, missing, violations


def captured(kit: InMemoryTelemetry) -> list[Any]:
    return [json.loads(event["body"]).get("features") for event in kit.events("ml.prediction")]


def scalars(age: float, income: float) -> Any:
    return R


def scalars_and_others(context: Any, income: float, age: float = 30.0, *, threshold: float = 0.5) -> Any:
    return R


def keywords(**row: Any) -> Any:
    return R


def keyword_and_rest(age: float, **rest: Any) -> Any:
    return R


def mlflow(context: Any, model_input: Any, params: Any = None) -> Any:
    return R


def kserve(payload: Any, headers: Any = None) -> Any:
    return R


def scikit(X: Any, threshold: float = 0.5) -> Any:  # noqa: N803
    return R


def request_first(request: Any, data: Any) -> Any:
    return R


def typed_request(request: Applicant) -> Any:
    return R


def web_request(http: WebRequest, whatever: Any) -> Any:
    return R


def injected(session: Annotated[dict, Depends(dict)], agent: Annotated[str, Header()], applicant: Any) -> Any:
    return R


def sagemaker(input_object: Any, model: Any) -> Any:
    return R


def scalar_before(model_id: str, explain: bool | None, applicant: Applicant) -> Any:
    return R


def scalar_before_mapping(customer: int, info: dict[str, Any]) -> Any:
    return R


def optional_request(request: Applicant | None = None) -> Any:
    return R


def typed_user(user: Applicant) -> Any:
    return R


def dependency(
    context: dict[str, Any], params: Annotated[Applicant, Depends()], session: Annotated[Any, Depends(dict)]
) -> Any:
    return R


def typed_dict(context: Any, params: Fields) -> Any:
    return R


def several(*args: Any, **kwargs: Any) -> Any:
    return R


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "scalars": (scalars, (30.0, 2.5), {}),
    "scalars by keyword": (scalars, (), {"income": 2.5, "age": 30.0}),
    "scalars among others": (scalars_and_others, ({"age": 1}, 2.5), {}),
    "keywords": (keywords, (), ROW),
    "keywords with a context": (keywords, (), {**ROW, "context": {"age": 1}}),
    "row as a keyword": (keywords, (), {"features": ROW}),
    "rest": (keyword_and_rest, (30.0,), {"income": 2.5}),
    "mlflow": (mlflow, ({"age": 1}, ROW), {}),
    "mlflow by keyword": (mlflow, (), {"context": {"age": 1}, "model_input": ROW}),
    "kserve": (kserve, (ROW, {"age": "x"}), {}),
    "scikit": (scikit, (ROW,), {}),
    "request": (request_first, ({"age": 1}, ROW), {}),
    "typed request": (typed_request, (Applicant(**ROW),), {}),
    "web request": (web_request, ({"age": 1}, ROW), {}),
    "injected": (injected, ({"age": 1}, "agent", ROW), {}),
    "sagemaker": (sagemaker, (ROW, {"age": 1}), {}),
    "scalar before": (scalar_before, ("m-1", True, Applicant(**ROW)), {}),
    "scalar before mapping": (scalar_before_mapping, (17, ROW), {}),
    "optional request": (optional_request, (Applicant(**ROW),), {}),
    "typed user": (typed_user, (Applicant(**ROW),), {}),
    "dependency": (dependency, ({"age": 1}, Applicant(**ROW), {"age": 2}), {}),
    "typed dict": (typed_dict, ({"age": 1}, ROW), {}),
    "arguments": (several, (ROW,), {}),
    "arguments by keyword": (several, (), {"data": ROW, "context": 1}),
    "arguments as keywords": (several, (), ROW),
}


@pytest.mark.parametrize(("function", "args", "kwargs"), CALLS.values(), ids=CALLS)
def test_they_are_found(kit: InMemoryTelemetry, function: Any, args: Any, kwargs: Any) -> None:
    """Parameters named like columns form the row; else a usual name decides, never a context, request or header."""
    model = otel_ml.Model("m", task="binary", profile=PROFILE)
    assert model.track(function)(*args, **kwargs) is R

    assert captured(kit) == [ROW]
    assert counts(kit) == (2, 0, 0)


def test_a_method_of_mlflow_predicts_a_batch(kit: InMemoryTelemetry) -> None:
    """The table is the input, not the context: all of its rows are counted."""
    model = otel_ml.Model("m", task="binary", classes=[0, 1], profile=PROFILE)

    class Served:
        @model.track
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return np.array([0, 1, 1, 0])

    Served().predict({"artifacts": 1}, TRAIN[:4])
    classes = {p["attributes"]["ml.prediction.class"]: p["value"] for p in kit.metrics()["ml.predictions"]}

    assert classes == {"0": 2, "1": 2}
    assert counts(kit) == (8, 0, 0)


def test_an_endpoint_of_query_parameters(kit: InMemoryTelemetry) -> None:
    """FastAPI calls with keywords; an alias of a parameter is a name of the column. (An application would be cached.)"""

    @otel_ml.Model("m", task="binary", profile=PROFILE).track
    def predict(
        years: Annotated[float, Query(alias="age")], income: float, agent: Annotated[str, Header()] = ""
    ) -> Any:
        return R

    assert predict(years=30.0, income=2.5, agent="x") is R
    assert captured(kit) == [ROW]
    assert counts(kit) == (2, 0, 0)


@pytest.mark.parametrize(
    "decorate", [lambda m: m.track(features="second"), lambda m: functools.partial(m.track, features="second")]
)
def test_the_user_decides(kit: InMemoryTelemetry, decorate: Any) -> None:
    """`track(features=...)` names the parameter, whatever else would be found."""
    model = otel_ml.Model("m", task="binary", profile=PROFILE)

    @decorate(model)
    def predict(features: Any, second: Any) -> Any:
        return R

    predict({"age": 1.0}, ROW)
    predict(features=None, second=ROW)

    assert captured(kit) == [ROW, ROW]


def test_the_user_decides_for_keywords_and_in_one_line(kit: InMemoryTelemetry) -> None:
    """The name of `**row`, a keyword that only `**kwargs` takes, and `track_prediction` work as well."""

    def by_row(context: Any, **row: Any) -> Any:
        return R

    def by_keyword(**kwargs: Any) -> Any:
        return R

    keywords = {"task": "binary", "profile": PROFILE}
    otel_ml.track_prediction("m", features="row", **keywords)(by_row)({"age": 1}, **ROW)
    otel_ml.track_prediction("m", features="second", **keywords)(by_keyword)(first={"age": 1}, second=ROW)

    assert captured(kit) == [ROW, ROW]


def test_a_parameter_that_is_not_there_is_refused() -> None:
    """A wrong name fails at decoration and lists the parameters."""
    with pytest.raises(
        ConfigError, match="features='rows' is not a parameter of the function; its parameters are: a, b"
    ):
        otel_ml.Model("m").track(features="rows")(lambda a, b: R)


def nothing() -> Any:
    return R


def only_context(context: Any) -> Any:
    return R


def only_request(request: Any) -> Any:
    return R


def one_scalar(threshold: float) -> Any:
    return R


def opaque(thing: Any) -> Any:
    return R


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (nothing, ()),
        (only_context, ({"age": 1.0},)),
        (only_request, ({"age": 1.0},)),
        (one_scalar, (0.5,)),
        (opaque, (object(),)),
        (opaque, ({"years": 3.0},)),
        (opaque, ([1.0, 2.0, 3.0],)),
        (keywords, ()),
    ],
    ids=["nothing", "context", "request", "scalar", "object", "other row", "too wide", "no keywords"],
)
def test_one_line_where_no_row_is_found(
    kit: InMemoryTelemetry, function: Any, args: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A profile waits and no row comes: one line, and nothing counts as missing."""
    predict = otel_ml.Model("m", task="binary", profile=PROFILE).track(function)
    with caplog.at_level(logging.WARNING, "otel_ml"):
        predict(*args)
        predict(*args)
        kit.flush()

    assert len([line for line in caplog.messages if "(age, income)" in line]) == 1
    assert counts(kit) == (0, 0, 0)


def test_columns_without_a_parameter_are_not_missing(kit: InMemoryTelemetry) -> None:
    """A function that takes some of the columns is no broken input; a default is a value."""
    model = otel_ml.Model("m", task="binary", profile=PROFILE)
    model.track(lambda age=30.0, threshold=0.5: R)()

    assert (captured(kit), counts(kit)) == ([{"age": 30.0}], (1, 0, 0))


def test_a_sensitive_parameter_stays(kit: InMemoryTelemetry) -> None:
    """A parameter that means a sensitive column by name or alias is withheld."""
    profile = otel_ml.ReferenceProfile.fit(
        pd.DataFrame({"native-country": ["US", "DE"] * 100, "age": [20.0, 30.0] * 100}), sensitive=("native-country",)
    )
    model = otel_ml.Model("m", task="binary", profile=profile, capture_features="all")

    @model.track
    def by_name(native_country: str, age: float) -> Any:
        return R

    @model.track
    def by_alias(country: Annotated[str, Query(alias="native-country")], age: float) -> Any:
        return R

    by_name("canary-1", 20.0)
    by_alias("canary-1", 20.0)

    assert captured(kit) == [{"age": 20.0}] * 2


def test_scalars_without_declared_columns_form_the_row(kit: InMemoryTelemetry) -> None:
    """Without a profile, all annotated scalars are the features, not the first one alone."""
    otel_ml.Model("m", task="binary", capture_features="all").track(scalars)(30.0, income=2.5)

    assert captured(kit) == [ROW]


def test_every_kind_of_function_finds_them(kit: InMemoryTelemetry) -> None:
    """Coroutines, generators and asynchronous generators take the row from their arguments, too."""
    model = otel_ml.Model("m", task="binary", profile=PROFILE)

    @model.track
    async def coroutine(age: float, income: float) -> Any:
        return R

    @model.track
    def stream(age: float, income: float) -> Any:
        yield 1
        return R

    @model.track
    async def stream_later(age: float, income: float) -> Any:
        yield 1

    async def run() -> None:
        await coroutine(30.0, 2.5)
        assert [item async for item in stream_later(30.0, 2.5)] == [1]

    asyncio.run(run())
    assert list(stream(30.0, 2.5)) == [1]

    assert captured(kit) == [ROW] * 3
    assert counts(kit) == (6, 0, 0)
