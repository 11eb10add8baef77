"""Connections that send slowly or not at all do not slow others down and are closed."""

from __future__ import annotations

import contextlib
import select
import socket
import time

import pytest
from console_feed import span, traces

HALF_HEADERS = b"GET / HT"
HALF_BODY = (
    b"POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\ncontent-type: application/json\r\n\r\n{"
)
WHOLE = b"GET /api/status HTTP/1.1\r\nhost: localhost\r\n\r\n"


def connect(console, sent):
    """A connection to the console that has sent something."""
    host, _, port = console.address.rpartition("/")[2].partition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(sent)
    return connection


def closed(connections, seconds=20):
    """How many of the connections the console closes in time; answers are discarded."""
    waiting, end = set(connections), time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        for connection in select.select(list(waiting), [], [], 0.2)[0]:
            try:
                is_open = bool(connection.recv(65536))
            except ConnectionResetError:
                is_open = False
            if not is_open:
                waiting.discard(connection)
                connection.close()
    return len(connections) - len(waiting)


def test_half_sent_requests_do_not_block_others(start):
    """With three hundred of them open, pages and exports are answered as usual."""
    console = start()
    connections = [connect(console, sent) for sent in (HALF_HEADERS, HALF_BODY) for _ in range(150)]
    assert [console.send("/api/status").status, console.export(traces(span())).status] == [200, 200]
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(
    "sent", [b"", HALF_HEADERS, WHOLE + HALF_HEADERS, HALF_BODY, HALF_BODY.replace(b"/v1/logs", b"/")]
)
def test_a_request_that_does_not_arrive_is_closed(start, sent):
    """Headers and body each have a deadline, also for a further request on the same connection."""
    console = start(header_seconds=0.3, body_seconds=0.3, idle_seconds=0.3)
    assert closed([connect(console, sent)]) == 1


def test_slow_bytes_do_not_extend_the_deadline(start):
    """A byte now and then does not extend the deadline."""
    console = start(header_seconds=0.5)
    connection = connect(console, HALF_HEADERS)
    with contextlib.suppress(OSError):
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.05)
        pytest.fail("still open after 200 bytes")
    connection.close()


def test_beyond_the_limit_the_longest_waiting_is_closed(start):
    """The newest connection is served; the one that has waited longest for its sender is closed."""
    console = start(max_connections=20)
    connections = [connect(console, HALF_HEADERS) for _ in range(30)]
    assert console.send("/api/status").status == 200
    assert closed(connections[:10], 10) == 10
    assert closed(connections[-5:], 0.5) == 0
    for connection in connections:
        connection.close()


def test_a_connection_in_use_stays(start):
    """A client with many requests on one connection is not closed."""
    console = start(header_seconds=0.4)
    connection = connect(console, b"")
    answers = connection.makefile("rb")
    statuses = []
    for _ in range(6):
        connection.sendall(WHOLE)
        statuses.append(answers.readline().split()[1])
        lengths = [
            int(line.split(b":")[1])
            for line in iter(answers.readline, b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        answers.read(sum(lengths))
        time.sleep(0.1)
    answers.close()
    connection.close()
    assert statuses == [b"200"] * 6
