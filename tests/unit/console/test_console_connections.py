"""Connections that send slowly or not at all do not slow others down and are closed."""

from __future__ import annotations

import contextlib
import select
import socket
import time

import pytest
from console_feed import logs, prediction, span, traces

HALF_HEADERS = b"GET / HT"
HALF_BODY = (
    b"POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\ncontent-type: application/json\r\n\r\n{"
)
WHOLE = b"GET /api/status HTTP/1.1\r\nhost: localhost\r\n\r\n"


def connect(console, sent):
    """A connection to the console that has sent something."""
    host, _, port = console.address.rpartition("/")[2].partition(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    connection.sendall(sent)
    return connection


def closed(connections, seconds=60):
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
    console = start(max_connections=20, header_seconds=240.0)
    connections = [connect(console, HALF_HEADERS) for _ in range(30)]
    assert console.send("/api/status").status == 200
    assert closed(connections[:10]) == 10
    assert closed(connections[-5:], 0.5) == 0
    for connection in connections:
        connection.close()


def test_a_connection_in_use_stays(start):
    """A client with many requests on one connection is not closed."""
    console = start(header_seconds=2.0)
    connection = connect(console, b"")
    answers = connection.makefile("rb")
    statuses = []
    end = time.monotonic() + 3.0
    while time.monotonic() < end:
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
    assert set(statuses) == {b"200"}


CHUNKED = b"%b HTTP/1.1\r\nhost: localhost\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
BROKEN = b"zz\r\n{}\r\n"


def statuses(connection):
    """The status of each answer until the console closes the connection."""
    with connection, connection.makefile("rb") as answers:
        return [line.split()[1] for line in answers if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize(
    ("line", "kind", "status"),
    [
        (b"POST /v1/traces", b"application/json", b"400"),
        (b"POST /v1/traces", b"text/plain", b"415"),
        (b"POST /login", b"text/plain", b"404"),
        (b"GET /api/status", b"text/plain", b"200"),
    ],
)
def test_a_broken_chunk_is_answered_once(console, caplog, line, kind, status):
    """Before or after the answer, it ends the connection without an error in the log; the next one is served."""
    head = CHUNKED % (line, kind)
    assert statuses(connect(console, head + BROKEN)) == [b"400"]
    connection = connect(console, head)
    if status != b"400":
        assert connection.recv(12) == b"HTTP/1.1 " + status
    connection.sendall(BROKEN)
    assert statuses(connection) == ([b"400"] if status == b"400" else [])
    assert console.send("/api/status").status == 200
    assert not caplog.records


def test_an_answer_on_its_way_is_not_cut_off(console, caplog):
    """A file that is being read arrives to its end, although the rest of the request is broken."""
    wide = {f"feature_{number}": "x" * 15_000 for number in range(4)}
    for first in range(0, 200, 20):
        console.feed(logs(*(prediction(f"p-{first + number}", features=wide) for number in range(20))))
    connection = connect(console, b"")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
    connection.sendall(CHUNKED % (b"GET /api/export/predictions?format=json", b"text/plain"))
    assert connection.recv(12) == b"HTTP/1.1 200"
    connection.sendall(BROKEN)
    with connection, connection.makefile("rb") as answer:
        whole = answer.read()
    assert len(whole) > 10_000_000
    assert whole.endswith(b"\r\n0\r\n\r\n")
    assert not caplog.records
