"""Server spans from templates, compared with the general encoder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from engine_samples import span, within
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_ml import _guard, _protobuf
from otel_ml._telemetry.otlp import _encoding
from otel_ml._telemetry.records import SpanData
from otel_ml._telemetry.requests.spans import CLIENTS_KEPT, TEMPLATES_KEPT, CompactSpan, SpanEncoder

CONSTANT = {"http.request.method": "GET", "http.route": "/100%/{leaf}", "http.response.status_code": 200}
VARIABLE = {"url.path": "/100%/ü"}
CLIENT = {"user_agent.original": "test/1", "server.port": 8080}


@dataclass
class Finished:
    """A server span of one shape."""

    data: SpanData
    variable: dict = field(default_factory=lambda: dict(VARIABLE))
    client: dict = field(default_factory=lambda: dict(CLIENT))
    key: tuple = ("shape",)
    plain: bool = True

    def compact(self):
        data = self.data
        if not self.plain:
            return None
        return CompactSpan(
            self.key,
            data.trace_id,
            data.span_id,
            data.parent_span_id,
            data.start_ns,
            data.end_ns,
            self.variable,
            tuple(self.client.items()),
        )

    def about(self):
        return self.client

    def render(self):
        return replace(self.data, attributes={**CONSTANT, **self.variable, **self.client})


def server(number=1, **changes):
    return span(number, name="GET /100%/{leaf}", kind="server", **changes)


def encoded(encoder, *spans):
    return b"".join(record[1] for record in encoder(spans))


def expected(*spans):
    return b"".join(_protobuf.field(2, _encoding.encode_span(one.render())) for one in spans)


@pytest.mark.parametrize("parent", [0, 77])
@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("status", ["unset", "error"])
def test_a_template_encodes_like_the_general_path(parent, remote, status):
    """The bytes are equal, for the span the template was made of and for the next ones of its shape."""
    encoder = SpanEncoder(b"")
    spans = [
        Finished(
            server(number, parent_span_id=parent, parent_is_remote=remote, status=status),
            {**VARIABLE, "url.path": f"/{number}"},
        )
        for number in range(3)
    ]

    assert encoded(encoder, *spans) == expected(*spans)
    assert len([made for made in encoder._templates.values() if made is not None]) == 1


def test_the_kind_is_server():
    """Server spans have the kind server."""
    message = Span.FromString(_encoding.encode_span(server()))

    assert message.kind == Span.SPAN_KIND_SERVER


TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


@settings(max_examples=80)
@given(
    variable=st.dictionaries(TEXTS, TEXTS | st.integers(0, 2**63 - 1), max_size=4),
    ids=st.tuples(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1)),
    times=st.tuples(st.integers(1, 2**63), st.integers(1, 2**63)),
)
def test_any_values_are_encoded_like_on_the_general_path(variable, ids, times):
    """The bytes are those of the general encoder, whatever a client sends."""
    encoder = SpanEncoder(b"")
    first = Finished(server(), dict.fromkeys(variable, "first"), {})
    trace_id, span_id, parent = ids
    data = server(parent_span_id=0, trace_id=trace_id, span_id=span_id, start_ns=times[0], end_ns=times[1])
    child = replace(data, parent_span_id=parent)
    spans = [
        first,
        Finished(data, variable, {}),
        Finished(data, {}, variable, ("client",)),
        Finished(child, variable, {}, ("child",)),
    ]

    assert encoded(encoder, *spans) == expected(*spans)


def test_templates_and_clients_are_bounded():
    """Spans of further shapes and clients are encoded, but not kept beyond the limits."""
    encoder = SpanEncoder(b"")
    for number in range(max(TEMPLATES_KEPT, CLIENTS_KEPT) + 50):
        one = Finished(server(number), client={"user_agent.original": f"agent {number}"}, key=(number,))
        assert encoded(encoder, one) == expected(one)

    assert (len(encoder._templates) <= TEMPLATES_KEPT, len(encoder._clients) <= CLIENTS_KEPT) == (True, True)


def test_a_span_without_a_compact_form_takes_the_general_path():
    """No template is made of it."""
    encoder = SpanEncoder(b"")
    one = Finished(server(), plain=False)

    assert (encoded(encoder, one), encoder._templates) == (expected(one), {})


def test_a_span_that_cannot_be_encoded_does_not_affect_its_neighbours(make_engine, receiver):
    """Every span is delivered or dropped as invalid."""
    engine = make_engine()
    for one in (Finished(server(1)), Finished(server(2), {"url.path": "\ud800"}, key=("bad",)), Finished(server(3))):
        engine.offer_span(one)

    engine.flush(within())
    ledger = engine.ledger()["traces"]
    assert (ledger.produced, ledger.delivered, ledger.dropped, ledger.in_flight) == (3, 2, {"invalid": 1}, 0)
    assert set(_guard.counts()) <= {"worker.template", "worker.encode.traces"}


def test_a_full_queue_drops_and_counts(make_engine):
    """Spans beyond the queue's size are dropped and counted."""
    engine = make_engine(queue_size=2)
    for number in range(5):
        engine.offer_span(Finished(server(number)))

    engine.flush(within())
    ledger = engine.ledger()["traces"]
    assert ledger.produced == ledger.delivered + sum(ledger.dropped.values()) == 5
