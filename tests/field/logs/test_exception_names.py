"""One exception has one name, whatever records it.

Sources: open-telemetry/opentelemetry-python#3824 (the class name without its module cannot be traced back),
open-telemetry/semantic-conventions#855 and #386 (`error.type` left open which form to use),
Azure/azure-sdk-for-python#34619 (`__name__` loses the outer class of a nested one).
"""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from fastapi import FastAPI

import otel_ml
from otel_ml.testing import InMemoryTelemetry


class Client:
    class Timeout(RuntimeError):
        """Nested, as clients of remote models have them."""


def local_class() -> type[Exception]:
    class Local(Exception):
        pass

    return Local


LOCAL = local_class()


class Renamed(Exception):
    """As libraries do that hide the module in which a class is written."""


Renamed.__module__ = "scoring"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ValueError, "ValueError"),
        (Client.Timeout, f"{__name__}.Client.Timeout"),
        (LOCAL, f"{__name__}.local_class.<locals>.Local"),
        (Renamed, "scoring.Renamed"),
    ],
)
def test_spans_metrics_events_and_logs_agree(telemetry: InMemoryTelemetry, kind: type[Exception], name: str) -> None:
    """The fully qualified class name is on server span, prediction span, event, metrics and log record alike."""
    model = otel_ml.Model("fraud", task="binary")
    app = FastAPI()
    undo = otel_ml.instrument_fastapi(app)
    stop_logging = otel_ml.instrument_logging()

    @app.get("/predict")
    @model.track
    def predict() -> dict:
        try:
            raise kind("broken")
        except kind:
            logging.getLogger("service").exception("prediction failed")
            raise

    async def call() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await client.get("/predict")

    asyncio.run(call())
    stop_logging()
    undo()
    telemetry.flush()

    spans = {span["name"]: span for span in telemetry.spans()}
    logs = telemetry.logs()
    metrics = telemetry.metrics()
    found = {
        "server span": spans["GET /predict"]["attributes"]["error.type"],
        "prediction span": spans["predict fraud"]["attributes"]["error.type"],
        "its exception": spans["predict fraud"]["events"][0]["attributes"]["exception.type"],
        "event": next(log["attributes"]["error.type"] for log in logs if log["event_name"] == "ml.prediction"),
        "log record": next(log["attributes"]["exception.type"] for log in logs if log["body"] == "prediction failed"),
        "error counter": [
            point["attributes"]["error.type"] for point in metrics["ml.prediction.errors"] if point["value"]
        ],
        "durations": [point["attributes"]["error.type"] for point in metrics["ml.prediction.duration"]],
        "requests": [point["attributes"]["error.type"] for point in metrics["http.server.request.duration"]],
    }
    assert found == {
        "server span": name,
        "prediction span": name,
        "its exception": name,
        "event": name,
        "log record": name,
        "error counter": [name],
        "durations": [name],
        "requests": [name],
    }
