"""The entry points of zero-code instrumentation, in process."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points

import fastapi
import pytest
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor as ContribInstrumentor
from opentelemetry.trace import SpanKind

from otel_ml.integrations.instrumentor import FastAPIInstrumentor, LoggingInstrumentor


def test_the_entry_points_lead_to_the_instrumentors():
    """`opentelemetry-instrument` finds both under our names."""
    found = {entry.name: entry for entry in entry_points(group="opentelemetry_instrumentor")}

    assert (found["otel_ml_fastapi"].load(), found["otel_ml_logging"].load()) == (
        FastAPIInstrumentor,
        LoggingInstrumentor,
    )


def test_every_new_application_is_observed_until_it_is_undone(memory, client_of):
    """Applications created while it is on are observed until it is undone; the class is then as before."""
    before = fastapi.FastAPI.__init__
    instrumentor = FastAPIInstrumentor()
    instrumentor.instrument(**memory.providers)

    class Special(fastapi.FastAPI):
        pass

    apps = [fastapi.FastAPI(), Special()]
    for app in apps:
        app.add_api_route("/leaf", lambda: 1)
        client_of(app).get("/leaf")
    instrumentor.uninstrument()
    for app in [*apps, fastapi.FastAPI()]:
        client_of(app).get("/leaf")

    assert [span.name for span in memory.spans()] == ["GET /leaf", "GET /leaf"]
    assert fastapi.FastAPI.__init__ is before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("first", ["ours", "contrib"])
def test_beside_contribs_instrumentor_there_is_one_server_span(memory, client_of, first):
    """Both instrumentors, in either order, give one server span per request."""
    ours, contrib = FastAPIInstrumentor(), ContribInstrumentor()
    order = [ours, contrib] if first == "ours" else [contrib, ours]
    for instrumentor in order:
        instrumentor.instrument(**memory.providers)
    app = fastapi.FastAPI()
    app.add_api_route("/leaf", lambda: 1)
    client_of(app).get("/leaf")
    for instrumentor in reversed(order):
        instrumentor.uninstrument()

    assert [span.name for span in memory.spans() if span.kind is SpanKind.SERVER] == ["GET /leaf"]


def test_the_root_logger_is_instrumented_until_it_is_undone(memory):
    """Records of any logger are sent while it is on."""
    instrumentor = LoggingInstrumentor()
    instrumentor.instrument(logger_provider=memory.logger_provider)
    logging.getLogger("anywhere").warning("x")
    instrumentor.uninstrument()
    logging.getLogger("anywhere").warning("y")

    assert [record.body for record in memory.logs()] == ["x"]
