"""Cases 1, 2, 6 and 9 over gRPC: the ledger is as complete as over HTTP."""

from __future__ import annotations

import time

import pytest

from otel_ml._export.ledger import Ledger

pytest.importorskip("grpc")

from otlp_grpc_receiver import GrpcReceiver, GrpcReply  # noqa: E402


@pytest.fixture
def grpc_receiver():
    made = GrpcReceiver()
    yield made
    made.close()


@pytest.fixture
def grpc_service(make_service, grpc_receiver):
    """A service whose receiver speaks gRPC."""
    service = make_service(endpoint=grpc_receiver.url, protocol="grpc", timeout=10.0)
    service.receiver = grpc_receiver
    return service


def test_case_01_a_grpc_receiver_that_goes_and_comes(grpc_service, grpc_receiver, figure):
    """Down under load, then up on the same port: nothing is lost, and everything called delivered has arrived."""
    grpc_service.predict(200)
    grpc_service.flush()
    grpc_receiver.close()
    grpc_service.predict(200)
    grpc_service.flush()
    grpc_receiver.open()
    opened = time.monotonic()
    grpc_service.predict(200)
    assert grpc_service.flush()

    assert grpc_service.ledger() == Ledger(600, 600)
    assert grpc_service.balanced()
    figure(1, recovery_s=time.monotonic() - opened, lost=grpc_service.ledger().lost())


@pytest.mark.parametrize(
    "reply", [GrpcReply(delay=60), GrpcReply("UNAVAILABLE", retry_delay=3600)], ids=["hangs", "busy"]
)
def test_case_02_a_grpc_receiver_blocks_nothing(make_service, grpc_receiver, figure, reply):
    """Neither a hanging receiver nor one that asks for an hour's wait blocks a sender or an exit."""
    grpc_service = make_service(endpoint=grpc_receiver.url, protocol="grpc", timeout=0.4)
    grpc_receiver.default = dict.fromkeys(("traces", "logs", "metrics"), reply)
    grpc_service.predict(10)
    began = time.monotonic()
    assert grpc_service.flush(60) is False
    held = time.monotonic() - began
    grpc_service.predict(10)
    exit_seconds = grpc_service.end(0.5)

    assert [one.in_flight for one in grpc_service.telemetry.ledger().values()] == [0, 0, 0]
    assert grpc_service.ledger() == Ledger(20, 0, 0, {"shutdown": 20})
    assert held < 30
    assert exit_seconds < 30
    figure(2, held_s=held, exit_s=exit_seconds)


def test_case_06_a_grpc_server_with_its_default_limit(grpc_service, grpc_receiver):
    """With a limit of 4 MiB batches are split, and only a record over the limit is lost."""
    logger = grpc_service.engine.logger_provider.get_logger("big")
    for _ in range(130):
        logger.emit(body="x" * 65_000)
    logger.emit(body=["x" * 50_000] * 84)
    grpc_service.flush()

    account = grpc_service.ledger("logs")
    assert account == Ledger(131, 130, 0, {"too_large": 1})
    assert grpc_service.balanced()


@pytest.mark.parametrize("how", ["exit", *[pytest.param(how, marks=pytest.mark.slow) for how in ("return", "raise")]])
def test_case_09_an_exit_over_grpc_flushes(run, grpc_receiver, tmp_path, how):
    """A program that exits normally has sent everything and keeps its status."""
    program = run(
        "script.py",
        how,
        OTEL_EXPORTER_OTLP_ENDPOINT=grpc_receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        COUNT=tmp_path / "count",
    )

    assert program.wait() == {"return": 0, "exit": 7, "raise": 1}[how]
    assert grpc_receiver.counted()["traces"] == grpc_receiver.counted()["logs"] == 1000


@pytest.mark.slow
def test_case_09_no_grpc_receiver_holds_an_exit(run, grpc_receiver, tmp_path, figure):
    """With a hanging receiver the program still exits within the five seconds of the shutdown."""
    grpc_receiver.default = dict.fromkeys(("traces", "logs", "metrics"), GrpcReply(delay=60))
    program = run(
        "script.py",
        "return",
        OTEL_EXPORTER_OTLP_ENDPOINT=grpc_receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        COUNT=tmp_path / "count",
    )
    program.wait_for_line("ready")
    began = time.monotonic()
    assert program.wait() == 0
    took = time.monotonic() - began

    assert took < 30
    figure(9, exit_s=took)
