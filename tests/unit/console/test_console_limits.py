"""Limits on one sender: members of a gzip body, the time of a decoder, and an end that does not wait for it."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import subprocess
import sys
import threading
import zlib

import pytest
from console_feed import PROTOBUF, Client, counter, logs, metrics, pairs, record, span, traces

from otel_ml.console._threads import BusyError, Threads
from otel_ml.console.receiving import _otlp_http
from otel_ml.console.receiving._otlp_http import RefusalError


class Members:
    """Counts the bytes that each zlib member is given."""

    def __init__(self):
        self.given = 0

    def open(self, window):
        return _Counted(self, zlib.decompressobj(window))


class _Counted:
    def __init__(self, members, member):
        self._members, self._member = members, member

    def decompress(self, data, limit):
        self._members.given += len(data)
        return self._member.decompress(data, limit)

    def __getattr__(self, name):
        return getattr(self._member, name)


def test_a_body_of_many_members_is_refused():
    """A body may have a thousand members; more are refused as an attack."""
    many = b"".join(gzip.compress(bytes([index % 256])) for index in range(1000))
    assert len(_otlp_http.inflate(many, "gzip", 1 << 20)) == 1000
    with pytest.raises(RefusalError, match="more than 1000 members") as refused:
        _otlp_http.inflate(many + gzip.compress(b""), "gzip", 1 << 20)
    assert refused.value.status == 400


def test_the_cost_of_a_member_does_not_depend_on_the_rest():
    """Each member is given at most its own bytes and one block more, however long the body is."""
    body = gzip.compress(b"a") * 500 + gzip.compress(bytes(range(256)) * 40_000, 0)
    members = Members()
    assert len(_otlp_http.inflate(body, "gzip", 20 << 20, members.open)) == 500 + 256 * 40_000
    assert members.given <= len(body) + 501 * _otlp_http.BLOCK


def test_a_body_of_many_members_does_not_slow_the_console(console):
    """The attack is answered, and so is the next request."""
    answer = console.send("/v1/traces", gzip.compress(b"") * 50_000, content_type=PROTOBUF, content_encoding="gzip")
    assert answer.status == 400
    assert console.export(traces(span()), compress=True).status == 200


def test_a_request_of_countless_records_is_refused(start):
    """Two bytes can become a record of a thousand bytes in memory, so a request beyond the limit is refused whole."""
    console = start(max_request_records=102)
    assert console.export(logs(*[record("line")] * 100)).status == 200
    assert console.export(logs(*[record("line")] * 101)).status == 413
    assert console.export(traces(*[span()] * 101)).status == 413
    assert console.export(metrics(*[counter(1)] * 51)).status == 413
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b"{}," * 5000 + b"{}]}]}]}"
    assert console.send("/v1/logs", body, content_type="application/json").status == 413
    assert console.ingest.status()["received"] == 100


def test_attributes_of_a_scope_are_few_since_each_record_repeats_them():
    """A request of half a megabyte would be gigabytes of rows; attributes beyond the limit are left out and counted."""
    many = pairs({"first": "kept"} | {f"text{at}": "x" * 900 for at in range(60)})
    for name, table, message in (
        ("traces", "spans", traces(span())),
        ("logs", "logs", logs(record("line"))),
        ("metrics", "points", metrics(counter(1))),
    ):
        resources, scopes, _ = _otlp_http.SIGNALS[name].levels
        scoped = getattr(getattr(message, resources)[0], scopes)[0]
        scoped.scope.attributes.extend(many)
        decoded = _otlp_http.rows(name, message.SerializeToString(), PROTOBUF, 100)
        (row,) = decoded.rows[table]
        assert "kept" in row.attributes
        assert len(row.attributes) < 3000
        assert decoded.trimmed == 1


def test_abandoned_work_counts_until_it_ends():
    """The caller stops waiting at the deadline; the thread is a daemon, and the next one starts when it ends."""
    ended = threading.Event()

    async def attempt():
        threads = Threads("worker", running=1, waiting=1, seconds=0.05)
        outcomes = []
        for _ in range(2):
            try:
                await threads.run(ended.wait)
            except BusyError:
                outcomes.append("busy")
        daemons = [thread.daemon for thread in threading.enumerate() if thread.name == "worker"]
        ended.set()
        return outcomes, daemons, await Threads("worker", running=1, waiting=0, seconds=60).run(lambda: 7)

    assert asyncio.run(attempt()) == (["busy", "busy"], [True], 7)


def test_a_full_queue_is_refused_at_once():
    """One runs, one waits, the third is refused; an exception of the work reaches the caller unchanged."""
    ended = threading.Event()

    async def attempt():
        threads = Threads("worker", running=1, waiting=1, seconds=30)
        two = [asyncio.ensure_future(threads.run(ended.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await threads.run(ended.wait)
        ended.set()
        assert await asyncio.gather(*two) == [True, True]
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 / 0)

    asyncio.run(attempt())


STUCK = """
import sys, threading
from otel_ml.console.receiving import _endpoints
from otel_ml.cli import main

class Stuck(_endpoints.Receiver):
    def _decode(self, *_):
        print("decoding", flush=True)
        threading.Event().wait()

import otel_ml.console._app as app
app.Receiver = Stuck
sys.exit(main(["console", "--port", "0", "--database", ":memory:", "--json"]))
"""


def test_the_end_does_not_wait_for_a_decoder():
    """SIGTERM ends a console even if decoding hangs; the sender is asked to retry."""
    process = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    client = Client(json.loads(process.stdout.readline())["address"])
    answers = []
    sender = threading.Thread(target=lambda: answers.append(client.export(traces(span()))))
    sender.start()
    assert process.stdout.readline() == "decoding\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=240)
    sender.join(240)
    assert (process.returncode, "Traceback" in errors) == (0, False)
    assert [(answer.status, answer.headers["retry-after"]) for answer in answers] == [(503, "1")]
