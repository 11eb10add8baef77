"""The limits of the specification hold for every span and log record: predictions, stages, requests, events, the SDK's.

Sources: open-telemetry/opentelemetry-python#2043, #2051 and open-telemetry/opentelemetry-js#3049 (limits of attribute
values are not applied), open-telemetry/opentelemetry-java#4495 and open-telemetry/opentelemetry-dotnet#7115 (which of
two variables wins), MindfulSoftwareLLC/dartastic_opentelemetry#112 (dropped attributes are not counted),
BerriAI/litellm#34828 (what a user adds evicts what the instrumentation says), open-telemetry/opentelemetry-python#1755
(lists do not arrive), triggerdotdev/trigger.dev#1964 and langwatch/tasks#296 (texts are cut without a word).
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanContext

import otel_ml
from otel_ml.config import ConfigError
from otel_ml.testing import InMemoryTelemetry

RESULT = {"prediction": 1, "probability": 0.9}
LINKED = SpanContext(5, 6, is_remote=False)
COUNTS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
)
LENGTHS = (
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
)
KINDS = ("predict m", "step", "GET /items", "sdk")
"""A prediction, a stage, a request, and a span of the SDK, by which the others are measured."""


def add(span: trace.Span) -> None:
    """Adds to a span more than most limits allow."""
    for number in range(10):
        span.set_attribute(f"k{number}", "z" * 300)
        span.add_event(f"e{number}", {f"k{key}": "z" * 300 for key in range(10)})
        span.add_link(LINKED, {f"k{key}": "z" * 300 for key in range(10)})


def get(app: FastAPI, path: str, agent: str = "test") -> None:
    """Sends a request to the application."""

    async def send() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            await client.get(path, headers={"user-agent": agent})

    asyncio.run(send())


def spans_of(telemetry: InMemoryTelemetry) -> dict[str, Any]:
    """Returns the OTLP messages of spans of all kinds to which the same was added, by their names."""
    app = FastAPI()
    undo = otel_ml.instrument_fastapi(app)
    model = otel_ml.Model("m", task="binary")

    @app.get("/items")
    def items() -> None:
        add(trace.get_current_span())
        with model.prediction() as prediction:
            add(trace.get_current_span())
            with prediction.stage("step"):
                add(trace.get_current_span())
            with trace.get_tracer("other").start_as_current_span("sdk") as span:
                add(span)
            prediction.set_output(1, 0.9)

    get(app, "/items")
    undo()
    telemetry.spans()
    requests = [ExportTraceServiceRequest.FromString(body) for body in telemetry.transports["traces"].requests]
    return {
        span.name: span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def longest(attributes: Any) -> int:
    """Returns the length of the longest text."""
    return max((len(item.value.string_value) for item in attributes), default=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_limits_all_texts_of_a_span(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """opentelemetry-python#2043: attributes of the span, of its events and of its links, ours and the user's."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "50")
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    parts = [span.attributes, *(event.attributes for event in span.events), *(link.attributes for link in span.links)]
    assert {longest(part) for part in parts} == {50}


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_of_spans_leaves_their_events_and_links(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """opentelemetry-dotnet#7115: the more specific variable wins for the span's own attributes."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "70")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "60")
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    assert (longest(span.attributes), longest(span.events[0].attributes), longest(span.links[0].attributes)) == (
        60,
        70,
        70,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_counts_limit_and_what_is_dropped_is_counted(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """dartastic_opentelemetry#112: attributes, events, links and their attributes; OTLP says how many are missing."""
    for name, limit in zip(COUNTS, ("9", "8", "7", "6", "5", "4", "3"), strict=True):
        monkeypatch.setenv(name, limit)
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    kept = len(span.attributes), len(span.events), len(span.links)
    assert kept == (8, 7, 6)
    assert (span.dropped_events_count, span.dropped_links_count) == (3, 4)
    assert span.dropped_attributes_count >= 2
    assert {(len(event.attributes), event.dropped_attributes_count) for event in span.events} == {(5, 5)}
    assert {(len(link.attributes), link.dropped_attributes_count) for link in span.links} == {(4, 6)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_count_of_all_attributes_is_the_default_of_each(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """opentelemetry-java#4495: OTEL_ATTRIBUTE_COUNT_LIMIT holds where no other is set."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "4")
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    parts = [span.attributes, *(event.attributes for event in span.events), *(link.attributes for link in span.links)]
    assert {len(part) for part in parts} == {4}


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_can_be_raised(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A limit above the default of 128 lets more through."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "400")
    monkeypatch.setattr(f"{__name__}.add", lambda span: [span.set_attribute(f"k{key}", key) for key in range(300)])
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    assert len(span.attributes) >= 300
    assert span.dropped_attributes_count == 0


@pytest.mark.parametrize("kind", KINDS)
def test_by_default_there_are_128_of_each(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """BerriAI/litellm#34828: the newest stay, as in the SDK, and what a prediction says of itself always does."""
    monkeypatch.setattr(
        f"{__name__}.add",
        lambda span: [(span.set_attribute(f"k{key}", key), span.add_event(f"e{key}")) for key in range(200)],
    )
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    names = {item.key for item in span.attributes}
    assert (len(names), len(span.events), span.dropped_events_count) == (128, 128, 72)
    assert "k199" in names
    assert "k0" not in names
    assert span.events[-1].name == "e199"
    assert kind != "predict m" or {"ml.model.name", "ml.prediction.id", "ml.prediction.score"} <= names


def log_records(telemetry: InMemoryTelemetry) -> list[Any]:
    """Returns the OTLP messages of all log records."""
    telemetry.logs()
    requests = [ExportLogsServiceRequest.FromString(body) for body in telemetry.transports["logs"].requests]
    return [
        record
        for request in requests
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@pytest.mark.parametrize("result", [RESULT, 0.9], ids=["fast path", "general path"])
@pytest.mark.parametrize("prefix", ["OTEL_", "OTEL_LOGRECORD_"])
def test_events_of_predictions_have_the_limits_of_log_records(
    monkeypatch: pytest.MonkeyPatch, prefix: str, result: Any
) -> None:
    """opentelemetry-python#2051: the body of an event is no attribute and stays whole."""
    monkeypatch.setenv(f"{prefix}ATTRIBUTE_VALUE_LENGTH_LIMIT", "10")
    monkeypatch.setenv(f"{prefix}ATTRIBUTE_COUNT_LIMIT", "4")
    with InMemoryTelemetry(capture_features="all") as telemetry:
        model = otel_ml.Model("a model with a long name", task="binary")
        model.track(lambda features: result)({"text": "z" * 300})
        (record,) = log_records(telemetry)

    assert (len(record.attributes), longest(record.attributes)) == (4, 10)
    assert record.dropped_attributes_count >= 2
    assert "z" * 300 in record.body.string_value


@pytest.mark.parametrize("name", ["a model with a long name", "m"])
def test_a_prediction_on_the_fast_path_has_them_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing is added to it, and its own attributes are cut and counted."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "4")
    with InMemoryTelemetry() as telemetry:
        otel_ml.Model(name, task="binary").track(lambda features: RESULT)({"a": 1})
        (span,) = telemetry.spans()

    assert len(span["attributes"]) == 4
    assert len(span["attributes"]["ml.prediction.id"]) == 10


@pytest.mark.parametrize("limit", ["40", "4095"])
def test_a_request_to_which_nothing_is_added_has_them_too(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """What the client chooses, path and user agent, is cut as well, also after a request of the same shape."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", limit)
    with InMemoryTelemetry() as telemetry:
        app = FastAPI()
        undo = otel_ml.instrument_fastapi(app)
        app.get("/items/{name}")(lambda name: {})
        get(app, "/items/a", "a")
        get(app, f"/items/{'b' * 200}", "b" * 200)
        spans = telemetry.spans()
        undo()

    lengths = [(len(span["attributes"]["url.path"]), len(span["attributes"]["user_agent.original"])) for span in spans]
    assert lengths == [(8, 1), (min(int(limit), 207), min(int(limit), 200))]


@pytest.mark.parametrize("name", [*COUNTS, *LENGTHS])
@pytest.mark.parametrize("value", ["abc", "-1", "1.5"])
def test_a_malformed_limit_is_one_config_error(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """It names the variable, and the value as it was given."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name}='{value}' is ") as caught:
        otel_ml.configure(service_name="x")

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_limit_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The specification: an empty variable is as if it were not there."""
    for name in (*COUNTS, *LENGTHS):
        monkeypatch.setenv(name, "")
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    assert longest(span.attributes) == 300
    assert (len(span.events), span.dropped_events_count) == (10, 0)


VALUES = {
    "text": ("z" * 3000, "z" * 3000),
    "lines": ("a\nb", "a\nb"),
    "list": (["a", "b"], ["a", "b"]),
    "tuple": ((1, 2.5, True), [1, 2.5, True]),
    "mapping": ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
    "nan": (float("inf"), float("inf")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_of_every_type_arrive(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """opentelemetry-python#1755, langwatch/tasks#296: what a span of the SDK carries, a span of ours carries too."""

    def add_values(span: trace.Span) -> None:
        span.set_attributes({name: given for name, (given, _) in VALUES.items()})
        span.add_event("e", {name: given for name, (given, _) in VALUES.items()})

    monkeypatch.setattr(f"{__name__}.add", add_values)
    with InMemoryTelemetry() as telemetry:
        spans_of(telemetry)
        (span,) = [span for span in telemetry.spans() if span["name"] == kind]

    expected = {name: arrives for name, (_, arrives) in VALUES.items()}
    assert expected.items() <= span["attributes"].items()
    assert span["events"][0]["attributes"] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_texts_in_lists_and_mappings_are_cut_too(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """opentelemetry-python#2051: a limit of length holds for each text of a value."""
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    monkeypatch.setattr(
        f"{__name__}.add",
        lambda span: span.set_attributes({"list": ["abcd", "a"], "map": {"key": ["abcd", 12345]}}),
    )
    with InMemoryTelemetry() as telemetry:
        spans_of(telemetry)
        (span,) = [span for span in telemetry.spans() if span["name"] == kind]

    assert {"list": ["abc", "a"], "map": {"key": ["abc", 12345]}}.items() <= span["attributes"].items()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_set_again_is_new(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """BerriAI/litellm#34828: an attribute that is updated all the time is not the oldest."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "20")

    def add_again(span: trace.Span) -> None:
        for number in range(40):
            span.set_attribute("progress", number)
            span.set_attribute(f"k{number}", number)

    monkeypatch.setattr(f"{__name__}.add", add_again)
    with InMemoryTelemetry() as telemetry:
        span = spans_of(telemetry)[kind]

    assert "progress" in {item.key for item in span.attributes}
