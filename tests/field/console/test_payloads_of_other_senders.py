"""Requests as other SDKs, clients and Collectors make them."""

from __future__ import annotations

import http.client
import json
import select
import socket
import zlib

import grpc
import pytest
from console_feed import PROTOBUF, logs, now, record, span, traces
from console_server import running

from otel_ml.console._options import Options
from otel_ml.console.receiving._otlp_grpc import GrpcReceiver

JSON = "application/json"


def span_json(name, own, **more):
    """A span as JavaScript sends it."""
    made = {"traceId": "b1" * 16, "spanId": own * 8, "name": name, "kind": 2}
    return made | {"startTimeUnixNano": str(now()), "endTimeUnixNano": str(now() + 1000)} | more


def send(console, *spans):
    """The answer to spans as JSON."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "js"}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    return console.send("/v1/traces", json.dumps(body).encode(), content_type=JSON)


def names(console, trace="b1" * 16):
    """The names of the spans of a trace."""
    return {each["name"] for each in (console.get(f"/api/traces/{trace}") or {}).get("spans", ())}


def raw(console, sent):
    """The first bytes of the answer to bytes on a connection of their own."""
    host, _, port = console.address.rpartition("/")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(sent)
        return connection.recv(12)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_that_offers_http_2_is_read(console, chunked):
    """Java's client asks for HTTP/2 in each request; the body arrives all the same (Kludex/uvicorn#2722)."""
    name = f"java {chunked}"
    body = traces(span(name, own="c1" * 8 if chunked else "c2" * 8)).SerializeToString()
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAA\r\n"
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    answer = raw(
        console,
        b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\n%b%b\r\n\r\n%b"
        % (PROTOBUF.encode(), offer, length, sent),
    )
    assert answer == b"HTTP/1.1 200"
    assert console.ingest.flush(240)
    assert name in names(console, span().trace_id.hex())


def test_a_connection_stays_open_between_two_exports():
    """A sender that exports every five seconds never meets a connection that is just closing (nodejs/node#20256)."""
    assert Options().idle_seconds > 90
    with running(Options(header_seconds=0.2)) as console:
        connection = http.client.HTTPConnection(console.address.rpartition("/")[2], timeout=240)
        connection.request("GET", "/api/status")
        connection.getresponse().read()
        is_closed = bool(select.select([connection.sock], [], [], 0.6)[0])
        connection.close()
    assert not is_closed


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_deflate_is_read_with_its_header_and_without(console, window):
    """Python's exporter can compress with deflate, and clients disagree on what that is (mlflow/mlflow#19024)."""
    press = zlib.compressobj(wbits=window)
    body = (
        press.compress(traces(span(f"deflate {window}", own=f"{99 + window:016x}")).SerializeToString()) + press.flush()
    )
    assert console.send("/v1/traces", body, content_type=PROTOBUF, content_encoding="deflate").status == 200
    assert f"deflate {window}" in names(console, span().trace_id.hex())


@pytest.mark.parametrize("by_grpc", [False, True])
def test_a_text_that_is_not_utf_8_does_not_lose_its_request(console, by_grpc):
    """A name cut within a character is repaired; its neighbours are stored (open-telemetry/oteps#257)."""
    own = "d1" * 8 if by_grpc else "d2" * 8
    bad = span("caf\u00e9", own=own, trace="d0" * 16, attributes={"path": "r\u00e9sum\u00e9"})
    sent = traces(bad, span(f"whole {by_grpc}", own=own[::-1], trace="d0" * 16))
    sent.resource_spans[0].resource.entity_refs.add(type="host", id_keys=["host.id", "\u00e9"])
    broken = sent.SerializeToString().replace("\u00e9".encode(), b"\xc3x")
    if by_grpc:
        receiver = GrpcReceiver(console.ingest, Options(grpc_port=0))
        with grpc.insecure_channel(receiver.start()) as channel:
            channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(broken)
        receiver.stop()
    else:
        assert console.send("/v1/traces", broken, content_type=PROTOBUF).status == 200
    assert {"caf\ufffdx", f"whole {by_grpc}"} <= names(console, "d0" * 16)


def test_half_of_an_emoji_does_not_lose_its_request(console):
    """A limit on the length of an attribute cuts a character of JavaScript in two (triggerdotdev/trigger.dev#2594)."""
    cut = span_json("cut \ud83d", "e1", attributes=[{"key": "text", "value": {"stringValue": "ok \ud83d"}}])
    assert send(console, cut, span_json("beside it", "e2")).body == b"{}"
    assert {"cut \ufffd", "beside it"} <= names(console)


def test_an_integer_beyond_64_bits_is_a_number(console):
    """Integers of JavaScript have no limit; those of OTLP do (pydantic/logfire-js#305)."""
    values = {"huge": 2**64, "small": -(2**70), "fits": 2**53, "half": 1.5, "text": "12"}
    attributes = [{"key": key, "value": {"intValue": value}} for key, value in values.items()]
    assert send(console, span_json("numbers", "e3", attributes=attributes)).body == b"{}"
    found = next(each for each in console.get("/api/traces/" + "b1" * 16)["spans"] if each["name"] == "numbers")
    assert found["attributes"] == {"huge": 2.0**64, "small": -(2.0**70), "fits": 2**53, "half": 1.5, "text": 12}


@pytest.mark.parametrize(
    ("own", "wrong"),
    [
        pytest.param("f1", {"startTimeUnixNano": {"low": 1045401984, "high": 395145071}}, id="parts of a number"),
        pytest.param("f2", {"droppedAttributesCount": -1}, id="a negative count"),
        pytest.param("f3", {"endTimeUnixNano": "2026-01-01T00:00:00Z"}, id="a date"),
        pytest.param("f4", {"attributes": [{"key": "a", "value": {"boolValue": "yes"}}]}, id="a value of another type"),
    ],
)  # fmt: skip
def test_a_record_that_breaks_the_protocol_is_refused_alone(console, own, wrong):
    """It is counted in a partial success; those beside it are stored.

    Sources: open-telemetry/opentelemetry-js#4202, jaegertracing/jaeger-ui#2589.
    """
    answer = send(console, span_json("broken", "e4", **wrong), span_json(f"beside {wrong}", own)).json()
    assert answer["partialSuccess"] == {"rejectedSpans": "1", "errorMessage": "record that is not valid OTLP JSON"}
    assert f"beside {wrong}" in names(console)
    assert "broken" not in names(console)


def test_null_is_a_value_that_is_not_set(console):
    """NaN and null of JavaScript arrive as null, alone and in lists (vercel/ai#17139)."""
    attributes = [
        {"key": "tokens", "value": {"doubleValue": None}},
        {"key": "none", "value": None},
        {"key": "list", "value": {"arrayValue": {"values": [{}, {"stringValue": "a"}]}}},
    ]
    made = span_json("nulls", "e5", attributes=attributes, events=None, links=None, status=None, parentSpanId=None)
    assert send(console, made).body == b"{}"
    found = next(each for each in console.get("/api/traces/" + "b1" * 16)["spans"] if each["name"] == "nulls")
    assert found["attributes"] == {"tokens": None, "none": None, "list": [None, "a"]}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/traces/v1/traces", "/traces", "/api/public/otel/v1/traces"])
def test_an_address_that_receives_nothing_says_which_does(console, path):
    """An exporter logs one line, not a page of HTML, if its address lacks the path (Arize-ai/phoenix#4529)."""
    answer = console.send(path, b"", content_type=PROTOBUF)
    assert answer.status in {404, 405}
    assert answer.json() == {"error": "OTLP is received at /v1/traces, /v1/metrics and /v1/logs"}


def test_records_of_another_signal_are_refused(console):
    """Logs at the address of traces are an error, not a success that stores nothing (langfuse/langfuse#6395)."""
    sent = b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]}'
    assert console.send("/v1/traces", sent, content_type=JSON).status == 400
    answer = console.send("/v1/traces", logs(record("x")).SerializeToString(), content_type=PROTOBUF)
    assert answer.status == 400 or b"without a valid trace id" in answer.body
