"""The thread that sends what is in the spool once the first hop answers again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from otel_ml import _guard, _process
from otel_ml._export import retry
from otel_ml._export.answers import BROKEN_TRANSPORT
from otel_ml._export.ledger import Book
from otel_ml._export.transport import Transport
from otel_ml._telemetry._suppress import suppress_here
from otel_ml._telemetry.delivery import _spool_file
from otel_ml._telemetry.delivery._spool import Entry, Spool
from otel_ml._telemetry.delivery._spool_file import Kept, Torn
from otel_ml._telemetry.otlp import _framing
from otel_ml.config import Signal

_LAST_WAIT: Final = 0.5


class _Target(NamedTuple):
    """Where one signal is sent, on a connection of its own."""

    transport: Transport
    timeout: float


class Replay:
    """Keeps requests in the spool and sends them, oldest first, until each has a final answer."""

    def __init__(self, spool: Spool, books: dict[Signal, Book]) -> None:
        self._spool = spool
        self._books = books
        self._targets: dict[Signal, _Target] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._is_waiting = False
        self._retry_after: float | None = None
        self._thread: threading.Thread | None = None

    def serve(self, signal: Signal, transport: Transport, timeout: float) -> None:
        """Replays requests of this signal from now on."""
        self._targets[signal] = _Target(transport, timeout)

    def keep(self, signal: Signal, count: int, body: bytes) -> bool:
        """Spools a request that is in the book already; False when the spool does not take it."""
        kept = bool(_guard.call("spool.keep", self._spool.keep, signal, count, body))
        if kept:
            self._books[signal].spool(count)
            self.start()
        return kept

    def start(self) -> None:
        """Starts the thread; also after a fork, when there is something to replay."""
        with self._changed:
            if self._thread is not None or self._stopping:
                return
            self._thread = _process.spawn("otel-ml-spool", self._run)  # without it the next process replays the files

    def wake(self) -> None:
        """Tries again at once, since the first hop has just accepted something."""
        if self._is_waiting:
            with self._changed:
                self._is_waiting = False
                self._changed.notify_all()

    def stop(self, deadline: float) -> None:
        """Ends the thread; the next process replays what is left on disk.

        A request in flight is waited for: cut after the receiver has stored it, it would be sent twice.
        """
        with self._changed:
            self._stopping = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(max(0.0, deadline - monotonic()))
        for target in self._targets.values():
            target.transport.close()
        if thread is not None:
            thread.join(_LAST_WAIT)
        _guard.call("spool.gone", self._count_removed)
        self._spool.close()

    def reset_after_fork(self) -> None:
        """Leaves the parent's requests to the parent."""
        for target in self._targets.values():
            target.transport.abandon()
        self._spool.reset_after_fork()
        self._changed = threading.Condition()
        self._stopping = False
        self._is_waiting = False
        self._thread = None

    def _run(self) -> None:
        suppress_here()
        failed = 0
        while not self._stopping:
            done = _guard.call("spool.replay", self._round)
            failed = 0 if done else failed + 1
            pause = retry.pause(failed, None if done else self._retry_after)
            with self._changed:
                self._is_waiting = not done
                if not self._stopping:
                    self._changed.wait(pause)

    def _round(self) -> bool:
        """Sends what is in the spool; False when the first hop does not answer."""
        self._retry_after = None
        self._count_removed()
        paths = self._spool.list_requests()[::-1]
        while paths:
            path = paths.pop()
            content = _spool_file.read(path)
            if self._stopping:
                return True
            if content is None:
                continue
            pieces = self._send(path, content)
            if pieces is None:
                return False
            paths += reversed(pieces)
        return True

    def _send(self, path: Path, content: Kept | Torn) -> Sequence[Path] | None:
        """Sends one request; returns the smaller ones it was split into, or None if the first hop does not answer."""
        target, book = self._targets.get(content.signal), self._books[content.signal]
        if target is None:  # written by a process with other settings
            return ()
        new = self._spool.enter(path, content)
        book.produce(new)
        book.spool(new)
        if isinstance(content, Torn):
            self._drop(self._spool.remove(path), "invalid")
            _guard.warn_of_loss("spool torn", "otel-ml: a request in the spool is damaged; it is skipped and counted")
            return ()
        answer = _guard.call("spool.post", target.transport.post, content.body, target.timeout) or BROKEN_TRANSPORT
        if answer.kind == "retry":
            self._retry_after = answer.retry_after
            return None
        halves = _split_in_two(content) if answer.kind == "too_large" else ()
        if halves:  # written before they are sent: if the process ends in between, nothing is lost or repeated
            return self._spool.replace(path, halves)
        entry = self._spool.remove(path)
        if entry is not None:
            self._books[entry.signal].enter(answer, entry.records)
            self._books[entry.signal].spool(-entry.records)
        return ()

    def _count_removed(self) -> None:
        """Drops the records of files that another program removed."""
        for entry in self._spool.take_removed():
            self._drop(entry, "retry_exhausted")
            _guard.warn_of_loss("spool gone", "otel-ml: files were removed from the spool; their records are counted")

    def _drop(self, entry: Entry | None, reason: str) -> None:
        if entry is not None:
            self._books[entry.signal].drop(reason, entry.records)
            self._books[entry.signal].spool(-entry.records)


def _split_in_two(request: Kept) -> Sequence[Kept]:
    """Returns two requests; none if it holds a single record, or is not one that we wrote."""
    try:
        resource, records = _framing.parse_request(request.body, points=request.signal == "metrics")
    except ValueError:
        return ()
    if len(records) < 2 or _framing.count(records) != request.records:
        return ()
    middle = len(records) // 2
    return [
        Kept(request.signal, _framing.count(half), _framing.encode_request(resource, half))
        for half in (records[:middle], records[middle:])
    ]
