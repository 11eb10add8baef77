"""Cases 1 to 7: what the first hop can do to a sender."""

from __future__ import annotations

import logging
import socket
import threading
import time
from email.utils import formatdate

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from otlp_receiver import Reply

from otel_ml._export.ledger import Ledger
from otel_ml._export.transport import HttpTransport

RETRYABLE = (429, 502, 503, 504)
FINAL = (300, 301, 302, 307, 308, 400, 401, 403, 404, 405, 408, 410, 415, 418, 422, 500, 501, 505, 507, 599)
WAITS = ("0", "2", "3600", "date", "-1", "nan", "soon")


class Load:
    """Predictions at a steady rate on a thread of its own, with the time that each took."""

    def __init__(self, service, per_second):
        self._service, self._per_second = service, per_second
        self._stop = threading.Event()
        self.took = []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        began, made = time.perf_counter(), 0
        while not self._stop.is_set():
            due = int((time.perf_counter() - began) * self._per_second)
            for _ in range(due - made):
                start = time.perf_counter()
                self._service.predict()
                self.took.append(time.perf_counter() - start)
            made = due
            self._stop.wait(0.005)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def quantile(self, share):
        return sorted(self.took)[int(share * (len(self.took) - 1))]


def outage(service, receiver, resident, *, seconds, rate):
    """Runs a receiver that is down at first and comes up under load; returns what was observed."""
    receiver.close()
    service.predict(200)
    before = resident()
    peak = before
    with Load(service, rate) as load:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.1)
            peak = max(peak, resident())
        receiver.open()
        opened = time.monotonic()
        receiver.wait_for(lambda r: r.bodies("traces"), 60)
        recovery = time.monotonic() - opened
    service.flush()
    return {"recovery_s": recovery, "growth_mib": peak - before, "p99_ms": load.quantile(0.99) * 1000}


def test_case_01_a_receiver_that_comes_late(make_service, receiver, resident, figure):
    """Down at the start, up under load: sending begins within one interval, and the ledger agrees with the receiver."""
    service = make_service(timeout=1.0)
    seen = outage(service, receiver, resident, seconds=1, rate=500)

    assert seen["recovery_s"] < 5
    assert service.balanced()
    figure(1, lost=service.ledger().lost(), **seen)


@pytest.mark.slow
def test_case_01_a_minute_without_receiver(make_service, receiver, resident, figure):
    """A minute's outage at 2,000 predictions a second: memory stays below its bound, all that was lost is counted."""
    service = make_service(timeout=10.0)
    seen = outage(service, receiver, resident, seconds=60, rate=2000)

    assert seen["recovery_s"] < 35
    assert seen["growth_mib"] < 96
    assert service.balanced()
    figure(1, lost=service.ledger().lost(), **seen)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(delay=60),
        Reply(head_drip=0.1),
        Reply(503, body=b"x" * 1000, drip=0.1),
        Reply(503, body=b"x" * 1000, cut="mid"),
        Reply(cut="before", stores=False),
        Reply(cut="reset", stores=False),
    ],
    ids=["never", "dripping head", "dripping body", "half a body", "closed", "reset"],
)
def test_case_02_a_tarpit_blocks_no_one(make_service, receiver, figure, reply):
    """No receiver can block a sender beyond its deadline."""
    reply.stores = False
    receiver.default = dict.fromkeys(("traces", "logs", "metrics"), reply)
    service = make_service(timeout=0.2)
    service.predict(3)
    began = time.monotonic()
    assert service.flush(60) is False
    held = time.monotonic() - began
    service.predict(3)
    exit_seconds = service.end(0.2)

    assert service.balanced()
    assert [one.in_flight for one in service.telemetry.ledger().values()] == [0, 0, 0]
    assert held < 30
    assert exit_seconds < 30
    figure(2, held_s=held, exit_s=exit_seconds, lost=service.ledger().lost())


def test_case_02_a_status_that_was_read_counts(make_service, receiver):
    """A receiver that answers 200 and closes in the middle of the body has the records: they count as delivered."""
    receiver.script["traces"] = [Reply(200, body=b"x" * 100, cut="mid")]
    service = make_service()
    service.predict(2)

    service.flush()
    assert service.ledger() == Ledger(2, 2)
    assert receiver.duplicates() == 0


def test_case_02_a_name_lookup_that_hangs(receiver):
    """A hanging resolver blocks no one beyond the deadline, and there is never more than one lookup."""
    from otel_ml.config import Config

    released, asked = threading.Event(), []

    def lookup(*arguments):
        asked.append(arguments)
        released.wait(30)
        return socket.getaddrinfo("127.0.0.1", arguments[1], 0, socket.SOCK_STREAM)

    endpoint = receiver.url.replace("127.0.0.1", "receiver.test")
    transport = HttpTransport("traces", Config(endpoint=endpoint).traces, resolve=lookup)
    began = time.monotonic()
    answers = [transport.post(b"", 0.1).kind for _ in range(3)]
    took = time.monotonic() - began
    released.set()

    assert (answers, len(asked)) == (["retry"] * 3, 1)
    assert took < 20
    assert transport.post(b"", 5.0).kind == "accepted"
    transport.close()


def test_case_02_a_handshake_that_hangs(receiver):
    """A receiver that accepts and never completes the TLS handshake is cut off at the deadline."""
    from otel_ml.config import Config

    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
        transport = HttpTransport("traces", Config(endpoint=endpoint).traces)
        began = time.monotonic()
        answer = transport.post(b"", 0.3)
        took = time.monotonic() - began
        transport.close()

    assert answer.kind == "retry"
    assert took < 20


@pytest.mark.parametrize("status", FINAL)
def test_case_03_final_answers_are_never_retried(make_service, receiver, status):
    """Every status outside the table is final: one request, counted as rejected."""
    receiver.default["traces"] = Reply(status, headers={"retry-after": "0"})
    service = make_service()
    service.predict()

    assert service.flush() is False
    assert service.ledger() == Ledger(1, 0, 1)
    assert receiver.requests["traces"] == 1


@pytest.mark.parametrize(
    ("status", "wait"),
    [
        pytest.param(status, wait, marks=[] if status == 503 and wait != "soon" else [pytest.mark.slow])
        for status in RETRYABLE
        for wait in WAITS
    ],
)
def test_case_03_retryable_answers_wait_as_asked(make_service, receiver, status, wait):
    """Retryable statuses are retried after the requested wait, and the records stay queued however long it is."""
    text = formatdate(time.time() - 5, usegmt=True) if wait == "date" else wait
    receiver.script["traces"] = [Reply(status, headers={"retry-after": text})]
    service = make_service(timeout=1.8)
    service.predict()

    assert service.flush() is False
    if wait == "3600":
        assert service.ledger() == Ledger(1, in_flight=1)
        assert service.end() < 2
    else:
        receiver.wait_for(lambda one: one.bodies("traces"), 5)
        service.flush()
    assert service.ledger() == Ledger(1, 1)
    assert receiver.requests["traces"] == 2


def test_case_03_a_wait_of_zero_is_no_tight_loop(make_service, receiver):
    """Repeated `Retry-After: 0` is answered with growing pauses."""
    receiver.default["traces"] = Reply(503, headers={"retry-after": "0"})
    service = make_service(timeout=1.5)
    service.predict()

    service.flush()
    time.sleep(1.5)
    assert service.ledger() == Ledger(1, in_flight=1)
    assert receiver.requests["traces"] < 8


def test_case_03_one_line_a_reason(make_service, receiver, caplog):
    """However often it fails, flaps and refuses, the log has one line per reason."""
    receiver.script["traces"] = [Reply(503, headers={"retry-after": "0"}), Reply(), Reply(400)] * 5
    service = make_service()
    with caplog.at_level(logging.WARNING, "otel_ml"):
        for _ in range(10):
            service.predict()
            service.flush()

    lines = [record.getMessage() for record in caplog.records if record.name == "otel_ml"]
    assert len(lines) == 3
    assert service.balanced()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_case_04_redirects_are_failures_and_never_followed(make_service, receiver, figure, status):
    """No request and no credential goes where a redirect points."""
    receiver.default["traces"] = Reply(status, headers={"location": f"{receiver.url}/elsewhere/v1/stolen"})
    service = make_service(headers={"authorization": "Bearer secret"})
    service.predict(5)

    assert service.flush() is False
    assert service.ledger() == Ledger(5, 0, 5)
    assert receiver.requests["stolen"] == 0
    figure(4, silent_loss=5 - service.ledger().rejected)


def partial(**values):
    answer = ExportTraceServiceResponse()
    for name, value in values.items():
        setattr(answer.partial_success, name, value)
    return answer.SerializeToString()


@pytest.mark.parametrize(
    ("reply", "rejected"),
    [
        (Reply(body=partial(rejected_spans=3)), 3),
        (Reply(body=partial(rejected_spans=10**9)), 10),
        (Reply(body=partial(rejected_spans=-5)), 0),
        (Reply(body=partial(error_message="a warning")), 0),
        (Reply(body=b"\xff" * 40), 0),
        (Reply(body=b'{"partialSuccess":{"rejectedSpans":"3"}}', headers={"content-type": "application/json"}), 3),
        (Reply(body=b"{}", headers={"content-type": "application/json"}), 0),
        (Reply(body=b"OK", headers={"content-type": "text/plain"}), 0),
        (Reply(body=partial(rejected_spans=3), headers={"content-type": "text/html"}), 0),
        (Reply(204), 0),
    ],
    ids=[
        "some",
        "more than all",
        "negative",
        "warning",
        "garbage",
        "json",
        "object",
        "text",
        "lying type",
        "no content",
    ],
)
def test_case_05_partial_success_is_read(make_service, receiver, reply, rejected):
    """Records refused in an accepted request are counted; an unreadable answer counts none."""
    reply.stores = True
    receiver.script["traces"] = [reply]
    service = make_service()
    service.predict(10)

    assert service.flush() is (rejected == 0)
    assert service.ledger() == Ledger(10, 10 - rejected, rejected)


def test_case_05_a_portals_page_is_no_delivery(make_service, receiver, caplog):
    """A web page with status 200 accepts nothing: the records count as rejected, and one log line says what answered."""
    page = Reply(body=b"<!doctype html><p>Log in", headers={"content-type": "text/html"}, stores=False)
    receiver.default = dict.fromkeys(("traces", "logs", "metrics"), page)
    service = make_service()
    with caplog.at_level(logging.WARNING, "otel_ml"):
        for _ in range(3):
            service.predict(10)
            assert service.flush() is False

    assert service.ledger() == Ledger(30, 0, 30)
    assert service.balanced()
    assert sum("refused traces with HTTP 200 and a web page" in record.getMessage() for record in caplog.records) == 1


def test_case_05_logs_have_partial_success_too(make_service, receiver):
    """The same for events."""
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 4
    receiver.script["logs"] = [Reply(body=answer.SerializeToString())]
    service = make_service()
    service.predict(10)

    service.flush()
    assert service.ledger("logs") == Ledger(10, 6, 4)


@pytest.mark.parametrize("status", [200, 400])
def test_case_05_a_gigabyte_in_answer_is_left_alone(make_service, receiver, resident, figure, status):
    """Of an endless body 64 KiB are read."""
    receiver.script["traces"] = [Reply(status, size=2**30)]
    service = make_service()
    service.predict()
    service.engine.flush_records(time.monotonic())
    before = resident()
    service.flush()
    service.predict()

    assert service.flush()
    assert receiver.sent_bytes < 32 * 2**20
    assert resident() - before < 16
    figure(5, growth_mib=resident() - before)


def test_case_06_a_batch_is_split_until_it_fits(make_service, receiver, figure):
    """A receiver with a small limit gets small requests; only a single record over the limit is lost."""
    original = receiver._answer

    service = make_service(timeout=20.0)
    with service.engine.tracer("big").start_as_current_span("big") as span:
        for part in range(5):
            span.set_attribute(f"huge.{part}", "x" * 60_000)
    service.predict(200)
    limit = 100_000

    def answer(connection, reply):
        body = receiver.accepted[-1][1]
        if len(body) > limit:
            receiver.accepted.pop()
            return original(connection, Reply(413, stores=False))
        return original(connection, reply)

    receiver._answer = answer
    service.flush()

    assert service.ledger() == Ledger(201, 200, 0, {"too_large": 1})
    assert service.balanced()
    figure(6, lost_per_oversize_record=service.ledger().lost())


def test_case_06_a_record_beyond_the_request_limit(make_service, receiver):
    """Texts of 50 MiB are cut to 64 KiB when recorded; only a record that is still too large is lost."""
    service = make_service(timeout=20.0)
    logger = service.engine.logger_provider.get_logger("big")
    logger.emit(body="before")
    logger.emit(body="x" * 50_000_000)
    logger.emit(body=["x" * 50_000] * 100)
    logger.emit(body="after")
    with service.engine.tracer("big").start_as_current_span("big", attributes={"huge": "x" * 50_000_000}) as span:
        span.add_event("event", {"huge": "x" * 50_000_000})

    service.flush()
    assert service.ledger("logs") == Ledger(4, 3, 0, {"too_large": 1})
    assert [len(record.body.string_value) for record in receiver.logs()] == [6, 65_536, 5]
    assert [len(span.attributes[0].value.string_value) for span in receiver.spans()] == [65_536]


def test_case_07_stored_and_then_dropped_is_at_most_one_batch_twice(make_service, receiver, figure):
    """A receiver that stores and then breaks off gets the batch again: at most one duplicated batch per incident."""
    service = make_service(timeout=5.0)
    service.predict()
    service.flush()
    receiver.script["traces"] = [Reply(cut="before", stores=True), Reply(), Reply(cut="reset", stores=True)]
    for _ in range(3):
        service.predict(100)
        service.flush()

    assert service.ledger() == Ledger(301, 301)
    assert len({span.span_id for span in receiver.spans()}) == 301
    assert 0 < receiver.duplicates() <= 200
    figure(7, duplicated=receiver.duplicates(), sent=301)
