"""The thread that brings what lies in the spool to the first hop once it answers again."""

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


class _Way(NamedTuple):
    """How one signal is sent, on a connection of its own."""

    transport: Transport
    timeout: float


class Replay:
    """Keeps requests in the spool and replays them, oldest first, each until it is decided."""

    def __init__(self, spool: Spool, books: dict[Signal, Book]) -> None:
        self._spool = spool
        self._books = books
        self._ways: dict[Signal, _Way] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._put_off = False
        self._thread: threading.Thread | None = None

    def serve(self, signal: Signal, transport: Transport, timeout: float) -> None:
        """From now on requests of this signal are replayed."""
        self._ways[signal] = _Way(transport, timeout)

    def keep(self, signal: Signal, count: int, body: bytes) -> bool:
        """Writes a request that is in the book already; False when the spool does not take it."""
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
        """The first hop has just accepted something: worth a try now."""
        if self._put_off:
            with self._changed:
                self._put_off = False
                self._changed.notify_all()

    def stop(self, deadline: float) -> None:
        """Ends the thread; what is left on disk is replayed by the next process.

        A request that is on the way is waited for: cut off after the receiver has stored it, it would come twice.
        """
        with self._changed:
            self._stopping = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(max(0.0, deadline - monotonic()))
        for way in self._ways.values():
            way.transport.close()
        if thread is not None:
            thread.join(_LAST_WAIT)
        _guard.call("spool.gone", self._count_gone)
        self._spool.close()

    def reset_after_fork(self) -> None:
        """What the parent has kept is the parent's."""
        for way in self._ways.values():
            way.transport.abandon()
        self._spool.reset_after_fork()
        self._changed = threading.Condition()
        self._stopping = False
        self._put_off = False
        self._thread = None

    def _run(self) -> None:
        suppress_here()
        failed = 0
        while not self._stopping:
            done = _guard.call("spool.replay", self._round)
            failed = 0 if done else failed + 1
            pause = retry.pause(failed)
            with self._changed:
                self._put_off = not done
                if not self._stopping:
                    self._changed.wait(pause)

    def _round(self) -> bool:
        """Replays what waits; False when the first hop does not answer."""
        self._count_gone()
        paths = self._spool.waiting()[::-1]
        while paths:
            path = paths.pop()
            content = _spool_file.read(path)
            if self._stopping:
                return True
            if content is None:
                continue
            pieces = self._replayed(path, content)
            if pieces is None:
                return False
            paths += reversed(pieces)
        return True

    def _replayed(self, path: Path, content: Kept | Torn) -> Sequence[Path] | None:
        """Brings one request to its end, or to smaller ones that are still to be sent; None when nobody answers."""
        way, book = self._ways.get(content.signal), self._books[content.signal]
        if way is None:  # written by a process with other settings
            return ()
        new = self._spool.enter(path, content)
        book.produce(new)
        book.spool(new)
        if isinstance(content, Torn):
            self._leave(self._spool.forget(path), "invalid")
            _guard.warn_of_loss("spool torn", "otel-ml: the spool holds a torn request; it is skipped and counted")
            return ()
        answer = _guard.call("spool.post", way.transport.post, content.body, way.timeout) or BROKEN_TRANSPORT
        if answer.kind == "retry":
            return None
        halves = _halves(content) if answer.kind == "too_large" else ()
        if halves:  # on disk before they are sent, so that an end in between neither loses nor repeats
            return self._spool.replace(path, halves)
        entry = self._spool.forget(path)
        if entry is not None:
            self._books[entry.signal].enter(answer, entry.records)
            self._books[entry.signal].spool(-entry.records)
        return ()

    def _count_gone(self) -> None:
        """Records whose files were removed from under us are lost."""
        for entry in self._spool.gone():
            self._leave(entry, "retry_exhausted")
            _guard.warn_of_loss("spool gone", "otel-ml: files were removed from the spool; their records are counted")

    def _leave(self, entry: Entry | None, reason: str) -> None:
        if entry is not None:
            self._books[entry.signal].drop(reason, entry.records)
            self._books[entry.signal].spool(-entry.records)


def _halves(request: Kept) -> Sequence[Kept]:
    """A request as two; none if it holds a single record, or is not of the form that we write."""
    try:
        resource, records = _framing.parse_request(request.body, points=request.signal == "metrics")
    except ValueError:
        return ()
    if len(records) < 2 or _framing.count(records) != request.records:
        return ()
    middle = len(records) // 2
    return [
        Kept(request.signal, _framing.count(half), _framing.request(resource, half))
        for half in (records[:middle], records[middle:])
    ]
