"""A console on loopback, in this process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from console_feed import Client

from otel_ml.console._app import build
from otel_ml.console._options import Options
from otel_ml.console._serve import configured
from otel_ml.console.receiving._ingest_queue import IngestQueue
from otel_ml.console.storage._store import Database


class Console(Client):
    """A running console and its client."""

    def __init__(self, address: str, store: Database, ingest: IngestQueue) -> None:
        super().__init__(address)
        self.store = store
        self.ingest = ingest

    def feed(self, *messages: Any) -> None:
        """Exports the messages and waits until all of it is in the file."""
        for message in messages:
            answer = self.export(message)
            assert (answer.status, answer.body) == (200, b"")
        assert self.ingest.flush(240)

    def queue(self, message: Any) -> None:
        """Exports a message without a writer, which is never answered, and waits until it is in the queue."""

        def export() -> None:
            # the end of the console may cut the connection
            with contextlib.suppress(OSError):
                self.export(message)

        threading.Thread(target=export, daemon=True).start()
        while not self.ingest.status()["queued"]:
            time.sleep(0.01)


@contextlib.contextmanager
def running(options: Options, *, write: bool = True, port: int = 0) -> Iterator[Console]:
    """A console, by default on a free port; without `write` all records stay in the queue."""
    store = Database.open(options)
    ingest = IngestQueue(store, options)
    if write:
        ingest.start()
    server = uvicorn.Server(configured(build(store, ingest, options), options))
    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Console(f"http://127.0.0.1:{listening.getsockname()[1]}", store, ingest)
        finally:
            if not write:
                ingest.start()
            server.should_exit = True
            thread.join(240)
            ingest.close()
            store.close()
