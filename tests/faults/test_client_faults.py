"""Cases 20 to 23: what hostile clients can send to a service, under both HTTP parsers."""

from __future__ import annotations

import random
import re
import socket
import sys
import time

import httpx
import psutil
import pytest
from reserved_ports import free_port

SERVER = (sys.executable, "-m", "uvicorn", "asgi:app", "--log-level", "error", "--port")
WITHOUT = {"PLAIN": "1", "OTEL_SDK_DISABLED": "true"}
"""The same service, without telemetry."""
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")


@pytest.fixture
def serve(run):
    """Starts the service once per environment, in parallel; returns ports and programs."""

    def start(parser="h11", *environments):
        started = []
        for environment in environments or ({},):
            port = free_port()
            started.append((port, run(*SERVER, port, "--http", parser, **environment)))
        for port, program in started:
            wait_for(port, program)
        return started if len(started) > 1 else started[0]

    return start


def wait_for(port, program):
    for _ in range(600):
        try:
            if exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n") == 200:
                return
        except OSError:
            assert program.is_running(), program.output
            time.sleep(0.05)


def exchange(port, head, body=b""):
    """Sends raw bytes; returns the status of the answer, or 0 if the server closes without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        try:
            connection.sendall(head + b"Connection: close\r\n\r\n" + body)
            answer = connection.recv(65536)
        except ConnectionError:
            return 0
        return int(answer.split(b" ", 2)[1]) if answer else 0


def get(target=b"/predict", *lines, host=b"Host: a"):
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", host, *lines]) + b"\r\n"


VALUES = [
    b"\xff\\x",
    b"\xff\\ud800",
    b"\xff\\n",
    b"\xff\\x00",
    b"\xe4\xf6\xfc",
    b"\x80\x81",
    b"x" * 8_000,
    b"",
    b"\\",
    b"%00",
]
VALUES += [
    b"\xed\xa0\x80",
    b"a\tb",
    b"\x1b[31m",
    b"{}",
    b"'\"",
    b"\xf0\x9f\x98\x80",
    b"," * 500,
    b"=" * 500,
    b";" * 500,
]
NAMES = [
    b"User-Agent",
    b"X-Forwarded-For",
    b"traceparent",
    b"tracestate",
    b"baggage",
    b"Cookie",
    b"Referer",
    b"x-prediction-id",
]
REQUESTS = [get(b"/predict", name + b": " + value) for name in NAMES for value in VALUES]
REQUESTS += [get(b"/predict", host=b"Host: " + value) for value in VALUES]
REQUESTS += [
    get(b"/predict?" + value) for value in (b"\xff", b"%ff=%00", b"%ed%a0%80", b"a" * 7_000, b"%", b"&&&&", b"=")
]
REQUESTS += [
    get(b"/" + value) for value in (b"\xff", b"%ff%00", b"%0d%0aX: y", b"%1b[31m", b"..%2f..", b"a" * 7_000, b"%u")
]
REQUESTS += [
    get(b"/predict", b"Host: b"),
    get(b"*"),
    get(b"http://other/predict"),
    b"GARBAGE /predict HTTP/1.1\r\nHost: a\r\n",
]
REQUESTS += [get(b"/predict", *[b"User-Agent: %d" % n for n in range(50)]), b"GET /predict HTTP/1.0\r\n"]


def texts(receiver):
    """Every text of every signal."""
    for span in receiver.spans():
        yield span.name
        yield from (pair.value.string_value for pair in span.attributes)
    for record in receiver.logs():
        yield from (pair.value.string_value for pair in record.attributes)
    for points in receiver.metrics().values():
        for point in points:
            yield from (pair.value.string_value for pair in point.attributes)


@pytest.mark.parametrize("parser", ["h11", pytest.param("httptools", marks=pytest.mark.slow)])
def test_case_20_headers_and_targets(serve, receiver, figure, parser):
    """Each answer has the same status as without telemetry; the scrape page parses; no signal has a control character."""
    from prometheus_client.parser import text_string_to_metric_families

    page = free_port()
    (plain, _), (port, program) = serve(parser, WITHOUT, {"OTEL_ML_PROMETHEUS_PORT": page})
    expected = [exchange(plain, request) for request in REQUESTS]
    seen = [exchange(port, request) for request in REQUESTS]
    families = list(text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{page}/metrics", trust_env=False).text))
    program.send(15)
    program.wait()

    changed = [request for request, a, b in zip(REQUESTS, expected, seen, strict=True) if a != b]
    assert changed == []
    assert any(family.name.startswith("http_server_request_duration") for family in families)
    assert [text for text in texts(receiver) if CONTROLS.search(text)] == []
    assert len(receiver.spans()) > 100
    assert "Traceback" not in program.output
    figure(20, parser=parser, requests=len(REQUESTS), status_changes=len(changed))


def traceparent(dice, flags="01", trace=None):
    return f"traceparent: 00-{trace or f'{dice.getrandbits(128):032x}'}-{dice.getrandbits(64):016x}-{flags}".encode()


@pytest.mark.parametrize("parser", [pytest.param("h11", marks=pytest.mark.slow), "httptools"])
def test_case_21_forced_sampling_and_foreign_context(serve, receiver, figure, parser):
    """Forced flags meet a budget, a caller's baggage is dropped, malformed context has no effect and logs nothing."""
    dice = random.Random(1)
    port, program = serve(parser, {"OTEL_ML_REMOTE_TRACES_PER_SECOND": "5"})
    began, sent, sent_bytes = time.monotonic(), 0, 0
    one = f"{dice.getrandbits(128):032x}"
    baggage = b"baggage: " + b",".join(b"k%d=%s" % (n, b"v" * 300) for n in range(25))
    for number in range(300):
        lines = [traceparent(dice, trace=one if number % 2 else None), baggage, baggage]
        head = get(b"/predict", *lines)
        sent_bytes += len(head)
        assert exchange(port, head) == 200
        sent += 1
    took = time.monotonic() - began
    valid = traceparent(dice)
    for _ in range(200):
        broken = bytearray(valid)
        for _ in range(dice.randrange(1, 4)):
            broken[dice.randrange(13, len(broken))] = dice.choice(b"0123456789abcdefgXYZ -_,;=\xff")
        assert exchange(port, get(b"/healthz", bytes(broken), b"tracestate: " + bytes(broken[13:]))) == 200
    program.send(15)
    program.wait()

    traces = [span for span in receiver.spans() if span.name == "GET /predict"]
    assert 0 < len(traces) <= 5 * (took + 1) + 1
    duration = receiver.metrics()["http.server.request.duration"]
    routes = {
        p.value.string_value: point.count for point in duration for p in point.attributes if p.key == "http.route"
    }
    assert routes["/predict"] == sent
    assert b"v" * 300 not in receiver.everything()
    assert len(program.output) < 2_000
    figure(
        21,
        parser=parser,
        sampled=len(traces),
        allowed=5 * (took + 1),
        budget_per_s=5,
        log_bytes_per_attack_byte=len(program.output) / sent_bytes,
    )


CANARY = "canary-5f3a"


def test_case_22_secrets_do_not_leave(serve, receiver, figure):
    """Nothing from query, headers, cookies, bodies, environment, arguments or baggage is in any signal."""
    port, program = serve(
        "h11",
        {"SECRET": f"{CANARY}-environment", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=t"},
    )
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(trust_env=False, headers={"connection": "close"}) as client:
        headers = {"authorization": f"Bearer {CANARY}", "x-api-key": CANARY, "baggage": f"user={CANARY}"}
        headers |= {"user-agent": "good", "referer": f"http://other/?token={CANARY}", "cookie": f"session={CANARY}"}
        for channel in ("api_key", "token", "email", "q"):
            client.get(f"{url}/predict?{channel}={CANARY}", headers=headers)
        client.post(f"{url}/echo", json={"password": CANARY}, headers=headers)
        client.post(f"{url}/echo", data={"password": CANARY}, headers=headers)
        client.post(f"{url}/echo?x={CANARY}", content=CANARY * 100)
        client.get(f"{url}/fails?secret={CANARY}")
        client.get(f"http://{CANARY}:x@127.0.0.1:{port}/predict#{CANARY}")
    program.send(15)
    program.wait()

    assert len(receiver.spans()) >= 9
    assert CANARY.encode() not in receiver.everything()
    figure(22, canaries=17, leaked=receiver.everything().count(CANARY.encode()))


def upload(client, url, program, megabytes):
    """Sends this many bytes; returns the answer and the growth of the server in MiB."""
    client.get(f"{url}/healthz")
    client.post(f"{url}/echo", content=bytes(1000))
    before = psutil.Process(program.pid).memory_info().rss
    answer = client.post(f"{url}/echo", content=(bytes(2**20) for _ in range(megabytes))).json()
    for _ in range(20):
        client.get(f"{url}/healthz")
    return answer, (psutil.Process(program.pid).memory_info().rss - before) / 2**20


@pytest.mark.parametrize("megabytes", [20, pytest.param(1024, marks=pytest.mark.slow)])
def test_case_23_bodies_pass_untouched(serve, receiver, figure, megabytes):
    """A large upload, a handler that reads twice, a stream and a client that disconnects behave as without telemetry."""
    (port, program), (plain_port, plain) = serve("httptools", {}, WITHOUT)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(trust_env=False, timeout=120) as client:
        small = client.post(f"{url}/echo", content=bytes(range(256)) * 4).json()
        size = megabytes * 2**20
        large, growth = upload(client, url, program, megabytes)
        bomb = client.post(f"{url}/echo", content=b"\x1f\x8b" + bytes(100), headers={"content-encoding": "gzip"}).json()
        streamed = client.get(f"{url}/stream").text
        form = client.post(f"{url}/echo", files={"file": bytes(1000)}).json()["bytes"]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
    assert exchange(port, get(b"/predict")) == 200
    program.send(15)
    program.wait()

    assert small == {"bytes": 1024, "same": True, "sum": sum((bytes(range(256)) * 4)[:1000])}
    assert large == {"bytes": size, "same": True, "sum": 0}
    assert bomb["bytes"] == 102
    assert streamed == "".join(f"{number}\n" for number in range(20))
    assert form > 1000
    names = [span.name for span in receiver.spans()]
    assert names.count("GET /stream") == 1
    assert not [name for name in names if "http send" in name or "http receive" in name]
    with httpx.Client(trust_env=False, timeout=120) as client:
        _, without = upload(client, f"http://127.0.0.1:{plain_port}", plain, megabytes)
    assert growth - without < 16
    figure(23, upload_mib=megabytes, growth_mib=max(0.0, growth - without))
