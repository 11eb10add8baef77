"""The OTLP endpoints: encodings, sizes, refusals, hostile input."""

from __future__ import annotations

import gzip
import json

import pytest
from console_feed import PROTOBUF, SPAN, TRACE, any_value, logs, metrics, now, prediction, record, span, traces
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

JSON = "application/json"


def json_trace():
    """A trace as JSON, with the id in upper case and a field that is unknown."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "fraud-api"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "by.hand"},
                        "spans": [
                            {
                                "traceId": TRACE.upper(),
                                "spanId": SPAN,
                                "name": "predict fraud",
                                "kind": 1,
                                "startTimeUnixNano": str(now()),
                                "endTimeUnixNano": str(now() + 4_000_000),
                                "attributes": [{"key": "ml.prediction.id", "value": {"stringValue": "p-1"}}],
                                "somethingNew": {"unknown": True},
                            }
                        ],
                    }
                ],
            }
        ]
    }


def test_protobuf_is_stored_and_answered_in_protobuf(console):
    """A protobuf request is answered with an empty protobuf response and its span can be read back."""
    answer = console.export(traces(span()))
    assert (answer.status, answer.headers["content-type"]) == (200, PROTOBUF)
    assert ExportTraceServiceResponse.FromString(answer.body) == ExportTraceServiceResponse()
    console.ingest.flush(240)
    (stored,) = console.get(f"/api/traces/{TRACE}")["spans"]
    assert (stored["name"], stored["span_id"], stored["service_name"], stored["duration"]) == (
        "predict fraud",
        SPAN,
        "fraud-api",
        0.004,
    )


def test_json_with_hex_ids_is_stored_and_answered_in_json(console):
    """OTLP JSON has ids as hex of either case and may have unknown fields."""
    answer = console.send("/v1/traces", json.dumps(json_trace()).encode(), content_type=f"{JSON}; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], answer.json()) == (200, JSON, {})
    console.ingest.flush(240)
    (stored,) = console.get(f"/api/traces/{TRACE}")["spans"]
    assert (stored["span_id"], stored["scope"], stored["attributes"]) == (
        SPAN,
        "by.hand",
        {"ml.prediction.id": "p-1"},
    )


@pytest.mark.parametrize("body", [gzip.compress, lambda plain: gzip.compress(plain[:9]) + gzip.compress(plain[9:])])
def test_gzip_is_inflated(console, body):
    """A gzip body is decompressed, also if it has several members."""
    plain = traces(span()).SerializeToString()
    assert console.send("/v1/traces", body(plain), content_type=PROTOBUF, content_encoding="gzip").status == 200
    console.ingest.flush(240)
    assert len(console.get(f"/api/traces/{TRACE}")["spans"]) == 1


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (415, b"", {"content_type": "text/plain"}),
        (415, b"{}", {"content_type": JSON, "content_encoding": "br"}),
        (400, b"\xff\xff\xff", {"content_type": PROTOBUF}),
        (400, b"\x0a\x7f", {"content_type": PROTOBUF}),
        (400, b"not gzip", {"content_type": PROTOBUF, "content_encoding": "gzip"}),
        (400, gzip.compress(b"x" * 1000, mtime=0)[:-9], {"content_type": PROTOBUF, "content_encoding": "gzip"}),
        (400, b"{", {"content_type": JSON}),
        (400, b"[]", {"content_type": JSON}),
        (400, b"null", {"content_type": JSON}),
        (400, b"\xff\xfe{}", {"content_type": JSON}),
        (400, b'{"resourceSpans": 7}', {"content_type": JSON}),
        (400, b'{"resourceSpans": [7]}', {"content_type": JSON}),
        (400, b'{"resourceSpans": [{"scopeSpans": 7}]}', {"content_type": JSON}),
        (400, b'{"resourceLogs": []}', {"content_type": JSON}),
        (400, b'{"resourceSpans":' + b"[" * 100_000, {"content_type": JSON}),
        (400, b'{"resourceSpans":' + b"[" * 900 + b"]" * 900 + b"}", {"content_type": JSON}),
        (400, b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":' + b"9" * 5000 + b"}]}]}]}", {"content_type": JSON}),
    ],
)  # fmt: skip
def test_unreadable_requests_are_refused(console, status, body, headers):
    """Wrong types, wrong compression, malformed and deeply nested bodies get a status that forbids a retry."""
    answer = console.send("/v1/traces", body, **headers)
    assert answer.status == status
    assert "retry-after" not in answer.headers
    assert console.ingest.status()["received"] == 0
    assert console.export(traces(span())).status == 200


def test_an_error_is_a_status_message_in_the_encoding_of_the_request(console):
    """The answer to a bad request is a google.rpc.Status in the encoding of the request."""
    binary = console.send("/v1/logs", b"\xff", content_type=PROTOBUF)
    assert Status.FromString(binary.body).message == "the body is not a valid protobuf message of this signal"
    text = console.send("/v1/logs", b"{", content_type=JSON)
    assert text.json() == {"code": 3, "message": "the body is not valid OTLP JSON of this signal"}


def test_too_large_is_refused_before_and_after_inflating(start):
    """The size limit holds for the body as sent and for its decompressed content."""
    console = start(max_request_bytes=10_000)
    bomb = gzip.compress(b"\0" * 5_000_000)
    assert len(bomb) < 10_000
    assert console.send("/v1/traces", b"x" * 10_001, content_type=PROTOBUF).status == 413
    assert console.send("/v1/traces", bomb, content_type=PROTOBUF, content_encoding="gzip").status == 413


def test_a_get_of_a_receiver_is_not_allowed(console):
    """The receiver accepts only POST."""
    assert console.send("/v1/traces").status == 405


def test_records_with_bad_ids_are_refused_one_by_one(console):
    """A span without valid ids is counted in the partial success; its neighbour is stored, and any log record."""
    answer = console.export(traces(span(), span(trace="00" * 16), span(own="aa"), span(trace="ab")))
    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (partial.rejected_spans, partial.error_message) == (3, "span without a valid trace id and span id")
    answer = console.export(logs(record("fine"), record("bad", trace="ab")))
    assert ExportLogsServiceResponse.FromString(answer.body).partial_success.rejected_log_records == 0
    answer = console.export(metrics(Metric(name="empty"), Metric()))
    assert ExportMetricsServiceResponse.FromString(answer.body).partial_success.rejected_data_points == 2
    console.ingest.flush(240)
    status = console.get("/api/status")
    assert {name: status[name] for name in ("received", "refused", "stored", "queued")} == {
        "received": 8,
        "refused": 5,
        "stored": 3,
        "queued": 0,
    }


def test_partial_success_in_json(console):
    """A JSON sender reads the refused count as JSON."""
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz","spanId":"1"}]}]}]}'
    answer = console.send("/v1/traces", body, content_type=JSON)
    assert answer.json() == {
        "partialSuccess": {"rejectedSpans": "1", "errorMessage": "span without a valid trace id and span id"}
    }


def test_a_full_queue_asks_to_retry(start):
    """A full queue answers 503 with Retry-After and counts the records as busy."""
    console = start(write=False, max_pending_records=10)
    console.queue(logs(*[record(f"line {index}") for index in range(8)]))
    answer = console.export(logs(*[record(f"more {index}") for index in range(3)]))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    status = console.get("/api/status")["signals"]["logs"]
    assert status == {
        "received": 11, "refused": 0, "busy": 3, "stored": 0, "duplicates": 0, "dropped": 0, "queued": 8
    }  # fmt: skip


def test_memory_for_requests_is_bounded(start):
    """A request that does not fit into memory beside the waiting ones is asked to retry."""
    console = start(write=False, max_pending_bytes=3000)
    console.queue(logs(record("x" * 2000)))
    assert console.export(logs(record("y" * 2000))).status == 503


def test_hostile_values_are_bounded(console):
    """Huge texts are cut, NUL is replaced, and absurd times and numbers are limited."""
    huge = "h" * 3_000_000
    console.feed(
        traces(
            span(
                "predict \0 fraud",
                start=2**64 - 1 - 4_000_000,
                attributes={"huge": huge, "nan": float("nan"), "bytes": b"\0\xff", "int": -(2**63)},
            )
        ),
        logs(
            prediction(score=float("inf"), at=2**64 - 1, features={"text": huge}),
            record("a\0b", {"k" * 100_000: "v"}, at=0),
        ),
    )
    (stored,) = console.get(f"/api/traces/{TRACE}")["spans"]
    assert stored["name"] == "predict \ufffd fraud"
    assert (len(stored["attributes"]["huge"]), stored["attributes"]["nan"], stored["attributes"]["int"]) == (
        16384,
        "NaN",
        -(2**63),
    )
    assert stored["end_ns"] == 2**63 - 1
    (found,) = console.get("/api/predictions")["predictions"]
    assert (found["score"], found["time"][:4]) == ("Infinity", "2262")
    assert console.get("/api/status")["trimmed"] > 0
    assert console.send("/").status == 200
    assert console.send("/predictions/p-1").status == 200


def field(number: int, content: bytes) -> bytes:
    """One length-delimited field of the protobuf encoding."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_deeply_nested_values_are_refused_or_kept(console):
    """A value nested as deeply as protobuf allows is stored; deeper ones are malformed."""
    for depth, status in ((20, 200), (500, 400)):
        body = AnyValue(string_value="deep").SerializeToString()
        for _ in range(depth):
            body = field(5, field(1, body))  # AnyValue.array_value, ArrayValue.values
        request = field(1, field(2, field(2, field(5, body))))  # resource_logs, scope_logs, log_records, body
        assert console.send("/v1/logs", request, content_type=PROTOBUF).status == status
    assert console.ingest.flush(240)
    assert console.get("/api/logs")["logs"][0]["body"].strip("[]") == '"deep"'


def test_an_object_as_body_becomes_json(console):
    """A log body that is not text is stored as JSON."""
    line = record("")
    line.body.kvlist_value.values.add(key="a", value=any_value(1))
    console.feed(logs(line))
    assert [one["body"] for one in console.get("/api/logs")["logs"]] == ['{"a":1}']
