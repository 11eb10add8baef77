"""What a caller may send, and what is returned: trace context, baggage, the prediction id."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI, Response
from opentelemetry import baggage, trace
from opentelemetry.context import get_value
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from otel_ml import _guard, instrument_fastapi
from otel_ml.prediction._context import PREDICTIONS_KEY

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}


def application(memory, endpoint=lambda: 1, **options):
    app = FastAPI()
    instrument_fastapi(app, **memory.providers, **options)
    app.add_api_route("/", endpoint)
    return app


def predict(prediction_id):
    """Stores an id in the request, as the first prediction of a request does."""
    holder = get_value(PREDICTIONS_KEY)
    if holder is not None and holder.first_id is None:
        holder.first_id = prediction_id


def test_the_callers_trace_continues(memory, client_of):
    """A caller's span is the remote parent of the server span, with its trace state."""
    client_of(application(memory)).get("/", headers=HEADERS)

    (span,) = memory.spans()
    assert (
        f"{span.context.trace_id:032x}",
        f"{span.parent.span_id:016x}",
        span.parent.is_remote,
        dict(span.context.trace_state),
        span.links,
    ) == (TRACE, PARENT, True, {"vendor": "1"}, ())


def test_an_untrusted_callers_trace_is_linked(memory, client_of):
    """Without trust a new trace starts, with a link to the caller's span."""
    client_of(application(memory, trust_remote_context=False)).get("/", headers=HEADERS)

    (span,) = memory.spans()
    (link,) = span.links
    assert (span.parent, f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (None, TRACE, PARENT)


def test_a_broken_trace_header_starts_a_trace(memory, client_of):
    """An invalid trace header is ignored."""
    client_of(application(memory)).get("/", headers={"traceparent": "nonsense"})

    (span,) = memory.spans()
    assert (span.parent, span.links) == (None, ())


@pytest.mark.parametrize(
    ("allowed", "inside"),
    [((), {}), (("tenant",), {"tenant": "a"}), (("tenant", "user"), {"tenant": "a", "user": "b"})],
)
def test_baggage_stays_outside_unless_it_is_allowed(memory, client_of, allowed, inside):
    """Only listed baggage reaches the application and its calls."""
    seen = []
    app = application(memory, lambda: seen.append(dict(baggage.get_all())), allowed_baggage=allowed)

    client_of(app).get("/", headers={"baggage": "tenant=a,user=b,other=c"})

    assert seen == [{name: value for name, value in inside.items() if name in allowed}]


def test_a_sampler_decides_about_the_server_span(sampled_memory, client_of):
    """An unsampled request has no span but is measured, and its children are unsampled too."""
    memory = sampled_memory(ParentBased(ALWAYS_OFF))
    tracer = memory.tracer_provider.get_tracer("user")

    def work():
        with tracer.start_as_current_span("work"):
            return 1

    client_of(application(memory, work)).get("/")

    assert (memory.spans(), len(memory.points("http.server.request.duration"))) == ([], 1)


def test_a_sampler_that_raises_costs_the_span_only(sampled_memory, client_of):
    """An exception in the sampler does not affect the request."""

    class Broken:
        def should_sample(self, *args, **kwargs):
            raise OSError

        def get_description(self):
            return "broken"

    memory = sampled_memory(Broken())

    assert client_of(application(memory)).get("/").status_code == 200
    assert _guard.counts() == {"fastapi.span": 1}


def test_the_sampler_sees_the_request(sampled_memory, client_of):
    """The sampler sees method, path and scheme."""
    asked = []

    class Asking(type(ALWAYS_OFF)):
        def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, *args, **kwargs):
            asked.append((name, kind, dict(attributes)["url.path"]))
            return super().should_sample(parent_context, trace_id, name, kind, attributes, *args, **kwargs)

    memory = sampled_memory(Asking(ALWAYS_OFF._decision))
    client_of(application(memory)).get("/")

    assert asked == [("GET", trace.SpanKind.SERVER, "/")]


def test_the_first_predictions_id_is_in_the_response(memory, client_of):
    """The response names the first prediction of the request, in sync and async endpoints."""

    def sync():
        predict("first")
        predict("second")
        return 1

    async def asynchronous():
        predict("first")
        return 1

    answers = [client_of(application(memory, endpoint)).get("/") for endpoint in (sync, asynchronous)]

    assert [answer.headers["x-prediction-id"] for answer in answers] == ["first", "first"]


def test_a_request_without_a_prediction_has_no_id(memory, client_of):
    """No prediction, no header."""
    answer = client_of(application(memory)).get("/")

    assert "x-prediction-id" not in answer.headers


@pytest.mark.parametrize("prediction_id", ["a\r\nset-cookie: x=1", "", "\ud800", "ü", "x" * 257, "a b"])
def test_an_id_that_is_not_a_header_value_is_omitted(memory, client_of, prediction_id):
    """An id from the user cannot split the response headers."""

    def endpoint():
        predict(prediction_id)
        return 1

    answer = client_of(application(memory, endpoint)).get("/")

    assert (answer.status_code, "x-prediction-id" in answer.headers, "set-cookie" in answer.headers) == (
        200,
        False,
        False,
    )


def test_the_applications_own_header_wins(memory, client_of):
    """An application that sets the header itself keeps its value, once."""

    def endpoint():
        predict("ours")
        return Response(headers={"X-Prediction-Id": "theirs"})

    answer = client_of(application(memory, endpoint)).get("/")

    assert answer.headers.get_list("x-prediction-id") == ["theirs"]


def test_a_failed_request_names_its_prediction_too(memory, client_of):
    """The response to an unhandled exception carries the id."""

    def endpoint():
        predict("failed")
        raise RuntimeError

    answer = client_of(application(memory, endpoint)).get("/")

    assert (answer.status_code, answer.headers["x-prediction-id"]) == (500, "failed")


def test_a_request_inside_a_request_has_its_own_span(memory, client_of):
    """An application that calls another one in process has a second server span below the first, with its own id."""
    inner = application(memory, lambda: predict("inner"))

    async def endpoint():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://inner.test") as client:
            answer = await client.get("/")
        predict("outer")
        return answer.headers["x-prediction-id"]

    answer = client_of(application(memory, endpoint)).get("/")

    first, second = memory.spans()
    assert (answer.json(), answer.headers["x-prediction-id"]) == ("inner", "outer")
    assert first.parent.span_id == second.context.span_id


def test_a_span_factory_replaces_the_tracer(memory, client_of):
    """A span factory can make the server span."""
    tracer = memory.tracer_provider.get_tracer("special")

    def factory(name, context, attributes):
        return tracer.start_span(f"special {name}", context, trace.SpanKind.SERVER, attributes)

    client_of(application(memory, server_span=factory)).get("/", headers=HEADERS)

    (span,) = memory.spans()
    assert (span.instrumentation_scope.name, span.name, f"{span.parent.span_id:016x}") == ("special", "GET /", PARENT)
