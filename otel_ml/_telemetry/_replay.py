"""The thread that brings what lies in the spool to the first hop once it answers again."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from otel_ml import _guard
from otel_ml._telemetry._http import Answer, Transport
from otel_ml._telemetry._spool import Kept, Spool, Torn
from otel_ml._telemetry._suppress import suppress_here
from otel_ml._telemetry.ledger import Book
from otel_ml.config import Signal

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_LAST_WAIT: Final = 0.5
_BROKEN: Final = Answer("retry", "an error of the transport")


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
        self._entered: set[Path] = set()
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
            thread = threading.Thread(target=self._run, name="otel-ml-spool", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no new threads while the interpreter ends: the files wait for the next process
                return
            self._thread = thread

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
        self._spool.close()

    def reset_after_fork(self) -> None:
        """What the parent has kept is the parent's."""
        for way in self._ways.values():
            way.transport.abandon()
        self._spool.reset_after_fork()
        self._entered = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._put_off = False
        self._thread = None

    def _run(self) -> None:
        suppress_here()
        pause = _FIRST_PAUSE
        while not self._stopping:
            done = _guard.call("spool.replay", self._round)
            pause = _FIRST_PAUSE if done else min(pause * 2, _LONGEST_PAUSE)
            with self._changed:
                self._put_off = not done
                if not self._stopping:
                    self._changed.wait(pause)

    def _round(self) -> bool:
        """Replays what waits; False when the first hop does not answer."""
        for path in self._spool.waiting():
            content = self._spool.read(path)
            if self._stopping:
                return True
            if content is not None and not self._replayed(path, content):
                return False
        return True

    def _replayed(self, path: Path, content: Kept | Torn) -> bool:
        way, book = self._ways.get(content.signal), self._books[content.signal]
        if way is None:  # written by a process with other settings
            return True
        self._enter(path, content.records, book)
        if isinstance(content, Torn):
            book.drop("invalid", content.records)
            _guard.warn_of_loss("spool torn", "otel-ml: the spool holds a torn request; it is skipped and counted")
        else:
            answer = _guard.call("spool.post", way.transport.post, content.body, way.timeout) or _BROKEN
            if answer.kind == "retry":
                return False
            _settle(book, answer, content.records)
        book.spool(-content.records)
        self._spool.forget(path)
        self._entered.discard(path)
        return True

    def _enter(self, path: Path, count: int, book: Book) -> None:
        """Another process's records are entered as ours, once."""
        if self._spool.is_foreign(path) and path not in self._entered:
            self._entered.add(path)
            book.produce(count)
            book.spool(count)


def _settle(book: Book, answer: Answer, count: int) -> None:
    if answer.kind == "accepted":
        rejected = min(max(answer.rejected, 0), count)
        book.settle(delivered=count - rejected, rejected=rejected)
    elif answer.kind == "too_large":
        book.drop("too_large", count)
    else:
        book.settle(rejected=count)
