"""The bounded queue between the receiver and the file, its writer thread, and the account of every record."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from otel_ml.console.storage._store import Database, DatabaseError
from otel_ml.console.storage._tables import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_ml.console._options import Options
    from otel_ml.console.receiving._decoded_request import DecodedRequest
    from otel_ml.console.storage._tables import Row

_ROWS_PER_WRITE = 10_000
_LINGER = 0.02
"""Seconds that the writer rests after a write, so that small requests share a transaction."""
_SWEEP_EVERY = 60.0
_ATTEMPTS = 3
_COUNTS = ("received", "refused", "busy", "stored", "duplicates", "dropped")


class IngestQueue:
    """Accepts requests until it is full and writes them in order; a sender is answered when its records are written.

    Always: received = refused + busy + stored + duplicates + dropped + queued, by signal. *busy* was answered with
    "try again later", *dropped* was accepted and could not be written.
    """

    def __init__(self, store: Database, options: Options, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._store = store
        self._options = options
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: deque[DecodedRequest] = deque()
        self._pending_bytes = 0
        self._counts = {signal: dict.fromkeys(_COUNTS, 0) | {"queued": 0} for signal in ("traces", "metrics", "logs")}
        self._trimmed = 0
        self._last_error: str | None = None
        self._closing = False
        self._next_sweep = 0.0
        self._thread = threading.Thread(target=self._run, name="otel-ml-console-writer", daemon=True)

    def start(self) -> None:
        """Starts the writer."""
        self._thread.start()

    def reserve(self, size: int) -> bool:
        """Claims memory for a request that is being read; False when the limit is reached."""
        with self._changed:
            if self._pending_bytes + size > self._options.max_pending_bytes:
                return False
            self._pending_bytes += size
            return True

    def release(self, size: int) -> None:
        """Frees what `reserve` claimed."""
        with self._changed:
            self._pending_bytes -= size

    def offer(self, decoded: DecodedRequest) -> bool:
        """Queues a request; False, and counted as busy, if the queue is full or closing.

        A request that is larger than the whole queue is taken if nothing else waits.
        """
        with self._changed:
            counts = self._counts[decoded.signal]
            counts["received"] += decoded.records + decoded.refused
            queued = sum(one["queued"] for one in self._counts.values())
            is_full = (
                queued + decoded.records > self._options.max_pending_records
                or self._pending_bytes + decoded.size > self._options.max_pending_bytes
            )
            if self._closing or (is_full and queued):
                counts["busy"] += decoded.records + decoded.refused
                return False
            counts["refused"] += decoded.refused
            self._trimmed += decoded.trimmed
            if decoded.records:
                counts["queued"] += decoded.records
                self._pending_bytes += decoded.size
                self._waiting.append(decoded)
                self._changed.notify_all()
            else:
                decoded.written.set_result(True)
            return True

    def flush(self, timeout: float) -> bool:
        """Waits until every queued row is stored or dropped; False if that takes longer than the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(one["queued"] for one in self._counts.values()), timeout)

    def close(self, timeout: float = 30.0) -> bool:
        """Refuses further requests, writes those that wait and ends the writer; safe to call twice and before start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def status(self) -> dict[str, Any]:
        """Counts since the start: totals, by signal, and what the file holds."""
        with self._changed:
            signals = {signal: dict(counts) for signal, counts in self._counts.items()}
            totals = {name: sum(one[name] for one in signals.values()) for name in (*_COUNTS, "queued")}
            status = totals | {"trimmed": self._trimmed, "last_error": self._last_error, "signals": signals}
        return status | {"rows": self._store.stored(), "expired": self._store.expired()}

    def _run(self) -> None:
        while True:
            requests = self._take()
            if requests:
                self._write(requests)
            if time.monotonic() >= self._next_sweep or self._store.is_over_limit():
                self._sweep()
            with self._changed:
                if self._closing and not self._waiting:
                    return
                if not self._closing:
                    self._changed.wait_for(lambda: self._closing, _LINGER)

    def _take(self) -> list[DecodedRequest]:
        requests: list[DecodedRequest] = []
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, _SWEEP_EVERY)
            while self._waiting and sum(decoded.records for decoded in requests) < _ROWS_PER_WRITE:
                requests.append(self._waiting.popleft())
        return requests

    def _write(self, requests: list[DecodedRequest]) -> None:
        rows: dict[str, list[Row]] = {}
        for decoded in requests:
            for table, some in decoded.rows.items():
                rows.setdefault(table, []).extend(some)
        new = self._insert(rows)
        with self._changed:
            for table, some in rows.items():
                counts = self._counts[SIGNALS[table]]
                stored, dropped = new[table]
                counts["queued"] -= len(some)
                counts["stored"] += stored
                counts["dropped"] += dropped
                counts["duplicates"] += len(some) - stored - dropped
            self._pending_bytes -= sum(decoded.size for decoded in requests)
            self._changed.notify_all()
        is_complete = not any(dropped for _, dropped in new.values())
        for decoded in requests:
            decoded.written.set_result(is_complete)

    def _insert(self, rows: dict[str, list[Row]]) -> dict[str, tuple[int, int]]:
        for attempt in range(_ATTEMPTS):
            try:
                return {table: (count, 0) for table, count in self._store.insert(rows).items()}
            except DatabaseError as error:  # noqa: PERF203 - a second try is the point
                self._last_error = str(error)
                time.sleep(0.2 * attempt)
        return {table: self._insert_one_by_one(table, some) for table, some in rows.items()}

    def _insert_one_by_one(self, table: str, rows: list[Row]) -> tuple[int, int]:
        stored = dropped = failures = 0
        for row in rows:
            try:
                # without this a file that cannot be written would be tried ten thousand times
                if failures >= _ATTEMPTS:
                    dropped += 1
                    continue
                stored += self._store.insert({table: [row]})[table]
                failures = 0
            except DatabaseError as error:
                self._last_error = str(error)
                failures += 1
                dropped += 1
        return stored, dropped

    def _sweep(self) -> None:
        self._next_sweep = time.monotonic() + _SWEEP_EVERY
        try:
            self._store.sweep(self._clock())
        except DatabaseError as error:
            self._last_error = str(error)
