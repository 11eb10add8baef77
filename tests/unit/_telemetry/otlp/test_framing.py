"""Records of one scope are joined, counted and split, and requests read back, without changing a byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from otel_ml import _protobuf
from otel_ml._telemetry.otlp import _framing

NAMES = st.lists(st.text(st.characters(codec="utf-8"), max_size=400), min_size=1, max_size=20)


def message(name):
    return Span(name=name).SerializeToString()


def framed(message):
    return _framing.FRAMES[len(message)] + message


@given(NAMES)
def test_a_run_is_the_repeated_field_of_its_scope_message(names):
    """The protobuf library reads the records from it in their order."""
    ((_, frames, count),) = _framing.join(b"scope", [framed(message(name)) for name in names])

    assert count == len(names)
    assert [span.name for span in ScopeSpans.FromString(frames).spans] == names


@given(NAMES)
def test_a_run_is_split_into_its_records(names):
    """Each record has the same scope and is counted once."""
    (run,) = _framing.join(b"scope", [framed(message(name)) for name in names])

    assert _framing.split(run) == [_framing.frame(b"scope", message(name)) for name in names]


def test_a_single_metric_keeps_its_data_points():
    """A metric counts its data points, not its records."""
    metric = _framing.frame(b"scope", b"m" * 300, 7)

    assert _framing.split(metric) == [metric]


@pytest.mark.parametrize(("length", "runs"), [(_framing.RUN_BYTES // 4, 1), (_framing.RUN_BYTES // 2, 3)])
def test_long_records_are_not_joined(length, runs):
    """A receiver's limit must not meet a run that no longer fits into any request."""
    found = _framing.join(b"scope", [framed(b"x" * length)] * 3)

    assert (len(found), _framing.count(found), _framing.size(found)) == (runs, 3, 3 * len(framed(b"x" * length)))


def test_nothing_is_no_run():
    """Joining no records gives no run."""
    assert _framing.join(b"scope", []) == []


def test_frames_of_any_length_are_right_also_beyond_those_that_are_kept():
    """The table of frames is bounded; other frames are made each time."""
    for length in (0, 1, 127, 128, 5000, 16_383, 16_384, 70_000, 2_097_152):
        assert _framing.FRAMES[length] + b"x" * length == _protobuf.field(2, b"x" * length)
    for length in range(100_000, 105_000):
        assert _framing.FRAMES[length] == b"\x12" + _protobuf.varint(length)
    assert len(_framing.FRAMES) <= 4096


@given(st.dictionaries(st.sampled_from(["a", "b"]), NAMES, min_size=1))
def test_a_request_is_read_back(scopes):
    """Resource and scopes with all their fields, the records one by one."""
    resource = _framing.resource_fields(b"", "https://schema")
    records = [
        _framing.frame(_framing.scope_fields(b"", scope), message(name))
        for scope, names in scopes.items()
        for name in names
    ]

    assert _framing.parse_request(_framing.encode_request(resource, records), points=False) == (resource, records)


def test_metrics_of_a_request_count_their_data_points():
    """The data points of every kind of metric are counted."""
    metrics = [Metric(name="none")]
    for index, kind in enumerate(("gauge", "sum", "histogram", "exponential_histogram", "summary"), start=1):
        metric = Metric(name=kind, description="d", unit="1")
        for _ in range(index):
            getattr(metric, kind).data_points.add(time_unix_nano=1)
        metrics.append(metric)
    records = [_framing.frame(b"", metric.SerializeToString(), index) for index, metric in enumerate(metrics)]

    assert _framing.parse_request(_framing.encode_request(b"", records), points=True) == (b"", records)


@given(st.binary(max_size=200))
def test_other_bytes_are_read_or_refused(body):
    """Arbitrary bytes give either a ValueError or records."""
    try:
        _, records = _framing.parse_request(body, points=True)
    except ValueError:
        records = []

    assert all(len(frames) <= len(body) for _, frames, _ in records)


def test_a_cut_request_is_refused():
    """A request that is cut at any length raises ValueError."""
    body = _framing.encode_request(
        _framing.resource_fields(b"r"), [_framing.frame(_framing.scope_fields(b"s"), message("n"))]
    )

    for length in range(len(body)):
        with pytest.raises(ValueError, match="cut off|no varint|not the request"):
            _framing.parse_request(body[:length], points=False)
