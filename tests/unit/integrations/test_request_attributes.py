"""Attributes of one HTTP request, from what a client chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.integrations.fastapi import _attributes

FIELDS = frozenset({b"traceparent", b"tracestate"})


def scope(**changes):
    return {"type": "http", "method": "GET", "scheme": "http", "path": "/", "http_version": "1.1", **changes}


def described(given_scope):
    headers = _attributes.read_headers(given_scope, FIELDS)
    base = _attributes.metric_attributes(given_scope, _attributes.request_method(given_scope))
    return _attributes.span_attributes(given_scope, base, headers)


@pytest.mark.parametrize(
    ("host", "scheme", "server", "address", "port"),
    [
        (b"api.test", "http", None, "api.test", 80),
        (b"api.test", "https", None, "api.test", 443),
        (b"api.test:8443", "https", None, "api.test", 8443),
        (b"[::1]:8000", "http", None, "::1", 8000),
        (b"[::1]", "ws", None, "::1", None),
        (b"api.test:99999", "http", None, "api.test", None),
        (b"api.test:0", "http", None, "api.test", None),
        (b"user@api.test", "http", ("10.0.0.1", 8000), "10.0.0.1", 8000),
        (b"a b", "http", ("10.0.0.1", 8000), "10.0.0.1", 8000),
        (b"", "http", ("/run/app.sock", None), "/run/app.sock", None),
        (b"", "http", None, None, None),
    ],
)
def test_the_server_is_that_of_the_host_header(host, scheme, server, address, port):
    """Address and port come from a well-formed Host header, else from the socket, else they are absent."""
    attributes = described(scope(headers=[(b"host", host)], scheme=scheme, server=server))

    assert (attributes.get("server.address"), attributes.get("server.port")) == (address, port)


def test_propagation_headers_are_bounded():
    """A repeated header gives at most a few values, a huge one none, and others are not read."""
    headers = _attributes.read_headers(
        scope(
            headers=[
                *[(b"traceparent", b"a")] * 20,
                (b"tracestate", b"x" * 10_000),
                (b"cookie", b"secret"),
            ]
        ),
        FIELDS,
    )

    assert headers.carrier == {"traceparent": ["a"] * 8}


def test_the_first_host_and_agent_count():
    """Of a header that is sent twice the first one is kept."""
    headers = _attributes.read_headers(
        scope(headers=[(b"host", b"a"), (b"host", b"b"), (b"user-agent", b"c"), (b"user-agent", b"d")]), FIELDS
    )

    assert (headers.host, headers.agent) == ("a", "c")


def test_metric_attributes_are_a_closed_set():
    """Method and scheme are known words or absent."""
    assert _attributes.metric_attributes(scope(scheme="gopher"), _attributes.request_method(scope(method="BREW"))) == {
        "http.request.method": "_OTHER"
    }


@given(st.lists(st.tuples(st.sampled_from([b"host", b"user-agent", b"traceparent"]), st.binary(max_size=600))))
def test_any_header_bytes_give_attributes_that_can_be_encoded(headers):
    """Whatever bytes a client sends: nothing is raised, and texts are bounded and clean."""
    for value in described(scope(headers=headers)).values():
        text = str(value)
        assert len(text.encode()) <= 4 * _attributes.TEXT_LIMIT
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in text)
