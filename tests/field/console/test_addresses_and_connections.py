"""How senders reach the console: names of this machine, keep-alive."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys

import grpc
import pytest
from console_feed import PROTOBUF, Client, span, traces

SETTINGS, PING, GOAWAY = 4, 6, 7
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def ipv6() -> bool:
    """Whether this machine has ::1."""
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """The addresses of a console of its own process."""
    command = [sys.executable, "-m", "otel_ml", "console", "--port", "0", "--grpc-port", "0", "--json"]
    command += ["--database", str(tmp_path_factory.mktemp("console") / "console.duckdb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield json.loads(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=240)


@pytest.mark.skipif(not ipv6(), reason="this machine has no ::1")
def test_localhost_is_the_console_over_ipv6_too(started):
    """Node.js and Windows look for localhost at ::1 first (open-telemetry/opentelemetry.io#2089, python/cpython#106130)."""
    port = started["address"].rpartition(":")[2]
    body = traces(span("over ipv6", own="e6" * 8)).SerializeToString()
    assert Client(f"http://[::1]:{port}").send("/v1/traces", body, content_type=PROTOBUF).status == 200
    with grpc.insecure_channel(f"[::1]:{started['grpc'].rpartition(':')[2]}") as channel:
        assert channel.unary_unary(EXPORT)(b"") == b""
    assert Client(started["address"]).get("/api/status")["stored"] == 1


def frame(kind, payload=b"", flags=0):
    """A frame of HTTP/2 on the connection itself."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + bytes(4) + payload


def test_a_client_that_asks_often_is_not_cut_off(started):
    """Pings of keep-alive do not end a connection; the default allows one in five minutes (llm-d/llm-d-kv-cache#359)."""
    host, _, port = started["grpc"].rpartition(":")
    answered = []
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        reader = connection.makefile("rb")
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS) + frame(SETTINGS, flags=1))
        while answered.count(PING) < 10 and GOAWAY not in answered:
            connection.sendall(frame(PING, bytes(8)))
            answered.append(0)
            while answered[-1] not in {PING, GOAWAY}:
                head = reader.read(9)
                reader.read(int.from_bytes(head[:3], "big"))
                answered.append(head[3])
        reader.close()
    assert GOAWAY not in answered
