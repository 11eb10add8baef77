"""The service under real servers, stopped by a signal; telemetry is read back from an OTLP receiver."""

from __future__ import annotations

import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

FOLDER = Path(__file__).with_name("served")
UVICORN = (sys.executable, "-m", "uvicorn", "service:app", "--port", "{port}", "--log-level", "warning")
ZERO_CODE = (
    str(Path(sys.executable).with_name("opentelemetry-instrument")),
    *("--traces_exporter", "otlp", "--metrics_exporter", "otlp", "--logs_exporter", "otlp"),
    *("--service_name", "served"),
)


def get(url):
    return httpx.get(url, trust_env=False)


def together(urls):
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(get, urls))


def server_and_prediction_spans(receiver):
    spans = receiver.spans()
    servers = {span.span_id: span for span in spans if span.kind == Span.SPAN_KIND_SERVER}
    return servers, [span for span in spans if span.name == "predict served"]


def count(points):
    return sum(point.count if hasattr(point, "count") else point.as_int or int(point.as_double) for point in points)


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_nothing_is_lost_when_uvicorn_stops(serve, receiver, attributes_of, parser):
    """After SIGTERM right after the last response every span, event and measurement has arrived, with either parser."""
    served = serve(*UVICORN, "--http", parser, folder=FOLDER, SERVED_MODE="own")
    answers = together(f"{served.url}/predict/{index}?token=secret" for index in range(20))

    assert served.terminate() == -signal.SIGTERM
    servers, predictions = server_and_prediction_spans(receiver)
    assert [(span.name, len(servers)) for span in servers.values()] == [("GET /predict/{x}", 20)] * 20
    assert sorted(attributes_of(span)["url.path"] for span in servers.values()) == sorted(
        f"/predict/{index}" for index in range(20)
    )
    assert {span.parent_span_id for span in predictions} == set(servers)
    ids = sorted(answer.headers["x-prediction-id"] for answer in answers)
    assert sorted(attributes_of(span)["ml.prediction.id"] for span in predictions) == ids
    events = [record for record in receiver.logs() if record.event_name == "ml.prediction"]
    assert sorted(attributes_of(record)["ml.prediction.id"] for record in events) == ids
    lines = [record for record in receiver.logs() if record.body.string_value.startswith("predicting")]
    assert sorted(attributes_of(record)["ml.prediction.id"] for record in lines) == ids
    assert {record.span_id for record in lines} == {span.span_id for span in predictions}
    metrics = receiver.metrics()
    assert (count(metrics["ml.predictions"]), count(metrics["http.server.request.duration"])) == (20, 20)
    assert "secret" not in repr(receiver.spans())


HOSTILE_LINES = (
    b"Host: \xff\\x\\ud800\r\nUser-Agent: \xff\\n\r\n",
    b"Host: a\r\nUser-Agent: \xe4\xf6\xfc \x80\r\ntraceparent: \xff\xfe\r\nbaggage: \xff=\xff\r\n",
    b"Host: a\r\ntraceparent: 00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01\r\ntracestate: ,,,=,\r\n",
    b"Host: a\r\nUser-Agent: " + b"x" * 8_000 + b"\r\n",
)


def exchange(port, target, lines):
    """Sends a request of raw bytes; returns the status of the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
        return int(connection.recv(65536).split(b" ", 2)[1])


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_hostile_bytes_harm_nothing(serve, receiver, attributes_of, parser):
    """With header bytes outside ASCII and a path of percent signs responses are correct and spans can be decoded."""
    served = serve(*UVICORN, "--http", parser, folder=FOLDER, SERVED_MODE="own")
    answers = [
        (exchange(served.port, b"/predict/1?%ff=%00", lines), exchange(served.port, b"/%ff%00%0d%0a%ed%a0%80", lines))
        for lines in HOSTILE_LINES
    ]

    served.terminate()
    assert answers == [(200, 404)] * len(HOSTILE_LINES)
    servers, _ = server_and_prediction_spans(receiver)
    assert sorted(span.name for span in servers.values()) == ["GET"] * 4 + ["GET /predict/{x}"] * 4
    for span in servers.values():
        for value in attributes_of(span).values():
            assert len(str(value)) <= 1024
            assert not any(ord(character) < 32 for character in str(value))
    lines = [line for line in served.output.splitlines() if line.startswith("otel-ml:")]
    assert [line for line in lines if "stay in the process" not in line] == []


def assert_two_instances_lose_nothing(served, receiver):
    """Sends requests until two processes have answered, then compares them with what was received."""
    seen, sent = set(), 0
    while len(seen) < 2 and sent < 2000:
        seen |= {answer.json()["pid"] for answer in together([f"{served.url}/predict/1"] * 20)}
        sent += 20

    served.terminate()
    servers, predictions = server_and_prediction_spans(receiver)
    assert (len(seen), len(servers), len(predictions)) == (2, sent, sent)
    assert len({resource["service.instance.id"] for resource in receiver.span_resources()}) == 2


def test_two_workers_are_two_instances(serve, receiver):
    """Each spawned worker has its own instance id and loses nothing."""
    served = serve(*UVICORN, "--workers", "2", folder=FOLDER, SERVED_MODE="own")
    assert_two_instances_lose_nothing(served, receiver)


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_gunicorn_workers_are_instances_of_their_own(serve, receiver, options):
    """Forked workers lose nothing, even if telemetry was configured before the fork."""
    served = serve(
        *(sys.executable, "-m", "gunicorn", "service:app", "--bind", "127.0.0.1:{port}", "--workers", "2"),
        *("--worker-class", "uvicorn.workers.UvicornWorker", *options),
        folder=FOLDER,
        SERVED_MODE="own",
    )
    assert_two_instances_lose_nothing(served, receiver)


@pytest.mark.parametrize("disabled", ["", "fastapi", "fastapi,logging", "otel_ml_logging"])
def test_zero_code_start(serve, receiver, attributes_of, disabled):
    """Each request has one server span with the prediction below it, and each log line is sent once, with the id."""
    served = serve(
        *ZERO_CODE,
        *UVICORN,
        folder=FOLDER,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled,
        OTEL_SEMCONV_STABILITY_OPT_IN="http",
    )
    answers = together(f"{served.url}/predict/{index}" for index in range(5))

    served.terminate()
    servers, predictions = server_and_prediction_spans(receiver)
    wanted = [span for span in servers.values() if span.name == "GET /predict/{x}"]
    assert (len(wanted), len(predictions)) == (5, 5)
    ids = sorted(answer.headers["x-prediction-id"] for answer in answers)
    assert sorted(attributes_of(span)["ml.prediction.id"] for span in predictions) == ids
    by_id = {span.span_id: span for span in receiver.spans()}
    for span in predictions:
        path = [span]
        while path[-1].parent_span_id in by_id:
            path.append(by_id[path[-1].parent_span_id])
        assert [step.kind for step in path].count(Span.SPAN_KIND_SERVER) == 1
    lines = [record for record in receiver.logs() if record.body.string_value.startswith("predicting")]
    assert len(lines) == 5
    if disabled != "otel_ml_logging":
        assert sorted(attributes_of(record)["ml.prediction.id"] for record in lines) == ids
    assert {record.trace_id for record in lines} == {span.trace_id for span in predictions}
    assert "Traceback" not in served.output
