"""Telemetry of one request, with the SDK."""

from __future__ import annotations

import fastapi
import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from otel_ml import ConfigError, _guard, instrument_fastapi, semconv
from otel_ml.testing import InMemoryTelemetry

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"


def application(memory, **options):
    app = FastAPI()
    instrument_fastapi(app, **memory.providers, **options)
    return app


def names(memory):
    return [span.name for span in memory.spans()]


def test_a_request_leaves_one_server_span(memory, client_of):
    """A request produces one SERVER span with the stable attributes and no query string."""
    app = application(memory)

    @app.get("/items/{item}")
    async def item(item: int):
        return item

    client_of(app, client=("10.0.0.7", 4711)).get("/items/7?token=secret", headers={"user-agent": "test/1"})

    (span,) = memory.spans()
    assert (span.name, span.kind, span.status.status_code, span.parent) == (
        "GET /items/{item}",
        SpanKind.SERVER,
        StatusCode.UNSET,
        None,
    )
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/items/7",
        "network.protocol.version": "1.1",
        "user_agent.original": "test/1",
        "client.address": "10.0.0.7",
        "server.address": "service.test",
        "server.port": 8080,
        "http.route": "/items/{item}",
        "http.response.status_code": 200,
    }
    assert span.instrumentation_scope.name == semconv.SCOPE


def test_a_request_is_measured(memory, client_of):
    """Duration has the recommended buckets and bounded attributes; active requests return to zero."""
    app = application(memory)
    app.add_api_route("/items/{item}", lambda item: item)

    client_of(app).get("/items/7")

    assert memory.points(DURATION) == [
        (
            {
                "http.request.method": "GET",
                "url.scheme": "http",
                "http.route": "/items/{item}",
                "http.response.status_code": 200,
            },
            1,
        )
    ]
    assert memory.points(ACTIVE) == [({"http.request.method": "GET", "url.scheme": "http"}, 0)]
    metric = memory.metrics()[DURATION]
    assert (metric.unit, metric.data.data_points[0].explicit_bounds) == ("s", semconv.HTTP_BUCKETS)
    assert memory.metrics()[ACTIVE].unit == "{request}"


def nested():
    sub = FastAPI()
    sub.add_api_route("/leaf/{leaf}", lambda leaf: leaf)
    return sub


def build_prefixed(app):
    router = APIRouter(prefix="/inner")
    router.add_api_route("/leaf/{leaf}", lambda leaf: leaf)
    app.include_router(router, prefix="/outer")


def build_twice_prefixed(app):
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    inner.add_api_route("/leaf/{leaf}", lambda leaf: leaf)
    outer.include_router(inner)
    app.include_router(outer)


def build_mounted(app):
    app.mount("/sub", nested())


def build_mounted_by_parameter(app):
    app.mount("/tenants/{tenant}", nested())


def build_mounted_twice(app):
    middle = FastAPI()
    middle.mount("/two/{second}", nested())
    app.mount("/one", middle)


@pytest.mark.parametrize(
    ("build", "path", "route"),
    [
        (build_prefixed, "/outer/inner/leaf/1", "/outer/inner/leaf/{leaf}"),
        (build_twice_prefixed, "/outer/inner/leaf/1", "/outer/inner/leaf/{leaf}"),
        (build_mounted, "/sub/leaf/1", "/sub/leaf/{leaf}"),
        (build_mounted_by_parameter, "/tenants/42/leaf/1", "/tenants/{tenant}/leaf/{leaf}"),
        (build_mounted_twice, "/one/two/7/leaf/1", "/one/two/{second}/leaf/{leaf}"),
    ],
)
def test_the_route_is_the_whole_template(memory, client_of, build, path, route):
    """Prefixes and mounts are part of the route as templates; the client's values are not."""
    app = application(memory)
    build(app)

    assert client_of(app).get(path).status_code == 200

    (span,) = memory.spans()
    assert (span.name, span.attributes["http.route"]) == (f"GET {route}", route)
    assert [attributes["http.route"] for attributes, _ in memory.points(DURATION)] == [route]


def test_the_route_has_the_application_root(memory, client_of):
    """The root path of the application is part of the route."""
    app = application(memory)
    app.add_api_route("/leaf", lambda: 1)

    client_of(app, root_path="/api").get("/api/leaf")

    assert names(memory) == ["GET /api/leaf"]


def test_static_files_have_the_template_of_their_mount(memory, client_of, tmp_path):
    """Paths below a mount of files do not become routes of their own."""
    (tmp_path / "a.txt").write_text("a")
    app = application(memory)
    app.router.routes.append(Mount("/files", StaticFiles(directory=tmp_path)))

    assert client_of(app).get("/files/a.txt").text == "a"

    (span,) = memory.spans()
    assert span.attributes.get("http.route") in {None, "/files/{path}"}


def starlette_routes(folder):
    def serve(request):
        return PlainTextResponse("1")

    inner = Starlette(routes=[Route("/leaf/{leaf}", serve), Mount("/deep/{deep}", routes=[Route("/leaf", serve)])])
    return [
        Mount("/tenants/{tenant}", inner),
        Mount("/files", StaticFiles(directory=folder)),
        Mount("/plain", PlainTextResponse("1")),
    ]


def starlette_application(memory, folder):
    app = Starlette(routes=starlette_routes(folder))
    instrument_fastapi(app, **memory.providers)
    return app


def fastapi_application(memory, folder):
    app = application(memory)
    app.router.routes.extend(starlette_routes(folder))
    return app


def fastapi_application_with_routers(memory, folder):
    app = application(memory)
    router = APIRouter()
    router.routes.extend(starlette_routes(folder))
    app.include_router(router)
    return app


PATHS_BELOW_MOUNTS = {
    "/tenants/7/leaf/1": "/tenants/{tenant}/leaf/{leaf}",
    "/tenants/7/deep/2/leaf": "/tenants/{tenant}/deep/{deep}/leaf",
    "/tenants/7/none": "/tenants/{tenant}/{path}",
    "/tenants/7/deep/2/none": "/tenants/{tenant}/deep/{deep}/{path}",
    "/files/none.txt": "/files/{path}",
    "/plain/1/2": "/plain/{path}",
}


@pytest.mark.parametrize("build", [starlette_application, fastapi_application, fastapi_application_with_routers])
def test_the_route_of_a_mounted_starlette_application_is_the_whole_template(memory, client_of, tmp_path, build):
    """A route below a mount has its whole template, and what no route serves has that of the mount, once.

    Sources: perdy/starlette-prometheus#40, trallnag/prometheus-fastapi-instrumentator#389.
    """
    client = client_of(build(memory, tmp_path))

    for path in PATHS_BELOW_MOUNTS:
        client.get(path)

    assert [span.attributes.get("http.route") for span in memory.spans()] == list(PATHS_BELOW_MOUNTS.values())


def test_the_route_below_a_mount_is_the_same_on_the_fast_path(client_of, tmp_path):
    """What the fast path reports is the whole template too, on spans and metrics."""
    with InMemoryTelemetry() as kit:
        app = FastAPI()
        app.router.routes.extend(starlette_routes(tmp_path))
        instrument_fastapi(app)
        client = client_of(app)
        for path in PATHS_BELOW_MOUNTS:
            client.get(path)
        spans, metrics = kit.spans(), kit.metrics()

    routes = list(PATHS_BELOW_MOUNTS.values())
    assert [span["attributes"].get("http.route") for span in spans] == routes
    measured = {point["attributes"].get("http.route") for point in metrics["http.server.request.duration"]}
    assert measured == set(routes)


def test_a_router_added_after_the_first_request_is_observed(memory, client_of):
    """Routes may come after instrumentation and after traffic."""
    app = application(memory)
    client_of(app).get("/late/leaf/1")
    router = APIRouter(prefix="/late")
    router.add_api_route("/leaf/{leaf}", lambda leaf: leaf)
    app.include_router(router)

    client_of(app).get("/late/leaf/1")

    assert names(memory) == ["GET", "GET /late/leaf/{leaf}"]


def test_a_request_for_nothing_has_no_route(memory, client_of):
    """A 404 has no route attribute, is not a server error, and its path is in no metric."""
    app = application(memory)

    assert client_of(app).get("/nowhere").status_code == 404

    (span,) = memory.spans()
    assert (span.name, span.status.status_code, "http.route" in span.attributes) == ("GET", StatusCode.UNSET, False)
    assert [attributes for attributes, _ in memory.points(DURATION)] == [
        {"http.request.method": "GET", "url.scheme": "http", "http.response.status_code": 404}
    ]


def test_a_preflight_is_observed(memory, client_of):
    """A CORS preflight, answered by middleware that was added later, has its own span."""
    app = application(memory)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
    app.add_api_route("/leaf", lambda: 1)

    answer = client_of(app).request(
        "OPTIONS", "/leaf", headers={"origin": "http://x.test", "access-control-request-method": "GET"}
    )

    (span,) = memory.spans()
    assert (answer.status_code, span.name, span.attributes["http.response.status_code"]) == (200, "OPTIONS", 200)


def test_a_strange_method_is_other(memory, client_of):
    """An unknown method does not become a metric attribute value or a span name."""
    app = application(memory)
    app.add_api_route("/leaf", lambda: 1, methods=["BREW"])

    assert client_of(app).request("BREW", "/leaf").status_code == 200

    (span,) = memory.spans()
    assert (
        span.name,
        span.attributes["http.request.method"],
        span.attributes["http.request.method_original"],
    ) == ("HTTP /leaf", "_OTHER", "BREW")
    assert [attributes["http.request.method"] for attributes, _ in memory.points(DURATION)] == ["_OTHER"]


def test_an_exception_is_the_error_type(memory, client_of):
    """An unhandled exception gives status 500 and an error span, and its message is not exported."""
    app = application(memory)

    @app.get("/fails")
    async def fails():
        raise LookupError("secret")

    assert client_of(app).get("/fails").status_code == 500

    (span,) = memory.spans()
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())
    assert {key: span.attributes[key] for key in ("error.type", "http.response.status_code")} == {
        "error.type": "LookupError",
        "http.response.status_code": 500,
    }
    assert [attributes["error.type"] for attributes, _ in memory.points(DURATION)] == ["LookupError"]


def test_a_response_of_500_is_an_error(memory, client_of):
    """A server error that the application returns itself has the status as its error type."""
    app = application(memory)
    app.add_api_route("/busy", lambda: Response(status_code=503))

    client_of(app).get("/busy")

    (span,) = memory.spans()
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "503")


def test_a_client_error_is_not_a_server_error(memory, client_of):
    """An input that fails validation leaves the status unset."""
    app = application(memory)

    @app.get("/items/{item}")
    def item(item: int):
        return item

    assert client_of(app).get("/items/x").status_code == 422

    (span,) = memory.spans()
    assert (span.status.status_code, "error.type" in span.attributes) == (StatusCode.UNSET, False)


def test_a_sync_endpoint_sees_the_server_span(memory, client_of):
    """Spans made in a thread-pool endpoint are children of the server span."""
    app = application(memory)
    tracer = memory.tracer_provider.get_tracer("user")

    @app.get("/sync")
    def sync():
        with tracer.start_as_current_span("work"):
            return 1

    client_of(app).get("/sync")

    work, server = memory.spans()
    assert (work.name, work.parent.span_id, server.name) == ("work", server.context.span_id, "GET /sync")


def test_a_streamed_response_is_one_span(memory, client_of):
    """A stream of many chunks has one span, and spans started while it runs are its children."""
    app = application(memory)
    tracer = memory.tracer_provider.get_tracer("user")

    @app.get("/stream")
    async def stream():
        async def chunks():
            for index in range(50):
                if index == 49:
                    with tracer.start_as_current_span("last"):
                        yield b"x"
                else:
                    yield b"x"

        return StreamingResponse(chunks())

    assert client_of(app).get("/stream").text == "x" * 50

    last, server = memory.spans()
    assert (last.name, last.parent.span_id, server.name) == ("last", server.context.span_id, "GET /stream")
    assert server.end_time >= last.end_time


def test_a_health_check_is_not_observed(memory, client_of):
    """Excluded paths have neither span nor metric."""
    app = application(memory, excluded_paths=["/healthz", "/quiet"])
    for path in ("/healthz", "/quiet", "/health"):
        app.add_api_route(path, lambda: 1)

    for path in ("/healthz", "/quiet", "/health"):
        client_of(app).get(path)

    assert (names(memory), len(memory.points(DURATION))) == (["GET /health"], 1)


def test_concurrent_requests_do_not_mix(memory, client_of):
    """Each of many concurrent requests gets its own span, route and child."""
    app = application(memory)
    tracer = memory.tracer_provider.get_tracer("user")

    @app.get("/a/{item}")
    async def a(item: int):
        with tracer.start_as_current_span(f"child {item}"):
            return item

    @app.get("/b/{item}")
    def b(item: int):
        with tracer.start_as_current_span(f"child {item}"):
            return item

    paths = [f"/{'ab'[index % 2]}/{index}" for index in range(60)]
    client_of(app).together([("GET", path, {}) for path in paths])

    spans = memory.spans()
    servers = {span.context.span_id: span for span in spans if span.kind is SpanKind.SERVER}
    children = [span for span in spans if span.name.startswith("child")]
    assert sorted(servers[child.parent.span_id].attributes["url.path"] for child in children) == sorted(paths)
    assert all(servers[c.parent.span_id].attributes["url.path"].endswith("/" + c.name.split()[1]) for c in children)
    assert [value for _, value in memory.points(ACTIVE)] == [0]
    assert _guard.counts() == {}


def test_two_calls_observe_once(memory, client_of):
    """A second call changes nothing and returns the same undo."""
    app = FastAPI()
    first = instrument_fastapi(app, **memory.providers)
    second = instrument_fastapi(app, **memory.providers)
    app.add_api_route("/leaf", lambda: 1)

    client_of(app).get("/leaf")

    assert (first is second, names(memory)) == (True, ["GET /leaf"])


def test_a_non_application_is_refused_in_one_line():
    """A wrong argument fails at the start, not at the first request."""
    with pytest.raises(ConfigError, match="takes a FastAPI application, not NoneType"):
        instrument_fastapi(None)


def test_undo_removes_everything(memory, client_of):
    """After undo, before or after traffic, the application is unchanged and can be instrumented again."""
    app = FastAPI()
    app.add_api_route("/leaf", lambda: 1)
    before = dict(vars(app))
    undo = instrument_fastapi(app, **memory.providers)
    client_of(app).get("/leaf")
    undo()
    undo()
    client_of(app).get("/leaf")

    assert names(memory) == ["GET /leaf"]
    assert {key: value for key, value in vars(app).items() if key != "middleware_stack"} == {
        key: value for key, value in before.items() if key != "middleware_stack"
    }
    instrument_fastapi(app, **memory.providers)
    client_of(app).get("/leaf")
    assert names(memory) == ["GET /leaf", "GET /leaf"]


def test_an_application_with_traffic_can_be_observed(memory, client_of):
    """Instrumentation after the first request works, where `add_middleware` would raise."""
    app = FastAPI()
    app.add_api_route("/leaf", lambda: 1)
    client_of(app).get("/leaf")

    instrument_fastapi(app, **memory.providers)
    client_of(app).get("/leaf")

    assert names(memory) == ["GET /leaf"]


def test_a_mounted_application_is_counted_once(memory, client_of):
    """An observed application mounted in an observed application adds no second span and no second measurement."""
    app, sub = application(memory), nested()
    instrument_fastapi(sub, **memory.providers)
    app.mount("/sub", sub)

    client_of(app).get("/sub/leaf/1")

    assert names(memory) == ["GET /sub/leaf/{leaf}"]
    assert [count for _, count in memory.points(DURATION)] == [1]


@pytest.mark.skipif(
    tuple(int(part) for part in fastapi.__version__.split(".")[:2]) < (0, 142),
    reason="older FastAPI notes the route in the scope alone",
)
def test_middleware_that_copies_the_scope_keeps_the_route(memory, client_of):
    """The route is known even if the application's router works on a copy of the scope."""
    app = application(memory)
    app.add_api_route("/leaf", lambda: 1)

    class Copying:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(dict(scope), receive, send)

    app.add_middleware(Copying)
    client_of(app).get("/leaf")

    assert names(memory) == ["GET /leaf"]
