"""OTLP over gRPC: the same answers as over HTTP, and a port that is taken.

Sources: open-telemetry/opentelemetry-collector-contrib#27822 and open-telemetry/opentelemetry-collector#8090 (a port that is taken).
"""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from console_feed import Client, batch, counter, label, logs, metrics, prediction, span, traces
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from test_console_command import COMMAND, finish, start

from otel_ml.console._options import Options
from otel_ml.console.receiving._ingest_queue import IngestQueue
from otel_ml.console.receiving._otlp_grpc import _SERVICES, GrpcReceiver
from otel_ml.console.storage._store import Database


@pytest.fixture
def receive() -> Iterator[Callable[..., tuple[Callable[..., bytes], IngestQueue]]]:
    """A receiver on a free port; returns a function that sends, and the queue."""
    opened = []

    def started(*, write: bool = True, **options):
        chosen = Options(grpc_port=0, **options)
        store = Database.open(chosen)
        ingest = IngestQueue(store, chosen)
        if write:
            ingest.start()
        receiver = GrpcReceiver(ingest, chosen)
        channel = grpc.insecure_channel(receiver.start())

        def send(signal: str, body: bytes, **more: object) -> bytes:
            return channel.unary_unary(f"/{_SERVICES[signal]}/Export")(body, timeout=60, **more)

        opened.append((channel, receiver, ingest, store))
        return send, ingest

    yield started
    for channel, receiver, ingest, store in opened:
        channel.close()
        receiver.stop()
        ingest.close()
        store.close()


def test_the_three_signals_are_stored(receive):
    """Spans, logs and metrics are queued as over HTTP, compressed too, and what breaks the protocol is counted."""
    send, ingest = receive()
    bad = span()
    bad.trace_id = b""
    answer = send("traces", traces(span(), bad).SerializeToString(), compression=grpc.Compression.Gzip)
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 1
    assert send("logs", logs(prediction(), label(), batch()).SerializeToString()) == b""
    assert send("metrics", metrics(counter(1)).SerializeToString()) == b""
    assert ingest.flush(240)
    assert ingest.status()["rows"] == {"spans": 1, "logs": 0, "predictions": 2, "labels": 1, "points": 1}


@pytest.mark.parametrize(
    ("signal", "body", "options", "code", "said"),
    [
        ("traces", b"\xff\xff", {}, grpc.StatusCode.INVALID_ARGUMENT, "not a valid protobuf"),
        ("logs", gzip.compress(b"plain", mtime=0), {}, grpc.StatusCode.INVALID_ARGUMENT, "not a valid protobuf"),
        (
            "traces",
            traces(span(start=1)).SerializeToString(),
            {"max_pending_bytes": 10},
            grpc.StatusCode.UNAVAILABLE,
            "memory",
        ),
        (
            "traces",
            traces(span(start=1)).SerializeToString(),
            {"max_request_records": 1},
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "records",
        ),
        ("traces", bytes(2000), {"max_request_bytes": 1000}, grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
def test_a_refused_request_says_whether_it_may_come_again(receive, signal, body, options, code, said):
    """What would fail again has another code than what may be sent again later."""
    send, ingest = receive(**options)
    with pytest.raises(grpc.RpcError) as refused:
        send(signal, body)
    assert (refused.value.code(), said in refused.value.details()) == (code, True)
    assert ingest._pending_bytes == 0


def test_a_full_queue_is_unavailable(receive):
    """A request that the queue cannot take is counted as busy, and an exporter tries it again."""
    send, ingest = receive(write=False, max_pending_records=1)
    waiting = threading.Thread(target=send, args=("traces", traces(span()).SerializeToString()))
    waiting.start()
    while not ingest.status()["queued"]:
        time.sleep(0.01)
    with pytest.raises(grpc.RpcError) as refused:
        send("traces", traces(span(own="aa" * 8)).SerializeToString())
    ingest.start()
    waiting.join()
    assert (refused.value.code(), ingest.status()["busy"]) == (grpc.StatusCode.UNAVAILABLE, 1)


def test_the_exporter_of_the_sdk_reaches_a_console(tmp_path):
    """What OpenTelemetry's own gRPC exporter delivers is in the API, and a signal ends both receivers."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    process, ready = start("--database", str(tmp_path / "c.duckdb"), "--grpc-port", "0")
    exporter = OTLPSpanExporter(endpoint=f"http://{ready['grpc']}", insecure=True, timeout=240)
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("checkout"):
        pass
    provider.shutdown()
    client = Client(ready["address"])
    while client.get("/api/status")["queued"]:
        pass
    assert [row["name"] for row in client.get("/api/requests")["requests"]] == ["checkout"]
    assert finish(process) == (0, "", "")


def test_a_port_in_use_is_one_line():
    """A port of gRPC that is taken ends the start with one line and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "console", "--port", "0", "--database", ":memory:", "--grpc-port", str(port)],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"otel-ml console: 127.0.0.1:{port}: Address already in use; choose another --grpc-port (or off)\n"
    )


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_what_was_acknowledged_survives_a_kill(tmp_path, protocol):
    """Records whose request was answered are in the file after SIGKILL, and a new console has them."""
    database = str(tmp_path / "c.duckdb")
    process, ready = start("--database", database, "--grpc-port", "0")
    messages = [logs(*(prediction(f"p-{index}-{row}") for row in range(20))) for index in range(5)]
    if protocol == "http":
        for message in messages:
            assert Client(ready["address"]).export(message).status == 200
    else:
        with grpc.insecure_channel(ready["grpc"]) as channel:
            export = channel.unary_unary(f"/{_SERVICES['logs']}/Export")
            for message in messages:
                export(message.SerializeToString(), timeout=240)
    process.kill()
    process.communicate()
    again, ready = start("--database", database)
    assert Client(ready["address"]).get("/api/summary")["events"] == 100
    assert finish(again)[0] == 0
