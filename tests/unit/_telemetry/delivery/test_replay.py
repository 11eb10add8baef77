"""When the spool is replayed; what it does with requests is in `tests/faults/test_spool_faults.py`."""

from __future__ import annotations

import threading
import time

from otel_ml._export.answers import Answer
from otel_ml._export.ledger import Book, Ledger
from otel_ml._telemetry.delivery._replay import Replay
from otel_ml._telemetry.delivery._spool import Spool


class Busy:
    """A transport whose receiver asks once to come again in a moment."""

    endpoint = "http://127.0.0.1:4318"

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.accepted = threading.Event()

    def post(self, body: bytes, timeout: float) -> Answer:
        """Answers without a network."""
        self.asked.append(time.monotonic())
        if len(self.asked) == 1:
            return Answer("retry", "HTTP 503", retry_after=0.3)
        self.accepted.set()
        return Answer("accepted")

    def close(self) -> None:
        """There is no connection."""

    def abandon(self) -> None:
        """There is no connection."""


def test_a_receiver_that_asks_to_wait_is_asked_again_then(tmp_path):
    """As without a spool: Retry-After replaces our own pause, which would be two seconds here."""
    book, transport = Book(), Busy()
    replay = Replay(Spool(str(tmp_path), limit=10**6), {"traces": book})
    replay.serve("traces", transport, 5.0)
    book.produce(1)
    replay.keep("traces", 1, b"request")

    assert transport.accepted.wait(10)
    replay.stop(time.monotonic() + 5)
    assert 0.3 <= transport.asked[1] - transport.asked[0] < 1.5
    assert book.read() == Ledger(1, 1)
