"""Arbitrary input: every request becomes rows that the store takes, or a refusal."""

from __future__ import annotations

import contextlib
import json

import pytest
from console_feed import counter, label, logs, metrics, prediction, record, span, traces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_ml.console._options import Options
from otel_ml.console.receiving import _otlp_http
from otel_ml.console.storage._store import Database

AT = 1_800_000_000_000_000_000
SEEDS = {
    "traces": traces(span(start=AT), span("child", own="aa" * 8, start=AT)).SerializeToString(),
    "metrics": metrics(counter(3, at=AT, start=AT)).SerializeToString(),
    "logs": logs(prediction(at=AT), label(at=AT), record("line", at=AT)).SerializeToString(),
}
NAMES = st.sampled_from(
    [
        "resourceSpans",
        "scopeSpans",
        "spans",
        "resourceLogs",
        "scopeLogs",
        "logRecords",
        "resourceMetrics",
        "scopeMetrics",
        "metrics",
        "sum",
        "gauge",
        "histogram",
        "dataPoints",
        "traceId",
        "spanId",
        "attributes",
        "key",
        "value",
        "stringValue",
        "arrayValue",
        "values",
        "name",
        "body",
        "eventName",
        "events",
        "startTimeUnixNano",
        "timeUnixNano",
        "asInt",
        "asDouble",
        "explicitBounds",
        "bucketCounts",
        "kind",
        "status",
        "code",
        "resource",
        "scope",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=30,
)
QUICK = settings(max_examples=150, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def store():
    opened = Database.open(Options())
    yield opened
    opened.close()


def take(store, signal, body, encoding, coding=""):
    """Does with a body what the receiver does; a refusal is a valid answer."""
    with contextlib.suppress(_otlp_http.RefusalError):
        plain = _otlp_http.inflate(body, coding, 1 << 20)
        batch = _otlp_http.rows(signal, plain, encoding, 1000)
        _otlp_http.accept(signal, encoding, batch)
        store.insert(batch.rows)


@QUICK
@given(signal=st.sampled_from(sorted(SEEDS)), body=st.binary(max_size=200), coding=st.sampled_from(["", "gzip"]))
def test_any_bytes_are_accepted_or_refused(store, signal, body, coding):
    """Random bytes, plain or labelled as gzip."""
    take(store, signal, body, _otlp_http.PROTOBUF, coding)


@QUICK
@given(
    signal=st.sampled_from(sorted(SEEDS)),
    changes=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=6),
)
def test_any_damaged_message_is_accepted_or_refused(store, signal, changes):
    """Valid messages with some bytes changed."""
    body = bytearray(SEEDS[signal])
    for place, byte in changes:
        body[place % len(body)] = byte
    take(store, signal, bytes(body), _otlp_http.PROTOBUF)


@QUICK
@given(signal=st.sampled_from(sorted(SEEDS)), value=VALUES)
def test_any_json_is_accepted_or_refused(store, signal, value):
    """Arbitrary JSON that uses the names of the protocol."""
    take(store, signal, json.dumps(value).encode(), _otlp_http.JSON)
    root = {"traces": "resourceSpans", "metrics": "resourceMetrics", "logs": "resourceLogs"}[signal]
    take(store, signal, json.dumps({root: [value]}).encode(), _otlp_http.JSON)
