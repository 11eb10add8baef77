"""What the API says beyond its lists: the overview, one prediction in full, one trace in full, and ranges."""

from __future__ import annotations

from console_feed import (
    SPAN,
    TRACE,
    failure,
    label,
    logs,
    metrics,
    now,
    pairs,
    prediction,
    record,
    span,
    traces,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from performance_feed import CANARY, gauge, outcomes, total

from otel_ml import semconv

HOUR = 3600 * 10**9
STACK = "Traceback (most recent call last):\n  File \"service.py\", line 3, in predict\nKeyError: 'age'"
ERROR = {
    semconv.EXCEPTION_TYPE: "KeyError",
    semconv.EXCEPTION_MESSAGE: "'age'",
    semconv.EXCEPTION_STACKTRACE: STACK,
}


def failed_span():
    """A span that an exception ended."""
    found = span(error=True, attributes={semconv.PREDICTION_ID: "f-1"})
    found.events.append(Span.Event(name=semconv.EXCEPTION_EVENT, time_unix_nano=now(), attributes=pairs(ERROR)))
    return found


def bins(feature, shares):
    """The reference of a feature."""
    for name, share in shares.items():
        of = {semconv.FEATURE_NAME: feature, semconv.FEATURE_BIN: name, semconv.PROFILE_ID: "one"}
        yield gauge(semconv.FEATURE_REFERENCE_SHARE, share, of)


def test_the_overview_says_what_needs_attention(console):
    """Failures are listed with the page that shows them; models and services have their traffic."""
    console.feed(logs(prediction(), failure()), traces(span(error=True)), metrics(*outcomes()))
    found = console.get("/api/overview")
    assert [(row["text"], row["page"], row["model"]) for row in found["attention"]] == [
        ("50.0 % of calls fail", "/model", "fraud"),
        ("100.0 % of requests fail", "/requests", None),
    ]
    (model,) = found["models"]
    assert (model["model"], model["calls"], model["errors"], model["latency"]["p50"]) == ("fraud", 2, 1, 0.004)
    assert model["realised"]["figure"] == "accuracy"
    (service,) = found["services"]
    assert (service["service"], service["models"]) == ("fraud-api", ["fraud"])
    assert console.get("/api/overview?until=2020-01-01") == {
        "attention": [],
        "models": [],
        "services": [],
        "services_truncated": False,
    }


def test_a_prediction_says_why_it_failed(console):
    """The exception is there once, with its stack trace and the places that recorded it."""
    console.feed(logs(failure(), record("it broke", ERROR, severity=17)), traces(failed_span()))
    found = console.get("/api/predictions/f-1")
    assert found["exceptions"] == [
        {
            "type": "KeyError",
            "message": "'age'",
            "stacktrace": STACK,
            "lines_omitted": 0,
            "places": ["span predict fraud", "a log line"],
            "span_id": SPAN,
        }
    ]


def test_a_prediction_stands_beside_its_training(console):
    """Each value has its share in training, the unusual ones first, and what is absent is named with the reason."""
    console.feed(
        metrics(
            *bins("age", {"00 (-inf, 30)": 0.995, "01 [30, inf)": 0.005}),
            *bins("job", {"teacher": 0.7, "__other__": 0.3}),
            *bins("ssn", {"00": 0.5, "01": 0.5}),
        ),
        logs(prediction(features={"job": "teacher", "age": 41})),
    )
    found = console.get("/api/predictions/p-1")
    assert found["training"] == [
        {"feature": "age", "value": 41, "bin": "01 [30, inf)", "share": 0.005, "remark": "rare in training"},
        {"feature": "job", "value": "teacher", "bin": "teacher", "share": 0.7, "remark": None},
    ]
    assert found["withheld"] == [{"what": "ssn", "why": "sensitive columns; their values never leave the service"}]


def test_a_trace_has_all_that_belongs_to_it(console):
    """Spans, exceptions, predictions and log lines of a trace come together, also if its spans were not sampled."""
    console.feed(logs(prediction(), record("a line"), label()), traces(failed_span()))
    found = console.get(f"/api/traces/{TRACE}")
    assert [row["id"] for row in found["predictions"]] == ["p-1"]
    assert [row["body"] for row in found["logs"]] == ["a line"]
    assert [row["type"] for row in found["exceptions"]] == ["KeyError"]
    unsampled = "1" * 32
    console.feed(logs(prediction("p-2", trace=unsampled)))
    assert console.get(f"/api/traces/{unsampled}")["spans"] == []


def test_data_and_performance_have_a_range(console):
    """Counters outside of the range do not count, and one feature comes with its bins."""
    early = now() - 5 * HOUR
    console.feed(
        metrics(
            *bins("age", {"00 (-inf, 30)": 0.5, "01 [30, inf)": 0.5}),
            gauge(semconv.FEATURE_REFERENCE_SIZE, 1000, {semconv.FEATURE_NAME: "age", semconv.PROFILE_ID: "one"}),
            *outcomes(at=early, start=early - HOUR),
            *outcomes(identity=CANARY),
            total(
                semconv.FEATURE_VALUES,
                90,
                of={semconv.FEATURE_NAME: "age", semconv.FEATURE_BIN: "00 (-inf, 30)", semconv.PROFILE_ID: "one"},
            ),
        )
    )
    recent = (now() - 2 * HOUR) / 1e9
    assert len(console.get("/api/performance?model=fraud")["versions"]) == 2
    (version,) = console.get(f"/api/performance?model=fraud&since={recent}")["versions"]
    assert version["version"] == CANARY[semconv.MODEL_VERSION]
    (feature,) = console.get(f"/api/features?model=fraud&feature=age&since={recent}")["features"]
    assert [(each["bin"], each["expected"]) for each in feature["bins"]] == [
        ("00 (-inf, 30)", 0.5),
        ("01 [30, inf)", 0.5),
    ]
    assert console.get("/api/features?model=fraud&feature=x")["features"] == []


def test_what_is_cut_is_said(console):
    """Of many log lines, predictions and kinds of exceptions the first are there, and that there are more
    (jaegertracing/jaeger#8488).
    """
    kinds = [
        record(f"line {number}", ERROR | {semconv.EXCEPTION_TYPE: f"Kind{number % 7}Error"}, at=now() + number)
        for number in range(201)
    ]
    console.feed(traces(span()), logs(*kinds, *(prediction(f"p-{number}", at=now() + number) for number in range(101))))
    for path, count in (("/api/predictions/p-1", 7), (f"/api/traces/{TRACE}", 7)):
        found = console.get(path)
        assert (len(found["logs"]), found["logs_truncated"], len(found["exceptions"])) == (200, True, count)
    assert (len(found["predictions"]), found["predictions_truncated"]) == (100, True)
    for path in ("/predictions/p-1", f"/traces/{TRACE}"):
        page = console.send(path).body.decode()
        assert "2 more exceptions of other types or messages" in page
        assert f'<a href="/logs?trace_id={TRACE}&amp;range=3d">All lines of this trace</a>' in page
    assert "and more, which are not shown" in page


def test_many_services_are_cut_and_it_is_said(console):
    """The overview has 100 services and says if there may be more (jaegertracing/jaeger#8901)."""
    many = traces(span())
    for number in range(101):
        many.MergeFrom(traces(span(own=f"{number + 1:016x}"), service=f"s{number}"))
    console.feed(many)
    found = console.get("/api/overview")
    assert (len(found["services"]), found["services_truncated"]) == (100, True)
