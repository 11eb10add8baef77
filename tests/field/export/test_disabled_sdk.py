"""What callers see does not depend on the settings of telemetry.

Source: PostHog/posthog#65369 (tests run with `OTEL_SDK_DISABLED=true`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import trace

import otel_ml
from otel_ml.prediction import current_redaction
from otel_ml.quality import Column, Schema

RESULT = {"prediction": 1, "probability": 0.9}
ID = re.compile("[0-9a-f]{32}")


@pytest.fixture(autouse=True)
def disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


class Client:
    def __init__(self, app: FastAPI) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._get(path))

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://service") as client:
            return await client.get(path)


@pytest.fixture
def client() -> Iterator[Client]:
    app = FastAPI()
    undo = otel_ml.instrument_fastapi(app)
    model = otel_ml.Model("fraud", task="binary")
    named = otel_ml.Model("named", id=lambda features: f"order-{features}")

    @app.get("/plain")
    @model.track
    def plain() -> dict[str, Any]:
        return {**RESULT, "id": otel_ml.current_prediction().id}

    @app.get("/async")
    @model.track
    async def asynchronous() -> dict[str, Any]:
        return {**RESULT, "id": otel_ml.current_prediction().id}

    @app.get("/block")
    def block() -> dict[str, Any]:
        with model.prediction({"a": 1}, id="mine") as prediction, prediction.stage("read"):
            prediction.set_output(1, 0.9)
        return {"id": prediction.id}

    @app.get("/named/{order}")
    def order(order: int) -> dict[str, Any]:
        with named.prediction(order) as prediction:
            return {"id": prediction.id}

    @app.get("/fails")
    @model.track
    def fails() -> dict[str, Any]:
        raise ValueError("broken")

    @app.get("/stream")
    def stream() -> StreamingResponse:
        with model.prediction({"a": 1}) as prediction:
            return StreamingResponse(iter([prediction.id]))

    yield Client(app)
    undo()


@pytest.mark.parametrize(("path", "status"), [("/plain", 200), ("/async", 200), ("/fails", 500)])
def test_the_header_is_there(client: Client, path: str, status: int) -> None:
    """PostHog/posthog#65369: the answer names its prediction, with a new id each time."""
    first, second = client.get(path), client.get(path)

    assert first.status_code == status
    assert ID.fullmatch(first.headers["x-prediction-id"])
    assert first.headers["x-prediction-id"] != second.headers["x-prediction-id"]
    if status == 200:
        assert first.json()["id"] == first.headers["x-prediction-id"]


@pytest.mark.parametrize(("path", "name"), [("/block", "mine"), ("/named/7", "order-7")])
def test_an_id_of_the_service_is_kept(client: Client, path: str, name: str) -> None:
    """An id that the service gives, or makes of the features, is the one in the header."""
    answer = client.get(path)

    assert (answer.headers["x-prediction-id"], answer.json()["id"]) == (name, name)


def test_a_streamed_answer_has_it(client: Client) -> None:
    """The id is known before the first byte."""
    answer = client.get("/stream")

    assert answer.headers["x-prediction-id"] == answer.text


def test_streams_and_records_have_ids() -> None:
    """Every way to make a prediction gives one; nothing is recorded, and nothing of ours is logged."""
    model = otel_ml.Model("fraud")

    @model.track
    def items(features: Any) -> Iterator[str]:
        yield otel_ml.current_prediction().id

    @model.track
    async def more(features: Any) -> AsyncIterator[str]:
        yield otel_ml.current_prediction().id

    async def first() -> str:
        async for item in more({"a": 1}):
            return item
        return ""

    found = [
        *items({"a": 1}),
        asyncio.run(first()),
        model.record({"a": 1}, prediction=1).id,
        model.record_error("x").id,
    ]

    assert len(set(found)) == 4
    assert all(ID.fullmatch(one) for one in found), found


def test_the_context_of_the_caller_is_passed_on() -> None:
    """A prediction that records nothing puts no span of its own between the caller and what the service calls."""
    model = otel_ml.Model("fraud")
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1)))
    with trace.use_span(span), model.prediction({"a": 1}) as prediction:
        current = trace.get_current_span()

    assert current is span
    assert prediction.trace_id == f"{1:032x}"


def test_log_records_of_another_provider_are_still_made() -> None:
    """The logging handler finds no values to withhold inside a prediction that records nothing."""
    with otel_ml.Model("fraud", schema=Schema([Column("age", sensitive=True)])).prediction({"age": 41}):
        assert current_redaction() is None
