"""Queue files that a power cut, a full disk or a person has damaged: the Collector starts without them, and says so.

Sources: open-telemetry/opentelemetry-collector-contrib#35899, #36840, #49735, #48565; etcd-io/bbolt#705, #1011;
SumoLogic/sumologic-kubernetes-collection#3206.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_servers import Backend, Collector, collector_environment, eventually, otlp_backend, running_collector

PAGE = os.sysconf("SC_PAGE_SIZE")
LOGS, TRACES, METRICS = (f"exporter_otlp_http_{signal}_{signal}" for signal in ("logs", "traces", "metrics"))
REQUESTS = 30


def log(number: int) -> ExportLogsServiceRequest:
    """Returns a log record of a page or less, so that the queue has pages of every kind."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    record.body.string_value = f"queued-{number} ".ljust(3 * PAGE if number % 3 else PAGE // 8, "x")
    return request


def span(number: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    one = request.resource_spans.add().scope_spans.add().spans.add(trace_id=bytes([number + 1] * 16))
    one.span_id, one.name = bytes([number + 1] * 8), f"queued-{number} ".ljust(PAGE // 4, "x")
    one.start_time_unix_nano = one.end_time_unix_nano = time.time_ns()
    return request


def point(number: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=f"queued-{number}")
    metric.gauge.data_points.add(as_int=number, time_unix_nano=time.time_ns())
    return request


def arrived(backend: Backend, path: str) -> int:
    """Returns how many requests have arrived, without the Collector's own metrics."""
    return sum(b"queued-" in message.SerializeToString() for message in backend.received(path))


def overwritten(file: Path, offset: int, data: bytes, step: int = 0) -> None:
    """Writes data at the offset of one page, or of each page after it that is a step away."""
    size = file.stat().st_size
    with file.open("r+b") as opened:
        for position in range(offset, size, step or size):
            opened.seek(position)
            opened.write(data)


def items(file: Path) -> int:
    """Returns how many items a file holds, in pages in use or free."""
    return file.read_bytes().count(b"queued-") if file.is_file() else 0


def lengthened(file: Path) -> None:
    """Makes the first value of each page with data longer than the file; `default` is the name of the table itself."""
    for page in range(2, file.stat().st_size // PAGE):
        start = file.read_bytes()[page * PAGE : (page + 1) * PAGE]
        if start[8:10] == b"\x02\x00" and b"default" not in start:
            overwritten(file, page * PAGE + 28, b"\xff\xff\xff\x0e")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "the heads of pages are overwritten": lambda file: overwritten(file, 0, b"\xee" * 16, 3 * PAGE),
    "the heads of pages of data are overwritten": lambda file: overwritten(file, 2 * PAGE, b"\xee" * 16, PAGE),
    "keys are outside of the file": lambda file: overwritten(file, 2 * PAGE + 20, b"\xff\xff\xff\x7f", PAGE),
    "pages go on beyond the file": lambda file: overwritten(file, 2 * PAGE + 12, b"\xff" * 4, PAGE),
    "a database of another kind": lambda file: file.write_bytes(b"SQLite format 3\0".ljust(3 * PAGE, b"\0")),
    "pages are zero": lambda file: overwritten(file, 2 * PAGE, bytes(PAGE), PAGE),
    "values reach beyond the file": lengthened,
    "everything is zero": lambda file: overwritten(file, 0, bytes(PAGE), PAGE),
    "both first pages are of a later version": lambda file: overwritten(file, 20, b"\x09", PAGE),
    "another file": lambda file: file.write_text("hello world\n" * 1000),
    "a short file": lambda file: file.write_text("hello"),
    "half of the file": lambda file: os.truncate(file, file.stat().st_size // 2),
    "the first page": lambda file: os.truncate(file, PAGE),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.fixture(scope="module")
def full_queue(otelcol: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Collector that was killed while its back end was away."""
    folder = tmp_path_factory.mktemp("killed")
    with otlp_backend() as backend:
        backend.status = 503
        with running_collector(otelcol, collector_environment(backend.address, folder), folder) as running:
            for number in range(REQUESTS):
                for path, request in (("logs", log), ("traces", span), ("metrics", point)):
                    assert running.send(f"/v1/{path}", request(number)) == 200
            running.stop(signal.SIGKILL)
    return folder / "queue"


def set_aside(backend: Backend) -> int:
    """Returns the newest value of the metric that counts the files, or -1."""
    values = [
        each.as_int
        for message in backend.received("/v1/metrics")
        for resource in message.resource_metrics  # type: ignore[attr-defined]
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "otelcol_file_storage_set_aside"
        for each in metric.gauge.data_points
    ]
    return values[-1] if values else -1


def send(to: Collector, path: str, request: Message) -> None:
    """Sends until it is accepted, as senders do: the search of a damaged file takes memory, and for a moment data is refused."""
    eventually(lambda: to.send(path, request) == 200)


def started(otelcol: Path, backend: Backend, folder: Path) -> AbstractContextManager[Collector]:
    environment = collector_environment(backend.address, folder, OTELCOL_SELF_INTERVAL_MS="200")
    return running_collector(otelcol, environment, folder)


FORMS = list(DAMAGE)


@pytest.mark.parametrize(("first", "second"), list(zip(FORMS[::2], FORMS[1::2], strict=True)))
def test_a_damaged_file_is_set_aside(
    first: str, second: str, otelcol: Path, full_queue: Path, backend: Backend, tmp_path: Path
) -> None:
    """Whatever the damage, the Collector starts, delivers the other queues, keeps the file, and names it in log and metric."""
    queue = tmp_path / "queue"
    shutil.copytree(full_queue, queue)
    DAMAGE[first](queue / LOGS)
    DAMAGE[second](queue / TRACES)
    held = {name: items(queue / name) for name in (LOGS, TRACES)}
    with started(otelcol, backend, tmp_path) as running:
        send(running, "/v1/logs", log(99))
        send(running, "/v1/traces", span(99))
        eventually(lambda: arrived(backend, "/v1/metrics") == REQUESTS)
        eventually(lambda: (arrived(backend, "/v1/logs"), arrived(backend, "/v1/traces")) == (1, 1))
        eventually(lambda: set_aside(backend) == 2)
    kept = {each.name.split(".")[0]: each for each in queue.glob("*.backup")}
    assert sorted(kept) == sorted((LOGS, TRACES))
    assert {name: items(kept[name]) for name in kept} == held
    assert all(each.name in running.log.read_text() for each in kept.values())


def test_the_newest_damaged_file_of_a_queue_is_kept(
    otelcol: Path, full_queue: Path, backend: Backend, tmp_path: Path
) -> None:
    """Damage that comes again does not fill the disk: one file for each queue is kept, and other files stay."""
    queue = tmp_path / "queue"
    shutil.copytree(full_queue, queue)
    older = {f"{name}.20260101T000000.000Z.backup" for name in (LOGS, TRACES)}
    for name in older:
        (queue / name).write_text("older")
    DAMAGE["another file"](queue / LOGS)
    with started(otelcol, backend, tmp_path):
        eventually(lambda: set_aside(backend) == 2)
    kept = {each.name for each in queue.glob("*.backup")}
    assert kept & older == {f"{TRACES}.20260101T000000.000Z.backup"}
    assert len(kept) == 2


def test_what_is_not_damaged_is_not_set_aside(
    otelcol: Path, full_queue: Path, backend: Backend, tmp_path: Path
) -> None:
    """A file that is missing or empty begins anew, a good one is delivered, and one in use ends the start of a second Collector."""
    queue = tmp_path / "queue"
    shutil.copytree(full_queue, queue)
    (queue / TRACES).unlink()
    (queue / METRICS).write_bytes(b"")
    with started(otelcol, backend, tmp_path) as running:
        send(running, "/v1/traces", span(99))
        send(running, "/v1/metrics", point(99))
        eventually(lambda: arrived(backend, "/v1/logs") == REQUESTS)
        eventually(lambda: (arrived(backend, "/v1/metrics"), arrived(backend, "/v1/traces")) == (1, 1))
        eventually(lambda: set_aside(backend) == 0)
        with pytest.raises(AssertionError, match="timeout"), started(otelcol, backend, tmp_path):
            pass
        assert running.process.poll() is None
    assert list(queue.glob("*.backup")) == []
