"""An unhandled error of a request is one log record on its trace, whatever the server and the version of FastAPI.

Sources: curie-eng/curie#2536 and DiamondLightSource/blueapi#1248 (lines of uvicorn are not exported),
open-telemetry/opentelemetry-python#3477 (log lines of errors have no trace), EdwinWenink/udacity-ml-fastapi and
eightBEC/fastapi-ml-skeleton (no log record has the traceback), fastapi/fastapi#5065 (decorators and postponed
annotations).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import otlp_receiver
import pandas as pd
import pytest
from otlp_receiver import Receiver
from served_processes import make_python, served
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import otel_ml
from otel_ml.testing import InMemoryTelemetry

receiver = otlp_receiver.receiver
PROGRAM = """
from __future__ import annotations
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
import otel_ml

otel_ml.configure(service_name="served", logging=True)
app = FastAPI()
otel_ml.instrument_fastapi(app)
model = otel_ml.Model("m", "1", task="binary")

class Row(BaseModel):
    a: float

@app.post("/predict")
@model.track
def predict(features: Row):
    return {"prediction": 1, "probability": 0.9}

@model.track
async def tokens(features: Row):
    yield otel_ml.current_prediction().id

@app.get("/stream")
def stream():
    return StreamingResponse(tokens(Row(a=1.0)))

@app.get("/broken/{x}")
async def broken(x: int):
    raise LookupError("no such row")

@app.get("/late")
async def late(tasks: BackgroundTasks):
    def fail():
        raise LookupError("too late")
    tasks.add_task(fail)
"""
SERVERS = {
    "uvicorn with h11": "uvicorn app:app --port {port} --http h11",
    "uvicorn with httptools": "uvicorn app:app --port {port} --http httptools --log-level warning",
    "uvicorn with workers": "uvicorn app:app --port {port} --workers 2",
    "gunicorn": "gunicorn app:app -b 127.0.0.1:{port} -k uvicorn.workers.UvicornWorker",
    "gunicorn with preload": "gunicorn app:app -b 127.0.0.1:{port} -k uvicorn.workers.UvicornWorker --preload",
    "hypercorn": "hypercorn app:app -b 127.0.0.1:{port}",
}


def values(record: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in record.attributes}


def check(receiver: Receiver, path: str, span_name: str, body: str) -> None:
    """Asserts that the error of a request has exactly one record, on the trace of the request."""
    errors = [record for record in receiver.logs() if values(record).get("exception.type") == "LookupError"]
    (span,) = [span for span in receiver.spans() if span.name == span_name]

    assert [(record.trace_id, record.span_id) for record in errors] == [(span.trace_id, span.span_id)], path
    (record,) = errors
    assert (record.event_name, record.severity_text) == ("http.server.request.exception", "ERROR")
    assert record.body.string_value == "Unhandled exception in FastAPI request"
    assert values(record)["http.route"] == path
    assert values(record)["exception.message"] == body
    assert "raise LookupError" in values(record)["exception.stacktrace"]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_an_error_is_one_record_on_its_trace(receiver: Receiver, tmp_path: Path, server: str) -> None:
    """The server still prints the traceback, and its line about it is not exported beside the record."""
    with served(PROGRAM, server, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as running:
        assert httpx.get(f"{running.url}/broken/7", trust_env=False).status_code == 500

    check(receiver, "/broken/{x}", "GET /broken/{x}", "no such row")
    assert running.output.count("LookupError: no such row") == 1


def test_the_same_holds_after_the_answer(receiver: Receiver, tmp_path: Path) -> None:
    """An error of a background task is a record on the trace of the request that started it."""
    with served(PROGRAM, SERVERS["uvicorn with h11"], tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as running:
        httpx.get(f"{running.url}/late", trust_env=False)

    check(receiver, "/late", "GET /late", "too late")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.110", "0.115", "0.121"])
def test_an_older_fastapi_has_the_same(receiver: Receiver, tmp_path: Path, version: str) -> None:
    """Postponed annotations, the server span, the id of a streamed answer and the record of an error."""
    packages = (f"fastapi=={version}.*", "uvicorn", "httptools")
    python = make_python(f"fastapi-{version}", *packages)
    server = SERVERS["uvicorn with httptools"]
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    with served(PROGRAM, server, tmp_path, python=python, **variables) as running:
        predicted = httpx.post(f"{running.url}/predict", json={"a": 1}, trust_env=False)
        streamed = httpx.get(f"{running.url}/stream", trust_env=False)
        refused = httpx.post(f"{running.url}/predict", json={"a": "x"}, trust_env=False)
        failed = httpx.get(f"{running.url}/broken/7", trust_env=False)

    assert (predicted.status_code, refused.status_code, failed.status_code) == (200, 422, 500), running.output
    assert predicted.json() == {"prediction": 1, "probability": 0.9}
    assert len(predicted.headers["x-prediction-id"]) == 32
    assert streamed.headers["x-prediction-id"] == streamed.text
    names = [span.name for span in receiver.spans()]
    assert sorted(names) == ["GET /broken/{x}", "GET /stream", *["POST /predict"] * 2, *["predict m"] * 2]
    check(receiver, "/broken/{x}", "GET /broken/{x}", "no such row")
    assert "otel-ml: internal" not in running.output


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as kit:
        yield kit


def fail(_: Any) -> None:
    raise LookupError("no such row")


def answer_then_fail(_: Any) -> PlainTextResponse:
    return PlainTextResponse("", background=BackgroundTask(fail, None))


def ask(app: Any, path: str) -> None:
    async def get() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get(path)

    asyncio.run(get())


@pytest.mark.parametrize("path", ["/fail", "/below/fail", "/late", "/healthz"])
def test_starlette_without_fastapi_has_it_too(kit: InMemoryTelemetry, path: str) -> None:
    """Also in a mounted application with instrumentation of its own, after the answer, and without a span."""
    below = Starlette(routes=[Route("/fail", fail)])
    routes = [Route("/fail", fail), Route("/late", answer_then_fail), Route("/healthz", fail), Mount("/below", below)]
    app = Starlette(routes=routes)
    undo = [otel_ml.instrument_fastapi(each) for each in (app, below)]  # type: ignore[arg-type]
    ask(app, path)
    [each() for each in undo]

    (record,) = kit.logs()
    assert record["event_name"] == "http.server.request.exception"
    assert record["attributes"]["exception.type"] == "LookupError"
    assert "raise LookupError" in record["attributes"]["exception.stacktrace"]
    spans = [span["span_id"] for span in kit.spans()]
    assert spans == ([] if path == "/healthz" else [record["span_id"]])


def test_a_sensitive_column_withholds_the_error(kit: InMemoryTelemetry) -> None:
    """The record has the type; message and stack trace may quote a value."""
    profile = otel_ml.ReferenceProfile.fit(pd.DataFrame({"ssn": ["a", "b"] * 10}), sensitive=("ssn",))
    model = otel_ml.Model("m", profile=profile)
    app = Starlette(routes=[Route("/fail", fail)])
    undo = otel_ml.instrument_fastapi(app)  # type: ignore[arg-type]
    ask(app, "/fail")
    undo()

    (record,) = kit.logs()
    assert record["attributes"]["exception.type"] == "LookupError"
    assert "no such row" not in repr(record)
    assert model.name == "m"


def test_a_handled_error_is_no_record(kit: InMemoryTelemetry) -> None:
    """What an exception handler turns into an answer was handled."""
    app = Starlette(
        routes=[Route("/fail", fail)], exception_handlers={LookupError: lambda *_: PlainTextResponse("", 404)}
    )
    undo = otel_ml.instrument_fastapi(app)  # type: ignore[arg-type]
    ask(app, "/fail")
    undo()

    assert kit.logs() == []
