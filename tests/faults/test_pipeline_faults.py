"""Case 18: what happens to data between the Collector and its back ends, in the real Collector on the shipped configuration.

A sender that gets no 200 still has its data, so only accepted items can be lost. Each test prints one row of the table in
collector/README.md.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / part) for part in ("deploy/local", "tests/pipeline")]

import built_servers  # noqa: E402  (found by the line above)
from pipeline_servers import (  # noqa: E402
    collector_environment,
    eventually,
    otlp_backend,
    post,
    running_collector,
)

PER_REQUEST = 100


def request(number, size=100):
    """Returns log records with bodies of their own."""
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    attribute = resource.resource.attributes.add(key="service.name")
    attribute.value.string_value = "api"
    scope = resource.scope_logs.add()
    for each in range(PER_REQUEST):
        record = scope.log_records.add(time_unix_nano=time.time_ns())
        record.body.string_value = f"{number}-{each} ".ljust(size, "x")
    return message


class Sender:
    """Sends one request after the other, as an SDK does: what was not accepted is sent again or given up."""

    def __init__(self, size=100):
        self.size = size
        self.accepted = []
        self.refused = 0

    def send(self, address, number):
        body = request(number, self.size).SerializeToString()
        try:
            status = post(f"{address}/v1/logs", body, "application/x-protobuf")
        except OSError:
            status = 0
        if status == 200:
            self.accepted += [f"{number}-{each}" for each in range(PER_REQUEST)]
        else:
            self.refused += PER_REQUEST
        return status


def delivered(backend):
    return Counter(
        record.body.string_value.split(" ")[0]
        for message in list(backend.received("/v1/logs"))
        for resource in message.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


def outcome(sender, backend, figure, mode):
    """Waits until everything accepted has arrived or nothing more comes; returns lost and duplicated items."""
    last, quiet = -1, time.monotonic()
    while set(sender.accepted) - set(delivered(backend)) and time.monotonic() - quiet < 40:
        arrived = len(backend.requests)
        if arrived != last:
            last, quiet = arrived, time.monotonic()
        time.sleep(0.2)
    found = delivered(backend)
    lost = len(set(sender.accepted) - set(found))
    again = sum(count - 1 for count in found.values())
    figure(18, mode=mode, sent=len(sender.accepted) + sender.refused, lost=lost, duplicated=again)
    print(
        f"| {mode} | {len(sender.accepted) + sender.refused:,} | {len(sender.accepted):,} | {sender.refused:,} | {lost} | {again} |"
    )
    return lost, again


@pytest.fixture(scope="module")
def otelcol():
    return built_servers.binary("collector")


@pytest.fixture
def backend():
    with otlp_backend() as recording:
        yield recording


@pytest.mark.slow
def test_case_18_back_end_away_for_an_hour(otelcol, backend, tmp_path, figure):
    """An hour of requests, one each ten seconds of ten services, waits on disk and arrives once."""
    sender = Sender()
    backend.status = 503
    with running_collector(otelcol, collector_environment(backend.address, tmp_path), tmp_path) as running:
        for number in range(1000):
            sender.send(running.address, number)
        backend.status = 200
        assert outcome(sender, backend, figure, "back end away for an hour, in compressed time") == (0, 0)
    assert sender.refused == 0


@pytest.mark.slow
def test_case_18_killed_under_load(otelcol, backend, tmp_path, figure):
    """Ten SIGKILLs under load lose nothing that was accepted; what was being sent may arrive twice."""
    environment = collector_environment(backend.address, tmp_path)
    address = f"http://127.0.0.1:{environment['OTELCOL_HTTP_PORT']}"
    sender, done = Sender(), threading.Event()

    def load():
        number = 0
        while not done.is_set():
            sender.send(address, number)
            number += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for _ in range(10):
            with running_collector(otelcol, environment, tmp_path) as running:
                time.sleep(1)
                running.stop(signal.SIGKILL)
    finally:
        done.set()
        thread.join()
    with running_collector(otelcol, environment, tmp_path):
        lost, again = outcome(sender, backend, figure, "ten SIGKILLs under load")
    assert lost == 0
    assert again <= 10 * 4 * PER_REQUEST


@pytest.mark.slow
def test_case_18_queue_at_its_limit(otelcol, backend, tmp_path, figure):
    """A queue that is full refuses: the sender keeps its data, and what was accepted arrives."""
    sender = Sender()
    backend.status = 503
    with running_collector(otelcol, collector_environment(backend.address, tmp_path), tmp_path) as running:
        for number in range(2200):
            sender.send(running.address, number)
        backend.status = 200
        assert outcome(sender, backend, figure, "queue at its limit of 200,000 items") == (0, 0)
    assert sender.refused > 0


@pytest.mark.slow
def test_case_18_disk_full(otelcol, backend, tmp_path, figure):
    """A disk without space refuses: the sender keeps its data, and what was accepted arrives."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=24m tmpfs {disk}"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "sh", "-c", mount]).returncode:
        pytest.skip("needs the right to mount")
    environment = collector_environment(backend.address, tmp_path) | {"OTELCOL_QUEUE_DIR": str(disk)}
    script = tmp_path / "run.sh"
    script.write_text(f'#!/bin/sh\nexec unshare -m sh -c \'{mount} && exec "$0" "$@"\' {otelcol} "$@"\n')
    script.chmod(0o700)
    sender = Sender(size=2000)
    backend.status = 503
    with running_collector(script, environment, tmp_path) as running:
        for number in range(300):
            sender.send(running.address, number)
        backend.status = 200
        assert outcome(sender, backend, figure, "disk full") == (0, 0)
    assert sender.refused > 0


@pytest.mark.slow
def test_case_18_damaged_queue_file(otelcol, backend, tmp_path, figure):
    """What waits in a damaged queue file is set aside, and nothing else is lost."""
    environment = collector_environment(backend.address, tmp_path)
    waiting, later = Sender(), Sender()
    backend.status = 503
    with running_collector(otelcol, environment, tmp_path) as running:
        for number in range(100):
            waiting.send(running.address, number)
        running.stop(signal.SIGKILL)
    file = tmp_path / "queue" / "exporter_otlp_http_logs_logs"
    with file.open("r+b") as opened:
        for page in range(2, file.stat().st_size // 4096, 3):
            opened.seek(page * 4096)
            opened.write(b"\xee" * 16)
    backend.status = 200
    with running_collector(otelcol, environment, tmp_path) as running:
        for number in range(100, 200):
            later.send(running.address, number)
        assert outcome(later, backend, figure, "after a start with a damaged queue file") == (0, 0)
    assert len(list(file.parent.glob(f"{file.name}.*.backup"))) == 1
    assert not set(waiting.accepted) & set(delivered(backend))
    assert waiting.refused == 0


@pytest.mark.slow
def test_case_18_memory_limit(otelcol, backend, tmp_path, figure):
    """At its memory limit the Collector refuses; what it accepted arrives."""
    environment = collector_environment(
        backend.address, tmp_path, OTELCOL_MEMORY_MIB="70", OTELCOL_MEMORY_SPIKE_MIB="20"
    )
    sender = Sender(size=40_000)
    with running_collector(otelcol, environment, tmp_path) as running:
        threads = [
            threading.Thread(target=lambda k=k: [sender.send(running.address, k * 100 + n) for n in range(25)])
            for k in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcome(sender, backend, figure, "memory limit") == (0, 0)
    assert sender.refused > 0


@pytest.mark.slow
def test_case_18_bad_sender(otelcol, backend, tmp_path, figure):
    """Beside a sender whose every request the back end refuses for good, another one loses nothing."""
    sender, bad = Sender(), Sender()
    backend.poison = b"poison"
    with running_collector(otelcol, collector_environment(backend.address, tmp_path), tmp_path) as running:
        for number in range(300):
            sender.send(running.address, number)
            bad.send(running.address, "poison")
        assert outcome(sender, backend, figure, "beside a sender whose every request is refused with 400") == (0, 0)
        eventually(lambda: backend.refused == 300)
