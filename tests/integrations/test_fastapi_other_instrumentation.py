"""Beside FastAPI's own telemetry and opentelemetry-instrumentation-fastapi: never two server spans."""

from __future__ import annotations

from types import SimpleNamespace

import fastapi
import pytest
from fastapi import FastAPI
from opentelemetry.context import get_value
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind

from otel_ml import _guard, instrument_fastapi, semconv
from otel_ml._telemetry import ports
from otel_ml.integrations.fastapi._middleware import layers
from otel_ml.prediction._context import PREDICTIONS_KEY

DURATION = "http.server.request.duration"
CONTRIB = "opentelemetry.instrumentation.fastapi"
CONTRIB_OPTIONS = {"exclude_spans": ["receive", "send"]}

needs_native = pytest.mark.skipif(
    tuple(int(part) for part in fastapi.__version__.split(".")[:2]) < (0, 142),
    reason="FastAPI has telemetry of its own since 0.142",
)


@pytest.fixture
def own_mode():
    """Activates an engine whose tracer and meter are those of an SDK."""

    def enter(memory):
        engine = SimpleNamespace(
            tracer=lambda name: memory.tracer_provider.get_tracer(name),
            meter=lambda name: memory.meter_provider.get_meter(name),
            requests=None,
        )
        ports.enter(ports.State("own", engine))

    yield enter
    ports.enter(None)


def predict():
    get_value(PREDICTIONS_KEY).first_id = "the-id"
    return 1


def servers(memory):
    """Returns scope and name of every server span."""
    return [(span.instrumentation_scope.name, span.name) for span in memory.spans() if span.kind is SpanKind.SERVER]


def with_native(memory, **options):
    return FastAPI(telemetry={**memory.providers, "logger_provider": memory.logger_provider, **options})


@needs_native
def test_the_private_switch_of_fastapi_has_not_moved():
    """FastAPI's own telemetry reads `app._telemetry`; if the name moves, `NativeSwitch` must follow."""
    app = FastAPI()

    assert {"tracing": True, "metrics": True}.items() <= app._telemetry.items()
    assert app._native_telemetry.config is app._telemetry


@needs_native
def test_the_private_telemetry_class_of_fastapi_has_not_moved():
    """FastAPI writes the route into an object of this class; if the name moves, `attach` must follow."""
    from otel_ml.integrations.fastapi import _native_telemetry

    assert _native_telemetry.FastAPITelemetry is not None
    assert _native_telemetry.FastAPITelemetry(span=None, span_method="GET", data=None, _mount_prefix="").route is None


@needs_native
def test_in_guest_mode_the_native_span_is_used(memory, client_of):
    """FastAPI's own server span and metrics stay the only ones, and the id is in the answer."""
    app = with_native(memory)
    instrument_fastapi(app, **memory.providers)
    app.add_api_route("/leaf", predict)

    answer = client_of(app).get("/leaf")

    assert (servers(memory), answer.headers["x-prediction-id"]) == ([("fastapi", "GET /leaf")], "the-id")
    assert [count for _, count in memory.points(DURATION)] == [1]


@needs_native
def test_in_guest_mode_native_metrics_stay_the_only_ones(memory, client_of):
    """If FastAPI measures but does not trace, the span is ours and the metrics are FastAPI's."""
    app = with_native(memory, tracing=False)
    instrument_fastapi(app, **memory.providers)
    app.add_api_route("/leaf", predict)

    client_of(app).get("/leaf")

    assert servers(memory) == [(semconv.SCOPE, "GET /leaf")]
    assert [count for _, count in memory.points(DURATION)] == [1]


@needs_native
def test_in_own_mode_native_telemetry_is_suspended(memory, client_of, own_mode):
    """In own mode the server span is ours, FastAPI's log events stay, and the undo gives FastAPI its settings back."""
    own_mode(memory)
    app = with_native(memory)
    undo = instrument_fastapi(app)

    @app.get("/items/{item}")
    def item(item: int):
        return item

    client_of(app).get("/items/x")

    assert servers(memory) == [(semconv.SCOPE, "GET /items/{item}")]
    assert [record.event_name for record in memory.logs()] == ["fastapi.validation.failed"]
    assert [count for _, count in memory.points(DURATION)] == [1]
    undo()
    assert (app._telemetry["tracing"], app._telemetry["metrics"]) == (True, True)
    client_of(app).get("/items/x")
    assert servers(memory)[1:] == [("fastapi", "GET /items/{item}")]


@needs_native
def test_own_mode_may_start_after_instrumentation(memory, client_of, own_mode):
    """With `configure` after `instrument_fastapi` every request has one server span, ours from the second on."""
    app = with_native(memory)
    instrument_fastapi(app)
    app.add_api_route("/leaf", predict)
    own_mode(memory)

    client_of(app).get("/leaf")
    client_of(app).get("/leaf")
    ports.enter(None)
    client_of(app).get("/leaf")
    client_of(app).get("/leaf")

    assert [scope for scope, _ in servers(memory)][:2] == ["fastapi", semconv.SCOPE]
    assert servers(memory)[-1] == ("fastapi", "GET /leaf")


@needs_native
def test_in_own_mode_a_mounted_application_is_suspended_too(memory, client_of, own_mode):
    """A mounted FastAPI with its own telemetry adds no second server span."""
    own_mode(memory)
    app, sub = with_native(memory), with_native(memory)
    instrument_fastapi(app)
    sub.add_api_route("/leaf/{leaf}", lambda leaf: leaf)
    app.mount("/sub", sub)

    client_of(app).get("/sub/leaf/1")

    assert servers(memory) == [(semconv.SCOPE, "GET /sub/leaf/{leaf}")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("first", ["ours", "contrib"])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("sampled", [True, False])
def test_beside_contrib_there_is_one_server_span(memory, sampled_memory, client_of, first, late, sampled):
    """In any order, before or after the first request, contrib's span and metrics are the only ones."""
    if not sampled:
        memory = sampled_memory(ParentBased(ALWAYS_OFF))
    app = FastAPI()
    app.add_api_route("/leaf", predict)
    if first == "ours":
        instrument_fastapi(app, **memory.providers)
    FastAPIInstrumentor.instrument_app(app, **memory.providers, **CONTRIB_OPTIONS)
    if late:
        client_of(app).get("/health")
    if first == "contrib":
        instrument_fastapi(app, **memory.providers)

    answer = client_of(app).get("/leaf")

    expected = [(CONTRIB, "GET /leaf")] if sampled else []
    assert [server for server in servers(memory) if server[1] == "GET /leaf"] == expected
    assert answer.headers["x-prediction-id"] == "the-id"
    assert memory.points(DURATION) == []
    assert _guard.counts() == {}
    FastAPIInstrumentor.uninstrument_app(app)


def test_an_outer_server_span_is_used(memory, client_of):
    """A server span of another middleware around the application is adopted."""
    tracer = memory.tracer_provider.get_tracer("outer")
    app = FastAPI()
    app.add_api_route("/leaf", predict)
    instrument_fastapi(app, **memory.providers)

    async def outer(scope, receive, send):
        with tracer.start_as_current_span("outer", kind=SpanKind.SERVER):
            await app(scope, receive, send)

    answer = client_of(outer).get("/leaf")

    assert (servers(memory), answer.headers["x-prediction-id"]) == ([("outer", "outer")], "the-id")


def test_a_disabled_sdk_leaves_the_id_only(client_of, monkeypatch):
    """With `OTEL_SDK_DISABLED` the application runs as usual and the response still names the prediction."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    app = FastAPI()
    instrument_fastapi(app)
    app.add_api_route("/leaf", predict)

    answer = client_of(app).get("/leaf")

    assert (answer.status_code, answer.headers["x-prediction-id"]) == (200, "the-id")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("first", ["ours", "contrib"])
def test_undo_leaves_contrib_in_place(memory, client_of, first):
    """The undo removes our layer below contrib's, which keeps working."""
    app = FastAPI()
    app.add_api_route("/leaf", lambda: 1)
    undo = instrument_fastapi(app, **memory.providers) if first == "ours" else None
    FastAPIInstrumentor.instrument_app(app, **memory.providers, **CONTRIB_OPTIONS)
    undo = undo or instrument_fastapi(app, **memory.providers)
    client_of(app).get("/leaf")

    undo()
    client_of(app).get("/leaf")

    assert servers(memory) == [(CONTRIB, "GET /leaf")] * 2
    assert not any(type(layer).__name__ == "ServerLayer" for layer in layers(app.middleware_stack))
    FastAPIInstrumentor.uninstrument_app(app)
