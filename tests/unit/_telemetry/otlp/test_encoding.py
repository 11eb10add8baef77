"""Our encoders against the SDK's."""

from __future__ import annotations

import pytest
from engine_samples import event, span
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from otel_ml import _guard
from otel_ml._telemetry.otlp import _encoding, _framing
from otel_ml._telemetry.records import SpanEvent, SpanLink

ATTRIBUTES = {"double": 1.0, "int": 1, "bool": True, "str": "ü", "negative": -5, "tiny": 5e-324, "empty": ""}
RESOURCE = Resource({"service.name": "x", "list": ("a", "b"), "number": 3}, "https://schema/1")
SCOPE = InstrumentationScope("otel_ml", "1.0", "https://schema/2")


def request_of(record: bytes) -> bytes:
    scope = _encoding.encode_scope("otel_ml", "1.0", "https://schema/2")
    return _framing.encode_request(
        _encoding.encode_resource(RESOURCE.attributes, RESOURCE.schema_url), [_framing.frame(scope, record)]
    )


@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize("status", ["unset", "ok", "error"])
def test_a_span_is_what_the_sdks_encoder_makes_of_it(remote, status):
    """Every field, attribute type, flag, event, link and status agrees with the SDK's encoder."""
    ours = span(
        parent_span_id=77,
        trace_flags=3,
        attributes=ATTRIBUTES,
        events=[SpanEvent("exception", 1_500, {"exception.type": "ValueError"})],
        links=[SpanLink(5, 6, {"a": 1})],
        status=status,
        status_message="it broke" if status == "error" else "",
        trace_state="a=1,b=2",
        parent_is_remote=remote,
    )
    state = TraceState([("a", "1"), ("b", "2")])
    context = SpanContext(ours.trace_id, ours.span_id, is_remote=False, trace_flags=TraceFlags(3), trace_state=state)
    reference = ReadableSpan(
        name=ours.name,
        context=context,
        parent=SpanContext(ours.trace_id, 77, is_remote=remote),
        resource=RESOURCE,
        attributes=ATTRIBUTES,
        events=[Event("exception", {"exception.type": "ValueError"}, 1_500)],
        links=[Link(SpanContext(5, 6, is_remote=False), {"a": 1})],
        kind=trace.SpanKind.INTERNAL,
        status=Status(
            {"unset": StatusCode.UNSET, "ok": StatusCode.OK, "error": StatusCode.ERROR}[status],
            "it broke" if status == "error" else None,
        ),
        start_time=ours.start_ns,
        end_time=ours.end_ns,
        instrumentation_scope=SCOPE,
    )

    assert ExportTraceServiceRequest.FromString(request_of(_encoding.encode_span(ours))) == encode_spans([reference])


@pytest.mark.parametrize("severity", ["INFO", "ERROR"])
def test_an_event_is_what_the_sdks_encoder_makes_of_it(severity):
    """The event's log record agrees with the SDK's encoder in every field."""
    ours = event(severity=severity, attributes=ATTRIBUTES, trace_flags=1)
    parent = SpanContext(ours.trace_id, ours.span_id, is_remote=False, trace_flags=TraceFlags(1))
    record = LogRecord(
        timestamp=ours.time_ns,
        observed_timestamp=ours.time_ns,
        context=trace.set_span_in_context(trace.NonRecordingSpan(parent)),
        severity_text=severity,
        severity_number=SeverityNumber.INFO if severity == "INFO" else SeverityNumber.ERROR,
        body=ours.body,
        attributes=ATTRIBUTES,
        event_name="ml.prediction",
    )
    reference = ReadableLogRecord(record, RESOURCE, SCOPE)

    assert ExportLogsServiceRequest.FromString(request_of(_encoding.encode_event(ours))) == encode_logs([reference])


def test_an_event_outside_a_span_has_no_ids():
    """Trace and span id 0 mean none."""
    request = ExportLogsServiceRequest.FromString(request_of(_encoding.encode_event(event(trace_id=0, span_id=0))))
    record = request.resource_logs[0].scope_logs[0].log_records[0]

    assert (record.trace_id, record.span_id) == (b"", b"")


def test_records_are_grouped_by_scope():
    """Records of one scope are together, in their order."""
    one, two = _encoding.encode_scope("one"), _encoding.encode_scope("two")
    records = [
        _framing.frame(one, _encoding.encode_span(span(1))),
        _framing.frame(two, _encoding.encode_span(span(2))),
        _framing.frame(one, _encoding.encode_span(span(3))),
    ]
    request = ExportTraceServiceRequest.FromString(_framing.encode_request(_encoding.encode_resource({}), records))

    assert [
        (scope.scope.name, [int.from_bytes(item.span_id, "big") - 0xDEF0 for item in scope.spans])
        for scope in request.resource_spans[0].scope_spans
    ] == [("one", [1, 3]), ("two", [2])]


def test_long_payloads_are_framed():
    """Lengths beyond one byte are varints."""
    long = span(name="n" * 100_000)
    request = ExportTraceServiceRequest.FromString(request_of(_encoding.encode_span(long)))

    assert request.resource_spans[0].scope_spans[0].spans[0].name == "n" * 100_000


def test_a_bad_record_costs_no_other():
    """A record that cannot be encoded is left out; the chunk's others are kept."""

    def encode(numbers):
        if 3 in numbers:
            raise ValueError
        return [(b"", bytes([number]), 1) for number in numbers]

    encoded, invalid = _encoding.encode_each(encode, [1, 2, 3, 4], "test.poison")

    assert ([payload for _, payload, _ in encoded], invalid) == ([b"\1", b"\2", b"\4"], 1)
    assert set(_guard.counts()) == {"test.poison"}


NAMES = st.text(st.characters(codec="utf-8"), max_size=200)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8")),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60)
@given(
    name=NAMES,
    attributes=st.dictionaries(NAMES, VALUES, max_size=5),
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    times=st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)),
)
def test_any_span_is_what_the_sdks_encoder_makes_of_it(name, attributes, trace_id, span_id, times):
    """Names, ids, times and attribute values of any kind agree with the SDK's encoder."""
    ours = span(
        name=name,
        attributes=attributes,
        trace_id=trace_id,
        span_id=span_id,
        start_ns=times[0],
        end_ns=times[1],
    )
    reference = ReadableSpan(
        name=name,
        context=SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1)),
        resource=RESOURCE,
        attributes=attributes,
        start_time=times[0],
        end_time=times[1],
        instrumentation_scope=SCOPE,
    )

    assert ExportTraceServiceRequest.FromString(request_of(_encoding.encode_span(ours))) == encode_spans([reference])
