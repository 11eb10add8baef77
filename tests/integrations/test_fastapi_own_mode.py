"""Own mode: our server span and cells produce what the SDK produces, and are as harmless."""

from __future__ import annotations

import asyncio
import gc
import logging
import re

import httpx
import pytest
from asgi_calls import application, drive
from fastapi import BackgroundTasks, FastAPI, Response
from fastapi.responses import StreamingResponse
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import get_current
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import otel_ml
from otel_ml import _guard, instrument_fastapi, semconv
from otel_ml._telemetry import withholding
from otel_ml.integrations.fastapi._server_span import FastServerSpan
from otel_ml.testing import FixedClock, InMemoryTelemetry

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"
OFF = {"tracing": False, "metrics": False, "logs": False}
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACE_PARENT = f"00-{TRACE}-{PARENT}-01"


def served():
    """Returns an application with a route for every kind of response."""
    app = FastAPI(telemetry=OFF) if hasattr(FastAPI(), "_telemetry") else FastAPI()

    @app.get("/items/{item}")
    async def item(item: int):
        return item

    @app.get("/sync/{item}")
    def sync(item: int):
        with trace.get_tracer("user").start_as_current_span("work"):
            return item

    @app.get("/fails")
    async def fails():
        raise LookupError("secret")

    @app.get("/busy")
    async def busy():
        return Response(status_code=503)

    @app.get("/stream")
    async def stream():
        async def chunks():
            for _ in range(20):
                yield b"x"

        return StreamingResponse(chunks())

    @app.get("/own")
    async def own():
        span = trace.get_current_span()
        span.set_attribute("tenant", "a")
        span.set_attributes({"number": 3, "flag": True})
        span.add_event("seen", {"where": "here"})
        span.record_exception(ValueError("recorded"), {"extra": 1})
        span.set_status(trace.StatusCode.OK)
        span.update_name("renamed")
        return span.is_recording()

    @app.api_route("/brew", methods=["BREW"])
    async def brew():
        return 1

    sub = FastAPI(telemetry=OFF) if hasattr(app, "_telemetry") else FastAPI()
    sub.add_api_route("/leaf/{leaf}", lambda leaf: leaf)
    app.mount("/tenants/{tenant}", sub)
    return app


REQUESTS = {
    "plain": ("GET", "/items/7?token=secret", {}),
    "root_path": ("GET", "/sync/1", {}),
    "not_valid": ("GET", "/items/x", {}),
    "nowhere": ("GET", "/nowhere", {}),
    "not_allowed": ("DELETE", "/items/7", {}),
    "fails": ("GET", "/fails", {}),
    "busy": ("GET", "/busy", {}),
    "stream": ("GET", "/stream", {}),
    "mounted": ("GET", "/tenants/42/leaf/1", {}),
    "strange_method": ("BREW", "/brew", {}),
    "trace": ("GET", "/sync/1", {"traceparent": TRACE_PARENT}),
    "trace_state": ("GET", "/sync/1", {"traceparent": TRACE_PARENT, "tracestate": "vendor=1,other=2"}),
    "trace_unsampled": ("GET", "/sync/1", {"traceparent": TRACE_PARENT[:-1] + "0"}),
    "trace_random": ("GET", "/sync/1", {"traceparent": TRACE_PARENT[:-1] + "3"}),
    "trace_of_a_later_version": ("GET", "/sync/1", {"traceparent": f"01{TRACE_PARENT[2:]}-more"}),
    "trace_with_blanks": ("GET", "/sync/1", {"traceparent": f"\t{TRACE_PARENT} "}),
    "trace_of_zeros": ("GET", "/sync/1", {"traceparent": f"00-{'0' * 32}-{PARENT}-01"}),
    "trace_in_capitals": ("GET", "/sync/1", {"traceparent": TRACE_PARENT.upper()}),
    "trace_nonsense": ("GET", "/sync/1", {"traceparent": "nonsense"}),
    "state_nonsense": ("GET", "/sync/1", {"traceparent": TRACE_PARENT, "tracestate": b"=,=;\xe9"}),
    "hostile": ("GET", "/items/7", {"user-agent": b"a\x01\x9f\xe9" + b"x" * 400, "host": b"ex\xe4mple:99999999"}),
    "host_alone": ("GET", "/items/7", {"host": "service.test"}),
    "host_of_six": ("GET", "/items/7", {"host": "[::1]:8443"}),
}


def left(mode, request, **options):
    """Returns response, spans and HTTP metrics of one request, without times and our own ids."""
    method, path, headers = request
    with InMemoryTelemetry(mode) as telemetry:
        app = served()
        instrument_fastapi(app, **options)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.0.0.7", 4711))

        async def run():
            async with httpx.AsyncClient(transport=transport, base_url="http://service.test:8080") as client:
                answer = await client.request(method, path, headers=headers)
                return answer.status_code, answer.text

        answer = asyncio.run(run())
        spans = telemetry.spans()
        metrics = telemetry.metrics()
        counts = _guard.counts()
    ids = {span["span_id"]: span["name"] for span in spans}
    for span in spans:
        span["parent_span_id"] = ids.get(span["parent_span_id"], span["parent_span_id"])
        span["trace_id"] = span["trace_id"] if span["trace_id"] == TRACE else ""
        span["attributes"].pop(semconv.EXEMPLAR, None)
        for event in span["events"]:
            event["attributes"].pop("exception.stacktrace", None)
            event["attributes"].pop("exception.escaped", None)
            del event["time_ns"]
        for key in ("span_id", "start_ns", "end_ns"):
            del span[key]
    points = [
        {key: point[key] for key in ("attributes", "count", "bounds", "value") if key in point}
        for name in (DURATION, ACTIVE)
        for point in metrics.get(name, ())
    ]
    return {"answer": answer, "spans": spans, "points": points, "errors": counts}


@pytest.mark.parametrize(
    ("name", "trusted"),
    [*((name, True) for name in REQUESTS), *((name, False) for name in REQUESTS if name.startswith("trace"))],
)
def test_own_mode_produces_what_the_sdk_produces(name, trusted):
    """Spans, links, parents, attributes, status and HTTP metrics are equal in both modes, whatever the client sends."""
    own = left("own", REQUESTS[name], trust_remote_context=trusted)
    guest = left("guest", REQUESTS[name], trust_remote_context=trusted)
    assert own == guest
    assert own["errors"] == {}


def test_additions_of_the_service_to_the_span_are_exported():
    """Attributes, events, an exception and a status that the service sets arrive as through the SDK."""
    own, guest = left("own", ("GET", "/own", {})), left("guest", ("GET", "/own", {}))

    assert own == guest
    (span,) = own["spans"]
    assert (span["name"], span["status"], [event["name"] for event in span["events"]]) == (
        "GET /own",
        "OK",
        ["seen", "exception"],
    )
    assert {key: span["attributes"][key] for key in ("tenant", "number", "flag")} == {
        "tenant": "a",
        "number": 3,
        "flag": True,
    }


def test_the_span_is_ours(telemetry, client_of):
    """The current span is ours, knows that it is a server span, and stops recording with the response."""
    seen = []

    def endpoint(tasks: BackgroundTasks):
        span = trace.get_current_span()
        seen.append((type(span), span.kind, span.is_recording(), span.get_span_context().is_valid))
        tasks.add_task(lambda: seen.append(trace.get_current_span().is_recording()))
        return 1

    client_of(application(endpoint)).get("/")

    assert seen == [(FastServerSpan, trace.SpanKind.SERVER, True, True), False]


@pytest.fixture
def called():
    """Holds what an endpoint calls: FastAPI keeps endpoints forever, and other tests count live models."""
    kept = []
    yield kept
    kept.clear()
    gc.collect()


def test_a_prediction_is_below_the_server_span_and_named_in_the_response(called, telemetry, client_of):
    """Prediction span, its event and the header belong to the request."""
    model = otel_ml.Model("m", version="1", task="binary", capture_features="all", events="all")

    @model.track
    def predict(features):
        return {"prediction": 1, "probability": 0.9}

    called.append(predict)
    answer = client_of(application(lambda: called[0]({"a": 1.0}))).get("/", headers={"traceparent": TRACE_PARENT})

    server, prediction = telemetry.spans()
    assert (server["name"], server["parent_span_id"], server["trace_id"]) == ("GET /", PARENT, TRACE)
    assert (prediction["name"], prediction["parent_span_id"], prediction["trace_id"]) == (
        "predict m",
        server["span_id"],
        TRACE,
    )
    (event,) = telemetry.events("ml.prediction")
    assert answer.headers["x-prediction-id"] == prediction["attributes"]["ml.prediction.id"]
    assert (event["trace_id"], event["span_id"]) == (TRACE, prediction["span_id"])


def test_an_exemplar_points_to_a_marked_server_span(client_of):
    """The exemplar of the duration is a span that was sent, marked for tail sampling; the next span of the bucket is not marked."""
    with InMemoryTelemetry(clock=FixedClock()) as telemetry:
        app = application()
        for _ in range(2):
            client_of(app).get("/")

        (point,) = telemetry.metrics()[DURATION]
        marked = {span["span_id"]: span["attributes"].get(semconv.EXEMPLAR) for span in telemetry.spans()}
    ((kept, mark), (_, none)) = sorted(marked.items(), key=lambda span: span[1] is None)
    assert ([one["span_id"] for one in point["exemplars"]], mark, none) == ([kept], True, None)


def test_exemplars_can_be_off(client_of):
    """With the filter always_off there are none."""
    with InMemoryTelemetry(exemplar_filter="always_off") as telemetry:
        client_of(application()).get("/")

        assert [point["exemplars"] for point in telemetry.metrics()[DURATION]] == [[]]
        assert semconv.EXEMPLAR not in telemetry.spans()[0]["attributes"]


def test_every_server_span_is_in_the_ledger(telemetry, client_of):
    """What was produced was delivered."""
    app = application()
    client_of(app).together([("GET", "/", {})] * 100)
    telemetry.flush()

    ledger = telemetry.ledger()["traces"]
    assert (ledger.produced, ledger.delivered, ledger.in_flight) == (100, 100, 0)
    assert len(telemetry.spans()) == 100
    assert [point["value"] for point in telemetry.metrics()[ACTIVE]] == [0]


def test_the_scrape_page_has_the_same_metrics(client_of):
    """Duration and requests in flight are on the Prometheus page under the conventions' names."""
    with InMemoryTelemetry(prometheus_port=0) as telemetry:
        client_of(application()).get("/")
        page = httpx.get(telemetry._engine.page.address, trust_env=False).text

    page = re.sub(r'service_\w+="[^"]*",', "", page)
    lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    labels = 'http_request_method="GET",http_response_status_code="200",http_route="/",url_scheme="http"'
    assert lines[f"http_server_request_duration_seconds_count{{{labels}}}"] == "1.0"
    assert lines['http_server_active_requests{http_request_method="GET",url_scheme="http"}'] == "0.0"


def test_a_step_of_ours_that_fails_leaves_no_request_in_flight(telemetry, client_of):
    """A request whose start failed is counted neither as started nor as finished."""
    telemetry.internal_errors_expected = True
    app = application()
    client_of(app).get("/")
    app.middleware_stack.app._settings.native_switch.exclude = lambda scope: 1 / 0

    assert client_of(app).get("/").status_code == 200
    assert [point["value"] for point in telemetry.metrics()[ACTIVE]] == [0]
    assert set(_guard.counts()) == {"fastapi.begin", "fastapi.note"}


def test_requests_in_flight_are_seen(telemetry, client_of):
    """A request in progress is counted as active."""
    seen = []

    def endpoint():
        seen.extend(telemetry.metrics()[ACTIVE])
        return 1

    client_of(application(endpoint)).get("/")

    assert seen == [{"attributes": {"http.request.method": "GET", "url.scheme": "http"}, "value": 1}]


def test_a_sampler_without_a_rule_is_called(client_of):
    """Callers who force sampling have a budget; requests beyond it are still measured."""
    with InMemoryTelemetry(remote_traces_per_second=0.001) as telemetry:
        app = application()
        for _ in range(3):
            client_of(app).get("/", headers={"traceparent": TRACE_PARENT})
        client_of(app).get("/")

        parents = [span["parent_span_id"] for span in telemetry.spans()]
        assert (parents, telemetry.metrics()[DURATION][0]["count"]) == ([PARENT, ""], 4)


def test_the_sampler_gets_everything_known(telemetry, client_of):
    """The service's sampler gets the server span's attributes and remote parent, and adds its own attributes."""
    from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

    asked = []

    class Asking(Sampler):
        def should_sample(
            self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None
        ):
            parent = trace.get_current_span(parent_context).get_span_context()
            asked.append((name, kind, attributes["url.path"], f"{parent.span_id:016x}", parent.is_remote))
            return SamplingResult(Decision.RECORD_AND_SAMPLE, {"rule": "mine"})

        def get_description(self):
            return "asking"

    engine = telemetry._engine
    engine._sampling.sampler, engine.sampling_rule = Asking(), None
    client_of(application()).get("/", headers={"traceparent": TRACE_PARENT})

    (span,) = telemetry.spans()
    assert asked == [("GET", trace.SpanKind.SERVER, "/", PARENT, True)]
    assert (span["attributes"]["rule"], span["parent_span_id"], span["kind"]) == ("mine", PARENT, "SERVER")


def test_a_span_processor_of_the_service_gets_sdk_spans(telemetry, client_of):
    """With a processor of the service's the span is an SDK span from the next request on, and metrics continue."""
    app = application()
    client_of(app).get("/")
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))

    client_of(app).get("/")

    assert [(span.name, span.kind) for span in exporter.get_finished_spans()] == [("GET /", trace.SpanKind.SERVER)]
    assert [span["name"] for span in telemetry.spans()] == ["GET /", "GET /"]
    (point,) = telemetry.metrics()[DURATION]
    assert (point["count"], [one["value"] for one in telemetry.metrics()[ACTIVE]]) == (2, [0])


def test_another_aggregation_is_honoured(client_of):
    """With exponential histograms the SDK measures the duration, and the span is still ours."""
    with InMemoryTelemetry(histogram_aggregation="base2_exponential_bucket_histogram") as telemetry:
        client_of(application()).get("/")

        assert telemetry.instruments()[DURATION]["kind"] == "exponential_histogram"
        assert [span["name"] for span in telemetry.spans()] == ["GET /"]


@pytest.mark.parametrize(
    "propagator",
    [TraceContextTextMapPropagator(), CompositePropagator([TraceContextTextMapPropagator()])],
)
def test_a_propagator_of_the_service_is_obeyed(telemetry, client_of, propagator):
    """With any global propagator the caller's trace continues; without one it does not."""
    app = application()
    former = propagate.get_global_textmap()
    try:
        propagate.set_global_textmap(propagator)
        client_of(app).get("/", headers={"traceparent": TRACE_PARENT})
        propagate.set_global_textmap(CompositePropagator([]))
        client_of(app).get("/", headers={"traceparent": TRACE_PARENT})
    finally:
        propagate.set_global_textmap(former)

    assert [span["parent_span_id"] for span in telemetry.spans()] == [PARENT, ""]


@pytest.mark.parametrize("allowed", [(), ("tenant",)])
def test_baggage_stays_outside_unless_it_is_allowed(telemetry, client_of, allowed):
    """Only listed baggage reaches the application, together with the caller's trace."""
    seen = []
    app = application(lambda: seen.append(dict(baggage.get_all())), allowed_baggage=allowed)

    client_of(app).get("/", headers={"baggage": "tenant=a,user=b", "traceparent": TRACE_PARENT})

    assert seen == [{"tenant": "a"} if allowed else {}]
    assert telemetry.spans()[0]["parent_span_id"] == PARENT


def test_a_repeated_header_counts_once(telemetry):
    """Of two trace parents the first one counts, as in the propagator; of two user agents too."""
    app = application()
    headers = [
        (b"traceparent", TRACE_PARENT.encode()),
        (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),
        (b"user-agent", b"first"),
        (b"user-agent", b"second"),
    ]
    drive(app, headers=headers)

    (span,) = telemetry.spans()
    assert (span["parent_span_id"], span["attributes"]["user_agent.original"]) == (PARENT, "first")


def test_a_finished_request_is_not_kept_alive(telemetry):
    """Scope, channel and headers are freed with the server's reference, although the span is still queued."""
    import weakref

    class Holder:
        pass

    app = application()
    holder = Holder()
    alive = weakref.ref(holder)
    drive(app, state={"holder": holder})
    del holder
    gc.collect()

    assert alive() is None


def test_a_long_path_is_bounded_before_it_waits(telemetry):
    """A long path is cut before it is queued for the worker."""
    spans = []
    engine = telemetry._engine
    offer, engine.offer_span = engine.offer_span, lambda span: (spans.append(span), offer(span))
    app = application()
    drive(app, "/" + "x" * 100_000, headers=[(b"user-agent", b"a" * 60_000), (b"host", b"h" * 60_000)])

    (span,) = spans
    assert max(len(repr(value)) for value in vars(span).values()) < 3000
    assert len(telemetry.spans()[0]["attributes"]["url.path"]) == 1024


def test_an_enumeration_is_a_status(telemetry, client_of):
    """A status from `http.HTTPStatus` is recorded as its number."""
    from http import HTTPStatus

    client_of(application(lambda: Response(status_code=HTTPStatus.ACCEPTED))).get("/")

    (point,) = telemetry.metrics()[DURATION]
    assert point["attributes"]["http.response.status_code"] == 202
    assert telemetry.spans()[0]["attributes"]["http.response.status_code"] == 202


def test_the_context_of_the_server_is_kept(telemetry, client_of):
    """The surrounding context is kept, and a local span is the parent."""
    seen = []
    app = application(lambda: seen.append(dict(baggage.get_all())))

    async def outer(scope, receive, send):
        from opentelemetry.context import attach, detach

        token = attach(baggage.set_baggage("inner", "1"))
        try:
            with trace.get_tracer("outer").start_as_current_span("outer"):
                await app(scope, receive, send)
        finally:
            detach(token)

    client_of(outer).get("/")

    spans = {span["name"]: span for span in telemetry.spans()}
    assert seen == [{"inner": "1"}]
    assert spans["GET /"]["parent_span_id"] == spans["outer"]["span_id"]


def test_a_request_inside_a_request_has_its_own_span(telemetry, client_of):
    """An application that calls another one in process has a second server span below the first."""
    inner = application()

    async def endpoint():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://inner.test") as client:
            return (await client.get("/")).json()

    client_of(application(endpoint)).get("/")

    first, second = telemetry.spans()
    assert (first["parent_span_id"], second["parent_span_id"]) == ("", first["span_id"])


def test_after_the_request_the_context_is_unchanged(telemetry):
    """A request leaves nothing in the context of the server's task."""
    app, seen = application(), []

    async def run():
        before = get_current()
        await app(
            {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "scheme": "http"},
            None,
            send,
        )
        seen.append(get_current() == before)

    async def send(message):
        pass

    asyncio.run(run())

    assert seen == [True]


def test_exception_messages_are_withheld_if_a_model_is_sensitive(telemetry, client_of):
    """Once there is a model with sensitive columns the server span quotes no exception."""
    withholding.withhold_exceptions()

    def endpoint():
        span = trace.get_current_span()
        span.record_exception(ValueError("age is 41"))
        span.add_event("exception", {"exception.message": "age is 41", "exception.type": "ValueError"})
        span.set_status(trace.StatusCode.ERROR, "age is 41")
        return 1

    client_of(application(endpoint)).get("/")

    (span,) = telemetry.spans()
    assert [event["attributes"]["exception.message"] for event in span["events"]] == [withholding.WITHHELD] * 2
    assert (span["status"], span["status_message"]) == ("ERROR", withholding.WITHHELD)
    assert "age is" not in str(span)


def test_internal_errors_leave_the_request_alone(telemetry, client_of, caplog):
    """If a step of ours fails, the response is the same, and the failure is counted and logged once."""
    telemetry.internal_errors_expected = True
    caplog.set_level(logging.WARNING, "otel_ml")

    class Broken:
        def __getattr__(self, name):
            raise OSError

    app = application()
    client_of(app).get("/")
    telemetry._engine.ids = Broken()
    settings = app.middleware_stack.app._settings
    settings.binding.fast_path.span_id = None

    answers = [client_of(app).get("/").status_code for _ in range(2)]

    assert (answers, _guard.counts()) == ([200, 200], {"fastapi.begin": 2})
    assert len(caplog.messages) == 1
