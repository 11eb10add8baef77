"""Ids and names of fields as senders write them that do not follow the protocol to the letter."""

from __future__ import annotations

import base64
import json

import pytest
from console_feed import logs, now, record, span, traces

TRACE, OWN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
JSON = "application/json"


def in_base64(digits):
    """An id as plain protobuf has it in JSON."""
    return base64.b64encode(bytes.fromhex(digits)).decode()


def span_json(**more):
    """A span as JavaScript sends it."""
    return {"traceId": TRACE, "spanId": OWN, "kind": 2, "startTimeUnixNano": now(), "endTimeUnixNano": now() + 9} | more


def send(console, body, signal="traces"):
    """The answer to a body as JSON."""
    return console.send(f"/v1/{signal}", json.dumps(body).encode(), content_type=JSON)


def found(console, name):
    """The span of this name."""
    return next(each for each in console.get(f"/api/traces/{TRACE}")["spans"] if each["name"] == name)


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("base64", in_base64),
        ("base64 of the digits", lambda digits: base64.b64encode(digits.encode()).decode()),
        ("upper case", str.upper),
        ("UUID", lambda digits: f"{digits[:8]}-{digits[8:12]}-{digits[12:]}"),
    ],
)
def test_an_id_in_another_writing_is_that_id(console, kind, write):
    """Encoders of plain protobuf write base64, and some of them encode the digits; it is the same trace.

    Sources: open-telemetry/opentelemetry-swift#537, open-telemetry/opentelemetry-collector#8720.
    """
    own, parent = f"{len(kind):016x}", "00f067aa0ba902b7"
    link = {"traceId": write("ab" * 16), "spanId": write("cd" * 8)}
    ids = {"traceId": write(TRACE), "spanId": write(own), "parentSpanId": write(parent)}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span_json(name=kind, links=[link], **ids)]}]}]}
    assert send(console, body).body == b"{}"
    stored = found(console, kind)
    assert (stored["span_id"], stored["parent_span_id"]) == (own, parent)
    assert [(each["trace_id"], each["span_id"]) for each in stored["links"]] == [("ab" * 16, "cd" * 8)]


@pytest.mark.parametrize("wrong", ["", "0" * 32, "not an id", "AAAAAAAAAAA=", "ab" * 17])
def test_a_span_without_a_trace_is_refused(console, wrong):
    """No writing makes an id of what is none (open-telemetry/opentelemetry-collector#8720)."""
    answer = send(console, {"resourceSpans": [{"scopeSpans": [{"spans": [span_json(traceId=wrong)]}]}]}).json()
    assert answer["partialSuccess"]["rejectedSpans"] == "1"


def test_digits_in_the_place_of_bytes_are_an_id(console):
    """A sender of protobuf copies the hex digits of an id; its records belong to their trace (Logflare/logflare#3683)."""
    line = record("from the digits", trace="", own="")
    line.trace_id, line.span_id = TRACE.encode(), OWN.upper().encode()
    made = span("from the digits", trace=TRACE, own=OWN)
    made.trace_id, made.span_id, made.parent_span_id = TRACE.encode(), OWN.encode(), b"\0" * 8
    console.feed(logs(line), traces(made))
    assert found(console, "from the digits")["parent_span_id"] is None
    (stored,) = console.get("/api/logs?text=from+the+digits")["logs"]
    assert (stored["trace_id"], stored["span_id"]) == (TRACE, OWN)


@pytest.mark.parametrize("wrong", ["7", "req-2041", "ab" * 17])
def test_a_line_with_a_wrong_id_is_a_line_without_a_trace(console, wrong):
    """A log record is kept if its ids are not valid (open-telemetry/opentelemetry-proto#442, datalust/seq-tickets#2552)."""
    line = {"timeUnixNano": now(), "body": {"stringValue": f"id {wrong}"}, "traceId": wrong, "spanId": wrong}
    assert send(console, {"resourceLogs": [{"scopeLogs": [{"logRecords": [line]}]}]}, "logs").body == b"{}"
    (stored,) = console.get(f"/api/logs?text=id+{wrong}")["logs"]
    assert (stored["trace_id"], stored["span_id"]) == (None, None)


def test_a_parent_of_zeros_is_no_parent(console):
    """A root whose parent is all zeros is among the requests, whatever its kind (wandb/weave#7126)."""
    console.feed(traces(span("root of zeros", trace="a1" * 16, own="a1" * 8, parent="00" * 8)))
    assert "root of zeros" in {each["name"] for each in console.get("/api/requests")["requests"]}


@pytest.mark.parametrize(
    ("signal", "resource", "former"),
    [
        ("traces", "resourceSpans", "instrumentationLibrarySpans"),
        ("logs", "resourceLogs", "instrumentationLibraryLogs"),
        ("metrics", "resourceMetrics", "instrumentationLibraryMetrics"),
    ],
)
def test_former_names_of_fields_are_read(console, signal, resource, former):
    """A sender from before 2022 loses no record with a success (open-telemetry/opentelemetry-collector#1899)."""
    records = {
        "traces": {"spans": [span_json(name="of old", spanId="0a" * 8)]},
        "logs": {"logRecords": [{"timeUnixNano": now(), "body": {"stringValue": "of old"}}]},
        "metrics": {"metrics": [{"name": "of.old", "gauge": {"dataPoints": [{"timeUnixNano": now(), "asInt": 7}]}}]},
    }[signal]
    group = {"instrumentationLibrary": {"name": "library of old"}, **records}
    assert send(console, {resource: [{former: [group]}]}, signal).body == b"{}"
    if signal == "traces":
        assert found(console, "of old")["scope"] == "library of old"
    elif signal == "logs":
        assert [each["scope"] for each in console.get("/api/logs?text=of+old")["logs"]] == ["library of old"]
    else:
        assert "of.old" in {each["name"] for each in console.get("/api/metrics")["metrics"]}


def test_json_of_python_may_have_numbers_that_json_has_not(console):
    """NaN and infinities stand without quotation marks in what ``json.dumps`` writes (comet-ml/opik#1218)."""
    values = {"none": float("nan"), "most": float("inf"), "least": float("-inf")}
    attributes = [{"key": key, "value": {"doubleValue": value}} for key, value in values.items()]
    body = {
        "resourceSpans": [
            {"scopeSpans": [{"spans": [span_json(name="not finite", spanId="0b" * 8, attributes=attributes)]}]}
        ]
    }
    assert send(console, body).body == b"{}"
    assert found(console, "not finite")["attributes"] == {"none": "NaN", "most": "Infinity", "least": "-Infinity"}
