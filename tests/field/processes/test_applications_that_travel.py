"""An instrumented application is sent to another process, as Ray Serve sends it to its replicas.

Sources: open-telemetry/opentelemetry-python-contrib#3467 (an instrumented application of FastAPI cannot be serialized),
ray-project/ray#42255 (the same with another tracing middleware: "cannot pickle '_thread.lock' object").
"""

import io
import pickle
import threading
from collections import ChainMap
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import propagate
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import State

import otel_ml
from otel_ml.testing import InMemoryTelemetry


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """As Ray's: the state of Starlette needs a reducer of its own."""

    dispatch_table = ChainMap({State: lambda state: (State, (state._state,))}, cloudpickle.Pickler.dispatch_table)


class Locked(TraceContextTextMapPropagator):
    def __init__(self) -> None:
        self.lock = threading.Lock()


def travel(app: FastAPI) -> FastAPI:
    buffer = io.BytesIO()
    Pickler(buffer).dump(app)
    arrived: FastAPI = pickle.loads(buffer.getvalue())
    return arrived


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param) as telemetry:
        yield telemetry


def make_app() -> FastAPI:
    app = FastAPI()
    otel_ml.instrument_fastapi(app)
    model = otel_ml.Model("fraud", "1")

    @app.post("/predict")
    @model.track
    def predict(features: dict[str, float]) -> Any:
        return {"prediction": 1}

    return app


def ask(app: FastAPI) -> str | None:
    return TestClient(app).post("/predict", json={"amount": 1.0}).headers.get("x-prediction-id")


def test_it_is_observed_where_it_arrives(kit: InMemoryTelemetry) -> None:
    """Requests to the copy have a server span, and the answer has the id of the prediction."""
    arrived = travel(make_app())
    assert ask(arrived)
    names = [span["name"] for span in kit.spans()]
    assert names.count("POST /predict") == names.count("predict fraud") == 1


def test_it_travels_after_its_first_request(telemetry: InMemoryTelemetry) -> None:
    """The stack of middleware exists then, and FastAPI's own telemetry is suspended: in the copy, too."""
    app = make_app()
    ask(app)
    arrived = travel(app)
    ask(arrived)
    assert TestClient(arrived).post("/predict").status_code == 422
    assert [span["name"] for span in telemetry.spans() if span["kind"] == "SERVER"] == ["POST /predict"] * 3
    assert [record["event_name"] for record in telemetry.logs() if "validation" in str(record)]


def test_it_reads_the_propagator_where_it_arrives(telemetry: InMemoryTelemetry) -> None:
    """The global propagator belongs to the process, and may hold what cannot be sent."""
    app = make_app()
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(Locked())
    try:
        ask(app)
        assert ask(travel(app))
    finally:
        propagate.set_global_textmap(before)


def test_the_instrumentation_of_a_copy_is_removed_alone(telemetry: InMemoryTelemetry) -> None:
    """The function that removes the instrumentation belongs to one application."""
    app = make_app()
    arrived = travel(app)
    otel_ml.instrument_fastapi(arrived)()
    assert ask(app)
    assert ask(arrived) is None
