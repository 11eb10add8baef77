"""OTLP over gRPC goes by our own senders: the same ledger, retries and fast path as over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time

import pytest
from engine_samples import Sample, eventually, within

from otel_ml._export.answers import Answer
from otel_ml._export.http_response import BODY_BYTES
from otel_ml._export.ledger import Ledger
from otel_ml._telemetry.engine import OwnEngine
from otel_ml._telemetry.predictions.model_cells import ModelIdentity
from otel_ml.config import Config, ConfigError

pytest.importorskip("grpc")

from otlp_grpc_receiver import GrpcReceiver, GrpcReply  # noqa: E402

from otel_ml._telemetry.delivery._grpc import GrpcTransport  # noqa: E402

RETRYABLE = ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
FINAL = (
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "UNIMPLEMENTED",
    "INTERNAL",
)


@pytest.fixture
def grpc_receiver():
    made = GrpcReceiver()
    yield made
    made.close()


@pytest.fixture
def make_grpc_engine(grpc_receiver, tmp_path):
    engines = []

    def make(**settings) -> OwnEngine:
        settings = {"endpoint": grpc_receiver.url, "protocol": "grpc", "instance_dir": str(tmp_path), **settings}
        engine = OwnEngine(Config(service_name="unit", timeout=5.0, **settings), periodic=False)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.shutdown(time.monotonic() + 2)


@pytest.fixture
def transport(grpc_receiver):
    made = GrpcTransport("traces", Config(endpoint=grpc_receiver.url, protocol="grpc").traces)
    yield made
    made.close()


def test_all_signals_go_by_our_senders(make_grpc_engine, grpc_receiver):
    """Spans, events and metrics arrive, the ledger agrees with the receiver, and nothing takes the SDK path."""
    engine = make_grpc_engine()
    engine.cells(ModelIdentity("m", "1", "primary"))
    with engine.tracer("t").start_as_current_span("s"):
        for number in range(1, 701):
            engine.offer(Sample(number))

    assert engine.flush(within())
    ledger = engine.ledger()
    assert (ledger["traces"], ledger["logs"]) == (Ledger(701, 701), Ledger(700, 700))
    assert {signal: account.delivered for signal, account in ledger.items()} == grpc_receiver.counted()
    assert engine.fast_spans is True
    assert [line for line in engine.notes() if "SDK path" in line] == []


def test_partial_success_is_read(make_grpc_engine, grpc_receiver):
    """What the receiver refuses of an accepted request is counted as rejected."""
    grpc_receiver.script = {
        "traces": [GrpcReply(rejected=3, message="too old")],
        "logs": [GrpcReply(rejected=1)],
        "metrics": [GrpcReply(rejected=2)],
    }
    engine = make_grpc_engine()
    for number in range(10):
        engine.offer(Sample(number))

    assert engine.flush(within()) is False
    ledger = engine.ledger()
    assert (ledger["traces"], ledger["logs"]) == (Ledger(10, 7, 3), Ledger(10, 9, 1))
    assert ledger["metrics"].rejected == 2


@pytest.mark.parametrize("code", RETRYABLE)
def test_the_tables_codes_are_tried_again(transport, grpc_receiver, code):
    """The specification's retryable codes, each followed by a success on the same transport."""
    grpc_receiver.script["traces"] = [GrpcReply(code)]

    assert [transport.post(b"", 5.0) for _ in range(2)] == [Answer("retry", f"gRPC {code}"), Answer("accepted")]


@pytest.mark.parametrize("code", FINAL)
def test_other_codes_are_final(transport, grpc_receiver, code):
    """Every other code is a refusal, also RESOURCE_EXHAUSTED without a word about recovery."""
    grpc_receiver.script["traces"] = [GrpcReply(code)]

    assert transport.post(b"", 5.0) == Answer("rejected", f"gRPC {code}")


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
@pytest.mark.parametrize(("delay", "wait"), [(0.25, 0.25), (0.0, 0.0), (3600.0, 300.0), (-1.0, 0.0)])
def test_a_receiver_that_asks_to_wait_is_asked_again_then(transport, grpc_receiver, code, delay, wait):
    """RetryInfo gives the wait, and makes RESOURCE_EXHAUSTED retryable."""
    grpc_receiver.script["traces"] = [GrpcReply(code, retry_delay=delay)]

    assert transport.post(b"", 5.0) == Answer("retry", f"gRPC {code}", retry_after=wait)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (9 vs. 4)"),
        ("RESOURCE_EXHAUSTED", "gRPC message exceeds maximum size 4: 9"),
        ("OUT_OF_RANGE", "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes"),
    ],
    ids=["Go", "Java", "Rust"],
)
def test_a_request_over_the_limit_is_recognized(transport, grpc_receiver, code, text):
    """gRPC has no code for it; the text of the servers is what counts."""
    grpc_receiver.script["traces"] = [GrpcReply(code, text)]

    assert transport.post(b"", 5.0) == Answer("too_large", f"gRPC {code}")


def test_an_answer_over_the_limit_is_left_alone(transport, grpc_receiver):
    """At most 64 KiB of an answer are read; the request counts as delivered."""
    grpc_receiver.script["traces"] = [GrpcReply(rejected=1, message="x" * BODY_BYTES)]

    assert transport.post(b"", 5.0) == Answer("accepted", "with an answer that is too large to be read")


def test_a_batch_over_the_servers_limit_is_split(make_grpc_engine, grpc_receiver):
    """The server's own 4 MiB: what does not fit in one request comes in several, and nothing is lost."""
    engine = make_grpc_engine()
    logger = engine.logger_provider.get_logger("big")
    for _ in range(70):
        logger.emit(body="x" * 65_000)

    assert engine.flush(within(20))
    assert engine.ledger()["logs"] == Ledger(70, 70)
    assert len(grpc_receiver.logs()) == 70


def test_records_wait_until_the_receiver_takes_them(make_grpc_engine, grpc_receiver):
    """While the receiver says "later" it is asked again and again, and the records stay in the queue."""
    grpc_receiver.script["traces"] = [GrpcReply("UNAVAILABLE", retry_delay=0.05)] * 3
    engine = make_grpc_engine(traces_exporter="otlp", metrics_exporter="none", logs_exporter="none")
    engine.offer(Sample(event_count=0))

    assert engine.flush(within()) is False
    assert engine.ledger()["traces"] == Ledger(1, 0, in_flight=1)
    assert eventually(lambda: engine.ledger()["traces"] == Ledger(1, 1))
    assert grpc_receiver.requests.count("traces") == 4


def test_a_receiver_that_hangs_is_left_at_the_deadline(transport, grpc_receiver):
    """The deadline is hard, and the next request has a connection of its own."""
    grpc_receiver.script["traces"] = [GrpcReply(delay=30)]

    assert [transport.post(b"", 0.2), transport.post(b"", 5.0)] == [
        Answer("retry", "gRPC DEADLINE_EXCEEDED"),
        Answer("accepted"),
    ]


def test_a_connection_that_is_cut_ends_the_request(transport, grpc_receiver):
    """`close` from another thread ends a request, as at the end of a shutdown."""
    import threading

    grpc_receiver.default["traces"] = GrpcReply(delay=30)
    threading.Timer(0.2, transport.close).start()

    assert transport.post(b"", 20.0) == Answer("retry", "gRPC CANCELLED")


def test_a_receiver_that_comes_late_is_found_at_once(transport, grpc_receiver):
    """After several failed connections the first request succeeds once the receiver is up."""
    grpc_receiver.close()
    down = [transport.post(b"", 2.0) for _ in range(4)]
    grpc_receiver.open()

    assert down == [Answer("retry", "gRPC UNAVAILABLE")] * 4
    assert transport.post(b"", 5.0) == Answer("accepted")


def test_headers_and_compression_are_sent(make_grpc_engine, grpc_receiver):
    """Headers are sent as metadata, in lower case."""
    engine = make_grpc_engine(headers={"Authorization": "Bearer t"}, compression="gzip")
    engine.offer(Sample())

    assert engine.flush(within())
    assert {seen["authorization"] for seen in grpc_receiver.metadata} == {"Bearer t"}
    assert engine.ledger()["traces"] == Ledger(1, 1)


def test_what_cannot_be_sent_goes_to_the_spool(make_grpc_engine, grpc_receiver, tmp_path):
    """The spool serves gRPC as it serves HTTP."""
    grpc_receiver.script["traces"] = [GrpcReply("UNAVAILABLE")]
    engine = make_grpc_engine(spool_dir=str(tmp_path / "spool"))
    engine.offer(Sample(event_count=0))
    engine.flush(within())
    deadline = time.monotonic() + 60
    while engine.ledger()["traces"].delivered == 0 and time.monotonic() < deadline:
        time.sleep(0.02)

    assert engine.ledger()["traces"] == Ledger(1, 1)


@pytest.mark.parametrize(
    ("endpoint", "insecure", "plain"),
    [
        ("http://x:1", "false", True),
        ("https://x:1", "true", False),
        ("x:1", "true", True),
        ("x:1", "", False),
    ],
)
def test_the_scheme_decides_about_tls(monkeypatch, endpoint, insecure, plain):
    """Without a scheme OTEL_EXPORTER_OTLP_INSECURE decides, and then it is TLS by default."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", insecure)

    assert (GrpcTransport("traces", Config(endpoint=endpoint, protocol="grpc").traces)._credentials is None) is plain


def test_a_credential_provider_that_is_not_there_is_named(monkeypatch):
    """The variable of the SDK's exporter is honoured, and a wrong name in it fails at once."""
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_GRPC_TRACES_CREDENTIAL_PROVIDER", "none")

    with pytest.raises(ConfigError, match="TRACES_CREDENTIAL_PROVIDER names 'none', which is not installed"):
        GrpcTransport("traces", Config(endpoint="https://x:1", protocol="grpc").traces)


def test_tls_to_a_plain_receiver_is_no_acceptance(grpc_receiver):
    """A wrong scheme shows as unavailable."""
    config = Config(endpoint=grpc_receiver.url.replace("http:", "https:"), protocol="grpc")
    transport = GrpcTransport("traces", config.traces)

    assert transport.post(b"", 2.0) == Answer("retry", "gRPC UNAVAILABLE")
    transport.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_send_and_end(grpc_receiver, tmp_path):
    """Children of a process that sends over gRPC deliver their own records within the limit."""
    program = """
    import json, os, time
    import otel_ml
    from opentelemetry import trace
    telemetry = otel_ml.configure(service_name="fork")
    def work(name):
        with trace.get_tracer("t").start_as_current_span(name):
            pass
    work("parent")
    ends = [telemetry.force_flush(10)]
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            work("child")
            done = telemetry.force_flush(10)
            os._exit(0 if done and telemetry.shutdown(5) else 3)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    work("parent")
    print(json.dumps([ends, telemetry.shutdown(10)]))
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={
            **environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": grpc_receiver.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_ML_INSTANCE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )

    assert json.loads(done.stdout) == [[True, 0, 0, 0, 0, 0], True]
    assert sorted(span.name for span in grpc_receiver.spans()) == ["child"] * 5 + ["parent"] * 2
