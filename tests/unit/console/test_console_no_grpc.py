"""A sender by gRPC that has the port of OTLP/HTTP.

Sources: open-telemetry/opentelemetry-collector#7811, open-telemetry/opentelemetry-js#4166, grpc/grpc-go#6826.
"""

from __future__ import annotations

import contextlib
import socket

import grpc
import pytest

from otel_ml.console.receiving._no_grpc import BEGIN, NoGrpc
from otel_ml.console.receiving._otlp_grpc import _SERVICES

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, ACKNOWLEDGED = b"\x00\x00\x00\x04\x00" + bytes(4), b"\x00\x00\x00\x04\x01" + bytes(4)
CALL = b"\x00\x00\x02\x01\x04\x00\x00\x00\x01ab"


def test_a_call_is_told_which_protocol_the_port_has(console):
    """The client's error says what to change instead of that it cannot parse HTTP/2; HTTP goes on beside it."""
    with grpc.insecure_channel(console.address.removeprefix("http://")) as channel:
        export = channel.unary_unary(f"/{_SERVICES['traces']}/Export")
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as refused:
                export(b"x" * 200_000, timeout=60)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert refused.value.details() == (
                "this port receives OTLP over HTTP (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)"
            )
        assert console.send("/healthz").status == 200


def test_a_connection_without_a_call_is_closed(start):
    """One that only begins HTTP/2 ends with the time for headers."""
    console = start(header_seconds=0.2)
    host, port = console.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(PREFACE + SETTINGS)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(100):
                received += part
    assert received == SETTINGS + ACKNOWLEDGED


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_frames_may_come_in_any_parts(size):
    """The answer does not depend on how the bytes are cut: settings, their acknowledgement, one status, one farewell."""
    one = NoGrpc(4317)
    sent = PREFACE + SETTINGS + ACKNOWLEDGED + b"\x00\x00\x04\x08\x00" + bytes(8) + CALL + CALL
    answer = b"".join(one.receive(sent[at : at + size]) for at in range(0, len(sent), size))
    assert answer.startswith(SETTINGS + ACKNOWLEDGED)
    assert answer.count(b"OTLP/gRPC is received at port 4317") == 1
    assert answer.endswith(b"\x00\x00\x08\x07\x00" + bytes(4) + b"\x00\x00\x00\x01" + bytes(4))


def test_a_connection_that_never_calls_takes_no_memory():
    """Beyond 64 KiB nothing is kept and nothing answered."""
    one = NoGrpc(None)
    assert one.receive(BEGIN + b"x" * 100_000) == SETTINGS
    answers = {one.receive(SETTINGS * 10_000) for _ in range(100)}
    assert answers == {b""}
    assert len(one._received) < 200_000
