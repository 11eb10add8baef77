"""Own mode: FastAPI keeps its log events about a request, although its own telemetry is suspended."""

from __future__ import annotations

import pytest
from asgi_calls import drive, needs_native
from fastapi import BackgroundTasks, FastAPI, WebSocket
from opentelemetry.context import get_current

from otel_ml import instrument_fastapi


def logged(telemetry):
    return [record["event_name"] for record in telemetry.logs()]


@needs_native
def test_the_log_events_of_fastapi_continue(telemetry, client_of):
    """Failed validation and unhandled exceptions are logged once each, inside the server span; undo restores everything."""
    app = FastAPI()
    before = dict(app._telemetry)
    undo = instrument_fastapi(app)

    @app.get("/items/{item}")
    def item(item: int):
        raise LookupError

    client_of(app).get("/items/x")
    client_of(app).get("/items/7")

    assert logged(telemetry) == ["fastapi.validation.failed", "http.server.request.exception"]
    assert [record["span_id"] for record in telemetry.logs()] == [span["span_id"] for span in telemetry.spans()]
    assert [record["attributes"]["http.route"] for record in telemetry.logs()] == ["/items/{item}"] * 2
    undo()
    assert dict(app._telemetry) == before


@needs_native
def test_the_log_events_of_fastapi_can_be_off(telemetry, client_of):
    """A service that has switched the log events off gets none from us."""
    app = FastAPI(telemetry={"logs": False})
    instrument_fastapi(app)
    app.add_api_route("/items/{item}", lambda item: 1 / 0)

    client_of(app).get("/items/x")

    assert logged(telemetry) == []


@needs_native
def test_requests_that_fastapi_excludes_are_not_logged(telemetry, client_of):
    """The service's own exclusion of requests applies."""
    app = FastAPI(telemetry={"exclude": lambda scope: scope["path"] == "/quiet"})
    instrument_fastapi(app)
    for path in ("/quiet", "/loud"):
        app.add_api_route(path, lambda: 1 / 0)

    client_of(app).get("/quiet")
    client_of(app).get("/loud")

    assert [record["attributes"]["http.route"] for record in telemetry.logs()] == ["/loud"]


@needs_native
def test_requests_without_a_span_are_still_logged(telemetry, client_of):
    """Health checks and WebSockets have no span, but FastAPI still logs them."""
    app = FastAPI()
    instrument_fastapi(app)
    app.add_api_route("/health", lambda: 1 / 0)

    @app.websocket("/socket")
    async def socket(socket: WebSocket):
        raise LookupError

    client_of(app).get("/health")
    with pytest.raises(LookupError):
        drive(app, "/socket", "websocket", [{"type": "websocket.connect"}], subprotocols=[])

    assert logged(telemetry) == ["http.server.request.exception", "fastapi.websocket.exception"]
    assert telemetry.spans() == []


@needs_native
def test_an_exception_after_the_response_is_logged(telemetry, client_of):
    """A background task that fails after the response has its log event."""
    app = FastAPI()
    instrument_fastapi(app)

    @app.get("/")
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(lambda: 1 / 0)
        return 1

    assert client_of(app).get("/").status_code == 200

    assert logged(telemetry) == ["http.server.request.exception"]
    (span,) = telemetry.spans()
    assert span["status"] == "UNSET"


@needs_native
def test_log_processors_can_read_the_request_until_it_ends(telemetry, client_of):
    """`get_telemetry_data` returns the request while it is served and nothing afterwards."""
    from fastapi.telemetry import get_telemetry_data

    contexts = []
    app = FastAPI()
    instrument_fastapi(app)

    @app.get("/items/{item}")
    def item(item: int):
        contexts.append(get_current())
        return get_telemetry_data().values

    answer = client_of(app).get("/items/7")

    assert (answer.json(), get_telemetry_data(contexts[0])) == ({"item": 7}, None)


@needs_native
def test_the_private_names_of_fastapi_have_not_moved():
    """FastAPI reads and fills these names; if one moves, `_native_telemetry` must follow."""
    from fastapi.telemetry import _api, _asgi

    from otel_ml.integrations.fastapi import _native_telemetry as native

    assert (native.CONTEXT_KEY, native._log_exception) == (_api._REQUEST_TELEMETRY_KEY, _asgi._exception)
    cheap, whole = native.NativeTelemetry(), _api._RequestTelemetry(span=None, span_method="GET", data=None)
    names = vars(whole).keys() - {"span_method"}  # which names a span, and there is none
    assert {name: getattr(cheap, name) for name in names} == {name: getattr(whole, name) for name in names}
